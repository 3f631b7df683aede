"""Where the bound is lost: which part of the gap is whose fault, and what the bound is made of."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float, PRNGKeyArray, Scalar

from elbax.evaluate.bounds import Mean, elbo, mean
from elbax.evaluate.tiles import Rows, binary_datum, map_rows
from elbax.model.interfaces import AbstractPosterior, SamplesWithLogProb
from elbax.model.latent_variable_model import Encoder, LatentVariableModel
from elbax.util.keys import stream

# Of the search for the best q(z|x) of one datum.
DRAWS = 10
LEARNING_RATE = 0.05  # at the start; it falls to 0 along a cosine

_ROWS = 50  # in a tile, each with several draws
_BATCH = 20  # draws of a row at a time


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
    if family.latent == "codes":
        raise ValueError(
            f"the posterior {name} chooses codes: the best of them are not found along a gradient"
        )
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
        search, evaluation = jax.random.split(stream(key, "gap"))
        x = model.preprocessing(row, binary_datum(key))
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
    import optax  # 0.3 s, for this alone

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
