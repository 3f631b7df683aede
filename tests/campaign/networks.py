"""Functions, networks and flows in float64 by NumPy alone, each from its formula."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray

log_gamma = np.vectorize(math.lgamma, otypes=[float])


# --- functions -----------------------------------------------------------------------------------


def softplus(x: Array) -> Array:
    return np.logaddexp(0.0, x)


def sigmoid(x: Array) -> Array:
    return np.exp(-softplus(-x))


def log_sum_exp(x: Array, axis: int = -1) -> Array:
    return np.logaddexp.reduce(x, axis=axis)


def log_normal(x: Array, mean: Array | float, scale: Array | float) -> Array:
    return -0.5 * ((x - mean) / scale) ** 2 - np.log(scale) - 0.5 * math.log(2 * math.pi)


def log_student(x: Array, location: Array, scale: Array, degrees: Array) -> Array:
    half = 0.5 * np.asarray(degrees, float)
    constant = log_gamma(half + 0.5) - log_gamma(half) - 0.5 * np.log(2 * math.pi * half)
    return (
        constant
        - np.log(scale)
        - (half + 0.5) * np.log1p(((x - location) / scale) ** 2 / (2 * half))
    )


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0.0))),
    # Hendrycks & Gimpel 2016, by their hyperbolic tangent.
    "gelu": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "identity": lambda x: x,
    "leaky-relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "relu": lambda x: np.maximum(x, 0.0),
    "sigmoid": sigmoid,
    "silu": lambda x: x * sigmoid(x),
    "softplus": softplus,
    "tanh": np.tanh,
}


# --- networks: from (n, inputs) to (n, outputs) --------------------------------------------------


def network(part: Any, x: Array) -> Array:
    return _NETWORKS[part.module](part, x)


def _linear(part: Any, x: Array) -> Array:
    return x @ part.weight.T + (0.0 if part.bias is None else part.bias)


def _norm(part: Any, x: Array) -> Array:
    centred = x - x.mean(axis=-1, keepdims=True)
    spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + part.eps)
    return centred / spread * part.weight + part.bias


def _mlp(part: Any, x: Array) -> Array:
    for layer in part.layers[:-1]:
        x = ACTIVATIONS[part.activation](_linear(layer, x))
    return _linear(part.layers[-1], x)


def _normalized(part: Any, x: Array) -> Array:
    for layer, norm in zip(part.layers[:-1], part.norms, strict=True):
        x = ACTIVATIONS[part.activation](_norm(norm, _linear(layer, x)))
    return _linear(part.layers[-1], x)


def _gated(part: Any, x: Array) -> Array:
    for i, layer in enumerate(part.layers[:-1]):
        h, gate = np.split(_linear(layer, x), 2, axis=-1)
        x = (h if part.norms is None else _norm(part.norms[i], h)) * sigmoid(gate)
    return _linear(part.layers[-1], x)


def _residual(part: Any, x: Array) -> Array:
    act = ACTIVATIONS[part.activation]
    x = _linear(part.first, x)
    for block in part.blocks:
        inside = x if block.norm is None else _norm(block.norm, x)
        passed = x if block.skip is None else _linear(block.skip, x)
        x = passed + _linear(block.outer, act(_linear(block.inner, act(inside))))
    return _linear(part.last, act(x))


def _holed(part: Any, x: Array) -> Array:
    seen = ~np.isnan(x)
    return network(part.network, np.concatenate([np.where(seen, x, 0.0), seen], axis=-1))


def _of_columns(part: Any, x: Array) -> Array:
    features, seen = part.features, ~np.isnan(x)
    numbers, places = [], {}
    for j, kind in enumerate(features.columns):
        column, there = np.where(seen[:, j], x[:, j], 1.0), seen[:, j]
        name, _, levels = kind.rpartition("-")
        if name == "categorical":
            # A place for each code, which falls linearly to 0 at its neighbours.
            place = np.maximum(0.0, 1 - np.abs(column[:, None] - np.arange(int(levels))))
            places.setdefault(int(levels), []).append(there[:, None] * place)
            continue
        if kind == "log-normal":
            column = np.log(np.maximum(column, 1e-6))
        elif kind in ("poisson", "negative-binomial"):
            column = np.log1p(np.maximum(column, 0.0))
        standard = (column - features.centre[j]) / features.spread[j]
        numbers.append(there * np.clip(standard, -100, 100))
    parts = [np.stack(numbers, axis=-1)] if numbers else []
    parts += [of_code for levels in sorted(places) for of_code in places[levels]]
    return network(part.network, np.concatenate(parts + ([seen] if features.masked else []), -1))


_NETWORKS: dict[str, Callable[[Any, Array], Array]] = {
    "MLP": _mlp,
    "NormalizedMLP": _normalized,
    "GatedMLP": _gated,
    "ResidualMLP": _residual,
    "HoledNetwork": _holed,
    "ColumnNetwork": _of_columns,
}


# --- flows ---------------------------------------------------------------------------------------


def flow(part: Any, x: Array, context: Array | None = None) -> tuple[Array, Array]:
    """The image of each row of x, and log |det|: layers y = μ + σ x, the order reversed after each.

    μ and σ of an element depend on those before it (Papamakarios et al. 2017), or of the second
    half on the first (Dinh et al. 2017).
    """
    total = np.zeros(len(x))
    for weights in part.parameters:
        x, added = _flow_layer(part, weights, x, context)
        x, total = x[:, ::-1], total + added
    return x, total


def unflow(part: Any, y: Array, context: Array | None = None) -> tuple[Array, Array]:
    """The rows whose image is y, and log |det| of the inverse, one element after the other."""
    total = np.zeros(len(y))
    for weights in reversed(part.parameters):
        wanted = y[:, ::-1]
        x = wanted.copy()
        for _ in range(part.dim):  # each pass makes one element more right
            mean, scale = _coefficients(part, weights, x, context)
            x = (wanted - mean) / scale
        total = total - np.log(_coefficients(part, weights, x, context)[1]).sum(axis=1)
        y = x
    return y, total


def _flow_layer(part: Any, weights: Any, x: Array, context: Array | None) -> tuple[Array, Array]:
    mean, scale = _coefficients(part, weights, x, context)
    return mean + scale * x, np.log(scale).sum(axis=1)


def _coefficients(part: Any, weights: Any, x: Array, context: Array | None) -> tuple[Array, Array]:
    first, first_bias, last, last_bias = weights
    dim, inputs = part.dim, x
    given = 0 if context is None else len(context)
    free = 0
    if part.kind == "coupling":
        free = dim // 2
        inputs = x[:, :free]
    if context is not None:
        inputs = np.concatenate([inputs, np.broadcast_to(context, (len(x), given))], axis=1)
    if part.kind != "coupling":
        # Germain et al. 2015: a unit sees what is of no higher rank, an output what is of a lower.
        units = np.arange(part.width)
        rank = units % dim - 1 if given else units % (dim - 1)
        of_input = np.concatenate([np.arange(dim), np.full(given, -1)])
        first = np.where(rank[:, None] >= of_input, first, 0.0)
        last = np.where(np.repeat(np.arange(dim), 2)[:, None] > rank, last, 0.0)
    out = np.tanh(inputs @ first.T + first_bias) @ last.T + last_bias
    mean, raw = np.moveaxis(out.reshape(len(x), -1, 2), 2, 0)
    scale = 0.01 + softplus(raw + math.log(math.expm1(0.99)))
    still = np.zeros((len(x), free))
    return np.concatenate([still, mean], axis=1), np.concatenate([still + 1.0, scale], axis=1)
