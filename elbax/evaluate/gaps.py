"""Where the bound is lost: which part of the gap is whose fault, and what the bound is made of."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.scipy.special import logsumexp
from jaxtyping import Array, Bool, Float, PRNGKeyArray, Scalar

from elbax.evaluate.bounds import Mean, elbo, mean
from elbax.evaluate.tiles import Rows, map_rows
from elbax.model.distributions.basic import sample_and_log_prob
from elbax.model.interfaces import AbstractPosterior, SamplesWithLogProb
from elbax.model.latent_variable_model import Encoder, LatentVariableModel

# Of the search for the best q(z|x) of one datum.
DRAWS = 10
LEARNING_RATE = 0.05  # at the start; it falls to 0 along a cosine

_ROWS = 50  # in a tile, each with several draws
_BATCH = 20  # draws of a row at a time
_ENCODED = 25  # rows whose posteriors are evaluated at
_POINTS = 2000  # latents at a time


@dataclasses.dataclass(frozen=True)
class InferenceGap:
    """The gap between log p(x) and its bound, datum by datum, in nats.

    Attributes:
        log_likelihood: An estimate of log p(x).
        best_elbo: The bound with the best q(z|x) of the family for each datum.
        elbo: The bound with the encoder's q(z|x).
    """

    log_likelihood: Float[np.ndarray, " rows"]
    best_elbo: Float[np.ndarray, " rows"]
    elbo: Float[np.ndarray, " rows"]

    @property
    def approximation(self) -> Float[np.ndarray, " rows"]:
        """What the family costs: no member of it is p(z|x)."""
        return self.log_likelihood - self.best_elbo

    @property
    def amortisation(self) -> Float[np.ndarray, " rows"]:
        """What the encoder costs: it does not find the best member."""
        return self.best_elbo - self.elbo

    def means(self) -> dict[str, Mean]:
        """The averages over the data, with standard errors."""
        names = ("log_likelihood", "best_elbo", "elbo", "approximation", "amortisation")
        return {name: mean(getattr(self, name)) for name in names}


@dataclasses.dataclass(frozen=True)
class RateDistortion:
    """One point of the rate-distortion plane, in nats per datum.

    Attributes:
        rate: KL(q(z|x) ‖ p(z)): what the latents may tell of the data.
        distortion: −E_q[log p(x|z)]: what they leave open.
    """

    rate: Mean
    distortion: Mean


@dataclasses.dataclass(frozen=True)
class ElboSplit:
    """The bound in three parts, averaged over the data: elbo = reconstruction − the two others.

    Attributes:
        reconstruction: E_q[log p(x|z)], in nats per datum.
        mutual_information: Between a datum's number and its latent, I(n; z), in nats.
        aggregate_kl: KL(mean over n of q(z|xₙ) ‖ p(z)), in nats.
        count: N, how many rows it was made from.
    """

    reconstruction: float
    mutual_information: float
    aggregate_kl: float
    count: int

    @property
    def ceiling(self) -> float:
        """Log N: no mutual information with one of N numbers is larger."""
        return math.log(self.count)

    @property
    def elbo(self) -> float:
        """The bound: reconstruction − mutual information − aggregate KL."""
        return self.reconstruction - self.mutual_information - self.aggregate_kl


def inference_gap(
    model: LatentVariableModel,
    rows: Rows,
    *,
    key: PRNGKeyArray,
    steps: int = 500,
    samples: int = 1000,
    log_likelihood: Float[np.ndarray, " rows"] | None = None,
) -> InferenceGap:
    """The gap log p(x) − ELBO of each row, split into what the family and what the encoder cost.

    Cremer, Li & Duvenaud 2018, eq. 4. The best q(z|x) of each row is searched by Adam in what the
    encoder's network gives, from what it does give, with fresh noise in each of `steps` steps. Both
    bounds are then evaluated at draws that the search did not see (the same for both), so that the
    best one is not fitted to its noise: where the encoder is at the optimum, the amortisation gap
    of a row may be a little below 0.

    Args:
        model: A model whose encoder is a network followed by a posterior family with a density.
        rows: Data as stored (the model's preprocessing is applied), rows along the leading axis. A
            model that binarises draws one binary datum a row: the same as `importance` at this key.
        key: The randomness: of row i and draw s, so that a row's result depends on no other row.
        steps: Of the search, each with 10 draws.
        samples: Draws for the final evaluation.
        log_likelihood: Estimates of log p(x), one a row, such as those of `annealed` at this key;
            None takes importance sampling with the `samples` draws of the best q(z|x), which is
            never below `best_elbo`.

    Raises:
        ValueError: There are no rows, steps or samples; the estimates are not one a row; or the
            encoder has no vector of parameters that could be optimised.
    """
    if min(len(rows), steps, samples) < 1:
        raise ValueError(
            f"{len(rows)} rows, {steps} steps and {samples} samples; give at least one of each"
        )
    if log_likelihood is not None and np.shape(log_likelihood) != (len(rows),):
        raise ValueError(
            f"log_likelihood has shape {np.shape(log_likelihood)}; give one number for each of "
            f"{len(rows)} rows"
        )
    _check_optimisable(model)
    found = map_rows(_best_and_given(steps, samples), model, rows, key, tile=_ROWS)
    importance, best, given = (np.asarray(a, np.float64) for a in found)
    if log_likelihood is None:
        log_likelihood = importance
    return InferenceGap(np.asarray(log_likelihood, np.float64), best, given)


def rate_distortion(
    model: LatentVariableModel, rows: Rows, *, key: PRNGKeyArray, samples: int = 10
) -> RateDistortion:
    """Rate and distortion of a model on data (Alemi et al. 2018, §2): ELBO = −(rate + distortion).

    Args:
        model: The model.
        rows: Data as stored (the model's preprocessing is applied), rows along the leading axis.
        key: As for `elbo`.
        samples: As for `elbo`.

    Raises:
        ValueError: There are no rows, or no samples.
    """
    terms = elbo(model, rows, key=key, samples=samples)
    return RateDistortion(rate=mean(terms.kl), distortion=mean(-terms.reconstruction))


def elbo_split(
    model: LatentVariableModel, rows: Rows, *, key: PRNGKeyArray, samples: int = 10
) -> ElboSplit:
    """The bound as reconstruction − mutual information − KL(aggregate posterior ‖ prior).

    Hoffman & Johnson 2016, eq. 6. The aggregate posterior is the exact mixture of the posteriors of
    *these* N rows: a row's own posterior is one of the N, so the mutual information saturates at
    log N (`ceiling`), and what it lacks appears in the other KL. A result near the ceiling says
    that the true ones are beyond this N; results of different N do not compare.

    It costs N² · `samples` evaluations of q(z|x), streamed: 5,000 rows and 10 samples are 250
    million.

    Args:
        model: A model whose posterior can be evaluated at any z.
        rows: Data as stored (the model's preprocessing is applied), rows along the leading axis. A
            model that binarises draws one binary datum a row.
        key: The randomness: of row i and draw s. The draws are those of `elbo`.
        samples: Draws z ~ q(z|x) a row.

    Raises:
        ValueError: There are no rows or samples, or the posterior or the prior cannot be evaluated.
    """
    if len(rows) < 1 or samples < 1:
        raise ValueError(
            f"{len(rows)} rows and {samples} samples; the split needs at least one of each"
        )
    x, z, *terms = map_rows(_draws(samples), model, rows, key, tile=_ROWS)
    reconstruction, log_p, log_q = (np.asarray(a, np.float64).ravel() for a in terms)
    z = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), z)
    log_aggregate = _log_aggregate(model, x, z) - math.log(len(rows))
    return ElboSplit(
        reconstruction=float(np.mean(reconstruction)),
        mutual_information=float(np.mean(log_q - log_aggregate)),
        aggregate_kl=float(np.mean(log_aggregate - log_p)),
        count=len(rows),
    )


def _check_optimisable(model: LatentVariableModel) -> None:
    if not isinstance(model.encoder, Encoder):
        raise ValueError(
            f"{type(model.encoder).__name__} is not a network followed by a posterior family, so "
            "there are no parameters of one datum to optimise; use elbax.model.Encoder"
        )
    family = model.encoder.posterior
    name = type(family).__name__
    if not family.has_density:
        raise ValueError(f"the posterior {name} has no density, so no bound to optimise")
    if family.gradient == "relaxed":
        raise ValueError(
            f"the draws of the posterior {name} have the gradient of a relaxation, which does not "
            "find the best bound; use a posterior with real latents"
        )


# --- one row; the same function for the same numbers, so that it is compiled once --------------


@functools.cache
def _best_and_given(steps: int, samples: int) -> Callable[..., tuple[Scalar, Scalar, Scalar]]:
    def of_row(
        model: LatentVariableModel, row: Array, key: PRNGKeyArray
    ) -> tuple[Scalar, Scalar, Scalar]:
        assert isinstance(model.encoder, Encoder)
        binarize, latent = jax.random.split(key)
        search, evaluation = jax.random.split(latent)
        x = model.preprocessing(row, binarize)
        log_weight = _log_weight(model, model.encoder.posterior, x)

        given = model.encoder.network(x)
        best = _search(log_weight, given, steps, search)

        def at(parameters: Array) -> Array:
            def draw(number: Array) -> Scalar:
                return log_weight(parameters, jax.random.fold_in(evaluation, number))

            return jax.lax.map(draw, jnp.arange(samples), batch_size=_BATCH)

        at_best = at(best)
        importance = logsumexp(at_best) - math.log(samples)
        return importance, jnp.mean(at_best), jnp.mean(at(given))

    return of_row


def _log_weight(
    model: LatentVariableModel, family: AbstractPosterior, x: Array
) -> Callable[[Array, PRNGKeyArray], Scalar]:
    """From the posterior's parameters and a key to log p(x, z) − log q(z), z ~ q."""
    p = model.prior_distribution()

    def weigh(parameters: Array, key: PRNGKeyArray) -> Scalar:
        q = family(parameters)
        if isinstance(q, SamplesWithLogProb):
            z, log_q = q.sample_and_log_prob(key)
        else:
            # The score of q has a mean of zero; without it the gradient has no noise where q is
            # p(z|x) (Roeder, Wu & Duvenaud 2017).
            z = q.sample(key)
            log_q = family(jax.lax.stop_gradient(parameters)).log_prob(z)
        return model.log_likelihood(x, z) + p.log_prob(z) - log_q

    return weigh


def _search(
    log_weight: Callable[[Array, PRNGKeyArray], Scalar],
    start: Float[Array, " parameters"],
    steps: int,
    key: PRNGKeyArray,
) -> Float[Array, " parameters"]:
    """The parameters with the largest mean log-weight, by Adam."""
    optimiser = optax.adam(optax.cosine_decay_schedule(LEARNING_RATE, steps))

    def loss(parameters: Array, key: PRNGKeyArray) -> Scalar:
        keys = jax.random.split(key, DRAWS)
        return -jnp.mean(jax.vmap(lambda key: log_weight(parameters, key))(keys))

    def step(number: Any, carry: tuple[Array, Any]) -> tuple[Array, Any]:
        parameters, state = carry
        gradient = jax.grad(loss)(parameters, jax.random.fold_in(key, number))
        updates, state = optimiser.update(gradient, state)
        return parameters + updates, state  # pyright: ignore[reportOperatorIssue] (a tree of one)

    return jax.lax.fori_loop(0, steps, step, (start, optimiser.init(start)))[0]


@functools.cache
def _draws(samples: int) -> Callable[..., tuple[Any, ...]]:
    """Of a row: the datum, its draws, and at each log p(x|z), log p(z) and log q(z|x)."""

    def of_row(model: LatentVariableModel, row: Array, key: PRNGKeyArray) -> tuple[Any, ...]:
        def keys(number: Array) -> Array:
            return jax.random.split(jax.random.fold_in(key, number))

        x = model.preprocessing(row, keys(jnp.asarray(0))[0])
        q, p = model.encode(x), model.prior_distribution()
        for name, distribution in (("posterior", q), ("prior", p)):
            if not hasattr(distribution, "log_prob"):
                raise ValueError(
                    f"the {name} ({type(distribution).__name__}) has no log-density at a given "
                    "point, so the bound cannot be split; use one that has"
                )

        def draw(number: Array) -> tuple[Any, ...]:
            z, log_q = sample_and_log_prob(q, keys(number)[1])
            return z, model.log_likelihood(x, z), p.log_prob(z), log_q

        return x, *jax.lax.map(draw, jnp.arange(samples))

    return of_row


# --- the aggregate posterior ---------------------------------------------------------------


def _log_aggregate(model: LatentVariableModel, x: np.ndarray, z: Any) -> Float[np.ndarray, " z"]:
    """Log Σ over rows of q(z|row), at each latent along the leading axis of z."""
    groups = -(-len(x) // _ENCODED)
    padded = np.resize(x, (groups, _ENCODED, *x.shape[1:]))
    counts = np.arange(groups * _ENCODED).reshape(groups, _ENCODED) < len(x)
    points = len(jax.tree.leaves(z)[0])
    parts = []
    for start in range(0, points, _POINTS):
        chosen = np.minimum(np.arange(start, start + _POINTS), points - 1)
        parts.append(_log_sum(model, padded, counts, jax.tree.map(lambda a, i=chosen: a[i], z)))
    return np.concatenate([np.asarray(part, np.float64) for part in parts])[:points]


@eqx.filter_jit
def _log_sum(
    model: LatentVariableModel,
    x: Float[Any, "groups rows *shape"],
    counts: Bool[Any, "groups rows"],
    z: Any,
) -> Float[Array, " points"]:
    def add(total: Array, group: tuple[Array, Array]) -> tuple[Array, None]:
        def of_row(x: Array, counts: Array) -> Array:
            log_q = jax.vmap(model.encode(x).log_prob)(z)
            return jnp.where(counts, log_q, -jnp.inf)

        return jnp.logaddexp(total, logsumexp(jax.vmap(of_row)(*group), axis=0)), None

    nothing = jnp.full(len(jax.tree.leaves(z)[0]), -jnp.inf)
    return jax.lax.scan(add, nothing, (x, counts))[0]
