"""Models in float64 by NumPy alone: each part from its formula, its parameters from the file.

What elbax computes in float32 is computed again here, and shares nothing with it but the parameters
in `model.safetensors` and the standard noise that it drew.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import safetensors.numpy

from tests.campaign.networks import (
    Array,
    flow,
    log_gamma,
    log_normal,
    log_student,
    log_sum_exp,
    network,
    sigmoid,
    softplus,
    unflow,
)

FILLING = 1.0  # what stands in a missing element before the likelihood; its term is left out


def read(path: Path) -> Any:
    """A model file as nested namespaces; `module` is what one is, arrays are float64."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])["__metadata__"]
    return _node(json.loads(header["architecture"]), "", safetensors.numpy.load(content))


def _node(said: Any, place: str, tensors: dict[str, Array]) -> Any:
    if not isinstance(said, dict):
        return said
    inside = lambda name, value: _node(value, f"{place}.{name}" if place else name, tensors)  # noqa: E731
    if "module" in said:
        fields = {name: inside(name, value) for name, value in said["fields"].items()}
        return SimpleNamespace(module=said["module"], **fields)
    if "array" in said:
        return np.asarray(tensors[place], np.float64)
    (items,) = said.values()
    return [inside(str(i), item) for i, item in enumerate(items)]


# --- q(z|x) --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Posterior:
    """q(z|x) of one datum.

    Attributes:
        drawn: From standard noise (n, …) to z (n, latents) and log q(z|x).
        log_prob: Of any z; None where there is no inverse.
        kl_to_standard: KL(q ‖ N(0, I)), or to uniform categories; None without a closed form.
    """

    drawn: Callable[[Array], tuple[Array, Array]]
    log_prob: Callable[[Array], Array] | None
    kl_to_standard: float | None


def posterior(family: Any, parameters: Array) -> Posterior:
    return _POSTERIORS[family.module](family, parameters)


def _start(parameters: Array) -> tuple[Array, Array]:
    mean, log_variance = np.split(parameters, 2)
    return mean, np.exp(0.5 * log_variance)


def _diagonal(_: Any, parameters: Array) -> Posterior:
    mean, scale = _start(parameters)
    log_prob = lambda z: log_normal(z, mean, scale).sum(axis=1)  # noqa: E731

    def drawn(noise: Array) -> tuple[Array, Array]:
        z = mean + scale * noise
        return z, log_prob(z)

    kl = 0.5 * np.sum(scale**2 + mean**2 - 1) - np.log(scale).sum()
    return Posterior(drawn, log_prob, float(kl))


def _full(family: Any, parameters: Array) -> Posterior:
    d = family.latent_dim
    mean, log_variance, below = np.split(parameters, (d, 2 * d))
    root = np.diag(np.exp(0.5 * log_variance))
    root[np.tril_indices(d, -1)] = below

    def log_prob(z: Array) -> Array:
        white = np.linalg.solve(root, (z - mean).T).T
        return log_normal(white, 0.0, 1.0).sum(axis=1) - np.log(np.diag(root)).sum()

    def drawn(noise: Array) -> tuple[Array, Array]:
        z = mean + noise @ root.T
        return z, log_prob(z)

    kl = 0.5 * (np.sum(root**2) + mean @ mean - d) - np.log(np.diag(root)).sum()
    return Posterior(drawn, log_prob, float(kl))


def _student(family: Any, parameters: Array) -> Posterior:
    location, scale = _start(parameters)
    log_prob = lambda z: log_student(z, location, scale, family.degrees).sum(axis=1)  # noqa: E731

    def drawn(noise: Array) -> tuple[Array, Array]:
        z = location + scale * noise
        return z, log_prob(z)

    return Posterior(drawn, log_prob, None)


def _planar(family: Any, parameters: Array) -> Posterior:
    d = family.latent_dim
    rows = parameters[2 * d :].reshape(family.layers, -1)

    def layer(row: Array, z: Array) -> tuple[Array, Array]:
        w, u, b = row[:d], row[d:-1], row[-1]
        product = w @ u
        u = u + (softplus(product + math.log(math.e - 1)) - 1 - product) * w / (w @ w)
        h = np.tanh(z @ w + b)
        return z + h[:, None] * u, np.log1p((1 - h**2) * (w @ u))

    return _pushed(parameters[: 2 * d], [lambda z, row=row: layer(row, z) for row in rows])


def _sylvester(family: Any, parameters: Array) -> Posterior:
    d, k = family.latent_dim, family.reflections
    upper, triangle = np.triu_indices(d), d * (d + 1) // 2
    rows = parameters[2 * d :].reshape(family.layers, -1)

    def layer(row: Array, z: Array) -> tuple[Array, Array]:
        vectors, outer, inner, bias = np.split(row, np.cumsum([k * d, triangle, triangle]))
        q = np.eye(d)
        for v in vectors.reshape(k, d):
            q = q @ (np.eye(d) - 2 * np.outer(v, v) / (v @ v))
        triangles = []
        for entries in (outer, inner):
            matrix = np.zeros((d, d))
            matrix[upper] = entries
            np.fill_diagonal(matrix, np.tanh(np.diag(matrix)))
            triangles.append(matrix)
        r, s = triangles
        h = np.tanh(z @ q @ s.T + bias)
        slopes = (1 - h**2) * np.diag(r) * np.diag(s)
        return z + h @ r.T @ q.T, np.log1p(slopes).sum(axis=1)

    return _pushed(parameters[: 2 * d], [lambda z, row=row: layer(row, z) for row in rows])


def _pushed(start: Array, layers: Sequence[Callable[[Array], tuple[Array, Array]]]) -> Posterior:
    mean, scale = _start(start)

    def drawn(noise: Array) -> tuple[Array, Array]:
        z = mean + scale * noise
        log_q = log_normal(z, mean, scale).sum(axis=1)
        for layer in layers:
            z, log_det = layer(z)
            log_q = log_q - log_det
        return z, log_q

    return Posterior(drawn, None, None)


def _through_context(family: Any, parameters: Array) -> Posterior:
    d = family.latent_dim
    mean, scale = _start(parameters[: 2 * d])
    context = parameters[2 * d :]

    def drawn(noise: Array) -> tuple[Array, Array]:
        start = mean + scale * noise
        z, log_det = flow(family.flow, start, context)
        return z, log_normal(start, mean, scale).sum(axis=1) - log_det

    def log_prob(z: Array) -> Array:
        start, log_det = unflow(family.flow, z, context)
        return log_normal(start, mean, scale).sum(axis=1) + log_det

    return Posterior(drawn, log_prob, None)


def _categories(family: Any, parameters: Array) -> Posterior:
    logits = parameters.reshape(-1, family.categories)
    log_p = logits - log_sum_exp(logits)[:, None]

    def drawn(noise: Array) -> tuple[Array, Array]:
        top = np.argmax(logits + noise, axis=-1)
        z = np.eye(family.categories)[top]
        return z.reshape(len(z), -1), (z * log_p).sum(axis=(1, 2))

    kl = np.sum(np.exp(log_p) * (log_p + math.log(family.categories)))
    return Posterior(drawn, lambda z: z @ log_p.ravel(), float(kl))


_POSTERIORS: dict[str, Callable[[Any, Array], Posterior]] = {
    "DiagonalNormal": _diagonal,
    "FullNormal": _full,
    "DiagonalStudentT": _student,
    "PlanarFlow": _planar,
    "SylvesterFlow": _sylvester,
    "InverseAutoregressiveFlow": _through_context,
    "CouplingFlow": _through_context,
    "GumbelSoftmax": _categories,
}


# --- p(z) ----------------------------------------------------------------------------------------


def log_prior(model: Any, z: Array) -> Array:
    """Log p(z) of each row of z."""
    return _PRIORS[model.prior.module](model, z)


def _standard(_: Any, z: Array) -> Array:
    return log_normal(z, 0.0, 1.0).sum(axis=1)


def _mixture(model: Any, z: Array) -> Array:
    prior, terms = model.prior, []
    log_weights = prior.logits - log_sum_exp(prior.logits)
    for k, log_weight in enumerate(log_weights):
        root = np.diag(np.exp(0.5 * prior.log_variance[k]))
        if prior.below is not None:
            root[np.tril_indices(len(root), -1)] = prior.below[k]
        white = np.linalg.solve(root, (z - prior.mean[k]).T).T
        density = log_normal(white, 0.0, 1.0).sum(axis=1) - np.log(np.diag(root)).sum()
        terms.append(log_weight + density)
    return log_sum_exp(np.stack(terms), axis=0)


def _vamp(model: Any, z: Array) -> Array:
    raw, bounds = model.prior.raw, model.prior.bounds
    if bounds is not None:
        raw = bounds[0] + (bounds[1] - bounds[0]) * sigmoid(raw)
    terms = [encode(model, row).log_prob for row in raw]
    return log_sum_exp(np.stack([of(z) for of in terms if of]), axis=0) - math.log(len(raw))


def _through_flow(model: Any, z: Array) -> Array:
    prior = model.prior
    noise, log_det = flow(prior.flow, (z - prior.shift) / np.exp(prior.log_scale))
    return log_normal(noise, 0.0, 1.0).sum(axis=1) + log_det - prior.log_scale.sum()


def _uniform_categories(model: Any, z: Array) -> Array:
    return np.full(len(z), -math.log(model.prior.categories) * z.shape[1] / model.prior.categories)


_PRIORS: dict[str, Callable[[Any, Array], Array]] = {
    "StandardNormal": _standard,
    "MixtureOfNormals": _mixture,
    "VampPrior": _vamp,
    "FlowPrior": _through_flow,
    "UniformCategorical": _uniform_categories,
}


# --- p(x|z) --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Given:
    """p(x|z) of one datum at n latents.

    Attributes:
        log_prob: (n, elements) terms of the observed elements, 0 of the others.
        means: (n, elements) of the missing elements given the observed ones and z.
        masses: (n, levels, elements) of codes; None of numbers.
    """

    log_prob: Array
    means: Array
    masses: Array | None = None


def likelihood(family: Any, parameters: Array, x: Array) -> Given:
    """The family at (n, parameters), of a datum x in which NaN is not observed."""
    filled = np.where(np.isnan(x), FILLING, x)
    found = _LIKELIHOODS[family.module](family, parameters, filled, ~np.isnan(x))
    return Given(np.where(np.isnan(x), 0.0, found.log_prob), found.means, found.masses)


def _location_scale(family: Any, parameters: Array, size: int) -> tuple[Array, Array]:
    if family.fixed_scale is not None:
        return parameters, np.full(size, family.fixed_scale)
    log_scale = family.log_scale
    if log_scale is None:
        parameters, log_scale = np.split(parameters, 2, axis=1)
    return parameters, np.broadcast_to(family.minimum_scale + np.exp(log_scale), parameters.shape)


def _bernoulli(_: Any, logits: Array, x: Array, __: Array) -> Given:
    return Given(
        x * logits - softplus(logits),
        sigmoid(logits),
        np.stack([sigmoid(-logits), sigmoid(logits)], 1),
    )


def _continuous_bernoulli(_: Any, logits: Array, x: Array, __: Array) -> Given:
    # Loaiza-Ganem & Cunningham 2019: the density e^(l x) over its integral (eˡ − 1) / l.
    return Given(
        x * logits - np.log(np.expm1(logits) / logits),
        1 / (-np.expm1(-logits)) - 1 / logits,
    )


def _normal(family: Any, parameters: Array, x: Array, _: Array) -> Given:
    mean, scale = _location_scale(family, parameters, len(x))
    return Given(log_normal(x, mean, scale), mean)


def _laplace(family: Any, parameters: Array, x: Array, _: Array) -> Given:
    location, scale = _location_scale(family, parameters, len(x))
    return Given(-np.abs(x - location) / scale - np.log(2 * scale), location)


def _student_t(family: Any, parameters: Array, x: Array, _: Array) -> Given:
    location, scale = _location_scale(family, parameters, len(x))
    degrees = family.fixed_freedom
    if family.log_freedom is not None:
        degrees = 2.1 + np.exp(family.log_freedom)
    return Given(log_student(x, location, scale, degrees), location)


def _lognormal(family: Any, parameters: Array, x: Array, _: Array) -> Given:
    location, scale = _location_scale(family, parameters, len(x))
    mean = np.exp(location + 0.5 * scale**2)
    return Given(log_normal(np.log(x), location, scale) - np.log(x), mean)


def _poisson(_: Any, log_rate: Array, x: Array, __: Array) -> Given:
    return Given(x * log_rate - np.exp(log_rate) - log_gamma(x + 1), np.exp(log_rate))


def _negative_binomial(family: Any, parameters: Array, x: Array, _: Array) -> Given:
    log_theta = family.log_concentration
    if log_theta is None:
        parameters, log_theta = np.split(parameters, 2, axis=1)
    mean, theta = np.exp(parameters), np.exp(log_theta) + 0 * parameters
    ways = log_gamma(x + theta) - log_gamma(theta) - log_gamma(x + 1)
    return Given(
        ways + theta * np.log(theta / (theta + mean)) + x * np.log(mean / (theta + mean)), mean
    )


def _by_masses(log_masses: Array, x: Array, highest: float) -> Given:
    """Of log-masses (n, levels, elements)."""
    n, levels, _ = log_masses.shape
    level = np.clip(np.rint(x * (levels - 1) / highest), 0, levels - 1).astype(int)
    masses = np.exp(log_masses)
    means = np.einsum("nle,l->ne", masses, np.linspace(0, highest, levels))
    return Given(log_masses[:, level, np.arange(len(x))].reshape(n, -1), means, masses)


def _categorical(family: Any, parameters: Array, x: Array, _: Array) -> Given:
    logits = parameters.reshape(len(parameters), family.levels, -1)
    return _by_masses(logits - log_sum_exp(logits, axis=1)[:, None], x, family.highest)


def _ordinal(family: Any, parameters: Array, x: Array, _: Array) -> Given:
    # McCullagh 1980: P(x ≤ level k) = σ(cₖ − η).
    rises = np.cumsum(np.exp(family.log_steps), axis=0)
    cutpoints = np.concatenate([family.first_cutpoint[None], family.first_cutpoint + rises])
    odds = cutpoints[None] - parameters[:, None]
    first, last = -softplus(-odds[:, :1]), -softplus(odds[:, -1:])
    # σ(a) − σ(b) = σ(a) σ(−b) (1 − e^(b − a)), which keeps its digits far out.
    inner = -softplus(-odds[:, 1:]) - softplus(odds[:, :-1])
    inner = inner + np.log(-np.expm1(odds[:, :-1] - odds[:, 1:]))
    log_masses = np.concatenate([first, inner, last], axis=1)
    return _by_masses(log_masses, x, family.highest)


def _rounded(
    levels: int, highest: float, weights: Array, location: Array, scale: Array, x: Array
) -> Given:
    """Mixtures (n, components, elements) of logistic variables, rounded to levels in [−1, 1]."""
    edges = (2 * np.arange(levels - 1) + 1) / (levels - 1) - 1
    below = sigmoid((edges[:, None] - location[:, :, None]) / scale[:, :, None])
    low, high = np.zeros_like(below[:, :, :1]), np.ones_like(below[:, :, :1])
    masses = np.diff(np.concatenate([low, below, high], axis=2), axis=2)
    mixed = np.einsum("nke,nkle->nle", weights, masses)
    found = _by_masses(np.log(mixed), x, highest)
    return Given(found.log_prob, found.means)


def _discretized(family: Any, parameters: Array, x: Array, _: Array) -> Given:
    location, scale = _location_scale(family, parameters, len(x))
    scale = np.broadcast_to(scale, location.shape)[:, None]
    weights = np.ones_like(scale)
    return _rounded(family.levels, family.highest, weights, location[:, None], scale, x)


def _discretized_mixture(family: Any, parameters: Array, x: Array, _: Array) -> Given:
    shape = len(parameters), 3, family.components, len(x)
    logits, location, log_scale = np.moveaxis(parameters.reshape(shape), 1, 0)
    weights = np.exp(logits - log_sum_exp(logits, axis=1)[:, None])
    scale = family.minimum_scale + np.exp(log_scale)
    return _rounded(family.levels, family.highest, weights, location, scale, x)


def _linked(family: Any, mean: Array, x: Array, seen: Array) -> Given:
    # N(μ, B Bᵀ + diag s²), whole: its sum alone is a density, and stands in the first element.
    scale = family.minimum_scale + np.exp(family.log_scale)
    covariance = family.loadings @ family.loadings.T + np.diag(scale**2)
    of_seen = covariance[np.ix_(seen, seen)]
    off = x[seen] - mean[:, seen]
    solved = np.linalg.solve(of_seen, off.T).T
    log_det = np.linalg.slogdet(of_seen)[1] + seen.sum() * math.log(2 * math.pi)
    total = -0.5 * (np.sum(off * solved, axis=1) + log_det) if seen.any() else np.zeros(len(mean))
    terms = np.zeros_like(mean)
    terms[:, seen] = (total / max(seen.sum(), 1))[:, None]
    return Given(terms, mean + solved @ covariance[seen])


def _columns(family: Any, parameters: Array, x: Array, seen: Array) -> Given:
    kinds = list(dict.fromkeys(family.columns))
    terms, means = (np.zeros((len(parameters), len(x))) for _ in range(2))
    masses = np.zeros((len(parameters), 16, len(x)))
    start = 0
    for kind, one in zip(kinds, family.families, strict=True):
        where = np.array([j for j, name in enumerate(family.columns) if name == kind])
        count = len(where) * (one.levels if one.module == "Categorical" else 1)
        own = parameters[:, start : start + count]
        found = _LIKELIHOODS[one.module](one, own, x[where], seen[where])
        terms[:, where], means[:, where] = found.log_prob, found.means
        if found.masses is not None:
            masses[:, : found.masses.shape[1], where] = found.masses
        start += count
    return Given(terms, means, masses)


_LIKELIHOODS: dict[str, Callable[[Any, Array, Array, Array], Given]] = {
    "Bernoulli": _bernoulli,
    "ContinuousBernoulli": _continuous_bernoulli,
    "Normal": _normal,
    "Laplace": _laplace,
    "StudentT": _student_t,
    "LogNormal": _lognormal,
    "Poisson": _poisson,
    "NegativeBinomial": _negative_binomial,
    "Categorical": _categorical,
    "Ordinal": _ordinal,
    "DiscretizedLogistic": _discretized,
    "DiscretizedLogisticMixture": _discretized_mixture,
    "LowRankNormal": _linked,
    "Mixed": _columns,
}


# --- a model -------------------------------------------------------------------------------------


def encode(model: Any, x: Array) -> Posterior:
    """q(z|x) of one datum."""
    return posterior(model.encoder.posterior, network(model.encoder.network, x[None])[0])


def decode(model: Any, x: Array, z: Array) -> Given:
    """p(x|z) of one datum at each row of z."""
    decoder = model.decoder
    return likelihood(decoder.likelihood, network(decoder.network, z), x)


@dataclass(frozen=True)
class Weighted:
    """One datum at n draws of q(z|x).

    Attributes:
        log_weights: Log p(x, z) − log q(z|x), in nats.
        log_p: Log p(x|z).
        given: p(x|z).
        posterior: q(z|x).
    """

    log_weights: Array
    log_p: Array
    given: Given
    posterior: Posterior

    @property
    def normalised(self) -> Array:
        """The weights, which sum to one."""
        return np.exp(self.log_weights - log_sum_exp(self.log_weights))


def weighted(model: Any, x: Array, noise: Array) -> Weighted:
    """A datum, NaN where not observed, at the draws that standard noise (n, …) makes."""
    q = encode(model, x)
    z, log_q = q.drawn(noise)
    given = decode(model, x, z)
    log_p = given.log_prob.sum(axis=1)
    return Weighted(log_p + log_prior(model, z) - log_q, log_p, given, q)


def bound(model: Any, x: Array, noise: Array) -> float:
    """The evidence lower bound, with KL in closed form where there is one."""
    found = weighted(model, x, noise)
    kl = found.posterior.kl_to_standard
    if kl is None or model.prior.module not in ("StandardNormal", "UniformCategorical"):
        return float(found.log_weights.mean())
    return float(found.log_p.mean() - kl)


def log_evidence(model: Any, x: Array, noise: Array) -> float:
    """Log p(x) by importance sampling."""
    return float(log_sum_exp(weighted(model, x, noise).log_weights) - math.log(len(noise)))


def shares(model: Any, x: Array, noise: Array) -> Array:
    """E[log p(x_j|z)] of each element under p(z|x); NaN where it was not observed."""
    found = weighted(model, x, noise)
    return np.where(np.isnan(x), np.nan, found.normalised @ found.given.log_prob)


def filled(model: Any, x: Array, noise: Array) -> Array:
    """A datum whose missing elements are what is expected of them, codes the most probable."""
    found = weighted(model, x, noise)
    value = found.normalised @ found.given.means
    family = model.decoder.likelihood
    if family.module == "Mixed" and found.given.masses is not None:
        masses = np.einsum("n,nle->le", found.normalised, found.given.masses)
        coded = [name == "binary" or name[:3] in ("cat", "ord") for name in family.columns]
        value = np.where(coded, masses.argmax(axis=0), value)
    return np.where(np.isnan(x), value, x)
