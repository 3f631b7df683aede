"""Whether what was exported gives what the model gives, on rows drawn from the model itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from elbax.evaluate.generate import generate
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.program.functions import Function, Units

ROWS, DRAWS = 1_000, 3
LIMIT = 1e-4  # of a deviation, relative to the largest number of its kind
_TIES = 0.005
_HOLES = 0.1  # of the cells, where the model knows cells that were not observed

Arrays = dict[str, np.ndarray]


def random_rows(
    model: LatentVariableModel, shape: tuple[int, ...], units: Units, seed: int = 0
) -> Arrays:
    """Rows `x`, latents `z` and conditions that the model itself makes.

    z is drawn from p(z), x from p(x|z); where the model knows holes a tenth of the cells is NaN.

    Args:
        model: The model.
        shape: Of one datum.
        units: The data's own.
        seed: Of the draws.
    """
    rng = np.random.default_rng(seed)
    condition = None
    if model.condition_dim:
        condition = np.eye(model.condition_dim, dtype=np.float32)[
            np.arange(ROWS) % model.condition_dim
        ]
    key = jax.random.key(seed)
    x, z = generate(model, ROWS, key, draw=True, condition=condition)
    x = np.asarray(units.own(x / model.preprocessing.scale + model.preprocessing.shift))
    if _knows_holes(model, shape, condition):
        x = np.where(rng.random(x.shape) < _HOLES, np.nan, x)
    found = {"x": x.astype(np.float32), "z": np.asarray(z, np.float32)}
    return found if condition is None else {**found, "condition": condition}


def _knows_holes(
    model: LatentVariableModel, shape: tuple[int, ...], condition: np.ndarray | None
) -> bool:
    blank = jnp.full(shape, jnp.nan)
    given = None if condition is None else jnp.asarray(condition[0])
    encoded = jax.jit(lambda x: jax.tree.leaves(model.encode(model.preprocessing(x), given)))
    return all(bool(jnp.isfinite(leaf).all()) for leaf in encoded(blank))


def wanted(
    function: Function, inputs: Mapping[str, np.ndarray], noise: Callable[[Any], Any] | None
) -> tuple[Arrays, list[np.ndarray]]:
    """What the exported function is given, and what the model's own gives.

    Args:
        function: The model's own.
        inputs: Rows by name.
        noise: From a key to the inputs that stand for it, where the function draws: the bound of
            several draws is then what is wanted.
    """
    rows = {name: np.asarray(inputs[name]) for name in function.inputs}
    if noise is None:
        found = jax.jit(jax.vmap(function.call))(*rows.values())
        return rows, [np.asarray(one) for one in found]
    keys = jax.random.split(jax.random.key(1), (len(rows["x"]), DRAWS))

    def of_row(*given: Any) -> tuple[Any, Any]:
        *arrays, key = given
        weights = [
            jax.nn.logsumexp(one) - np.log(DRAWS)
            for one in jax.vmap(lambda key: function.call(*arrays, key))(key)
        ]
        return weights, jax.vmap(noise)(key)

    found, drawn = jax.jit(jax.vmap(of_row))(*rows.values(), keys)
    drawn = {name: np.asarray(one) for name, one in drawn.items()}
    return rows | drawn, [np.asarray(one) for one in found]


def deviation(found: list[np.ndarray], wanted: list[np.ndarray]) -> float:
    """The greatest difference, relative to the largest such number over the rows.

    Infinite where shapes, or what is finite, differ. A code that differs in one row of 200 at most
    is the most probable of two that are equally so, which rounding decides.

    Args:
        found: (rows, …) arrays.
        wanted: What they should be.
    """
    worst = 0.0
    for got, right in zip(found, wanted, strict=True):
        if got.shape != right.shape or (np.isfinite(got) != np.isfinite(right)).any():
            return float("inf")
        one, other = (np.where(np.isfinite(a), a, 0.0).astype(np.float64) for a in (got, right))
        tied = (one != other) & (one == np.rint(one)) & (other == np.rint(other))
        one = np.where(tied & (tied.mean(axis=0) <= _TIES), other, one)
        largest = np.abs(other).max(axis=0, initial=0.0)
        scale = np.where(largest > 0, largest, 1.0)
        worst = max(worst, float(np.max(np.abs(one - other) / scale, initial=0.0)))
    return worst
