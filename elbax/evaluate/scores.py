"""Log p(x) of each row, and what each of its elements contributes.

log p(x) = Σ_j E[log p(x_j|z)] − KL(p(z|x) ‖ p(z)), the expectation under the posterior p(z|x): the
elements are independent given z, so each has a share of its own, and the information that the
latent holds is apart. It holds for any model, and the importance weights that estimate log p(x)
estimate each of the terms, so that they add up to it exactly.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from elbax.evaluate import weights
from elbax.evaluate.likelihoods import (
    CHUNK,
    LogLikelihoodEstimate,
    check_numbers,
    estimate_from,
    refuse_without_density,
)
from elbax.evaluate.tiles import binary_datum, map_rows
from elbax.evaluate.weights import LogWeights
from elbax.model.distributions.basic import sample_and_log_prob
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.util.keys import stream

# A row stands alone with its samples: in a larger tile its last bits would depend on its place.
_ROWS = 1


@dataclasses.dataclass(frozen=True)
class Scores:
    """Log p(x) of each row, in nats, and its terms.

    Attributes:
        estimate: Log p(x), its errors, and KL(p(z|x) ‖ p(z)) as `kl_posterior_prior`.
        elements: E[log p(x_j|z)] under p(z|x) of each element, NaN where it was not observed. Their
            sum less the KL is log p(x). Of a row that no sample can be weighed for it is under
            q(z|x): −∞ says which element has no density at any.
    """

    estimate: LogLikelihoodEstimate
    elements: Float[np.ndarray, "rows ..."]


class _Sums(eqx.Module):
    """Σ w and Σ w f over the samples so far, both over the exponential of the largest log w.

    And Σ f.
    """

    maximum: Float[Array, ""]
    total: Float[Array, ""]
    weighted: Float[Array, "..."]
    plain: Float[Array, "..."]

    def add(
        self, log_w: Float[Array, " chunk"], f: Float[Array, "chunk ..."], valid: Array
    ) -> "_Sums":
        """With a chunk more; a weight of −∞ counts nothing, whatever its f."""
        maximum = jnp.maximum(self.maximum, jnp.max(log_w))
        shift = jnp.where(maximum == -jnp.inf, 0.0, maximum)
        before, w = jnp.exp(self.maximum - shift), jnp.exp(log_w - shift)
        of_each = (-1, *[1] * (f.ndim - 1))
        finite = jnp.where(w.reshape(of_each) > 0, f, 0.0)
        return _Sums(
            maximum,
            before * self.total + jnp.sum(w),
            before * self.weighted + jnp.tensordot(w, finite, axes=1),
            self.plain + jnp.sum(jnp.where(valid.reshape(of_each), f, 0.0), axis=0),
        )

    def mean(self, count: Array) -> Float[Array, "..."]:
        """Σ w f / Σ w; where all weights are 0 the samples count alike."""
        alike = self.plain / count
        return jnp.where(self.total > 0, self.weighted / self.total, alike)


def score(
    model: LatentVariableModel,
    rows: np.ndarray,
    *,
    key: PRNGKeyArray,
    samples: int = 1000,
    numbers: np.ndarray | None = None,
    tails: bool = True,
) -> Scores:
    """Log p(x) of each row by importance sampling from q(z|x), with the share of each element.

    The draws, and log p(x), are those of `elbax.evaluate.importance` for the same key.

    Args:
        model: Any model whose posterior draws with a density, and whose prior has a density.
        rows: Data as stored, NaN where not observed; log p is that of the observed elements.
        key: The randomness: of row i and sample s, so that a row's result depends on no other row.
        samples: Draws z ~ q(z|x) a row.
        numbers: What the rows' keys are made of (see `map_rows`); by default their places.
        tails: Whether to fit the tails of the weights too, which takes longer than a small model.

    Raises:
        ValueError: There are no rows or no samples; the posterior is a point, or it or the prior
            has no density.
    """
    check_numbers(rows, samples)
    function = _of_row(weights.tail_length(samples))
    given = (model, jnp.asarray(samples))
    summary, elements = map_rows(function, given, rows, key, tile=_ROWS, numbers=numbers)
    return Scores(estimate_from(summary, samples, tails=tails), np.asarray(elements, np.float64))


def latents_key(key: PRNGKeyArray) -> PRNGKeyArray:
    """From a row's key that of its latents: of sample s it is `fold_in(…, s)`."""
    return stream(key, "importance")


def draw(model: LatentVariableModel, x: Array, q: Any, key: PRNGKeyArray) -> tuple[Array, Array]:
    """One sample: its log-weight, and log p(x_j|z) of each element, 0 where it was not observed.

    Args:
        model: The model.
        x: A row as the model sees it, NaN where not observed.
        q: q(z|x).
        key: The randomness.
    """
    z, log_q = sample_and_log_prob(q, key)
    elements = model.log_likelihoods(x, z)
    return jnp.sum(elements) + model.prior_distribution().log_prob(z) - log_q, elements


@functools.cache
def _of_row(tail: int) -> Callable[..., tuple[LogWeights, Array]]:
    def of_row(
        given: tuple[LatentVariableModel, Array], row: Array, key: PRNGKeyArray
    ) -> tuple[LogWeights, Array]:
        model, samples = given
        latent = latents_key(key)
        x = model.preprocessing(row, binary_datum(key))
        observed = ~jnp.isnan(x)
        q = model.encode(x)
        refuse_without_density(q, model.prior_distribution())

        def one(number: Array) -> tuple[Array, Array]:
            return draw(model, x, q, jax.random.fold_in(latent, number))

        def step(number: Array, carried: tuple[LogWeights, _Sums]) -> Any:
            summary, sums = carried
            numbers = number * CHUNK + jnp.arange(CHUNK)
            log_w, elements = jax.vmap(one)(numbers)
            valid = numbers < samples
            together = jnp.sum(elements.reshape(CHUNK, -1), axis=1)
            summary = summary.add(log_w, together, mask=valid)
            counted = valid & ~jnp.isnan(log_w)  # as the summary counts them
            return summary, sums.add(jnp.where(counted, log_w, -jnp.inf), elements, valid)

        zero = jnp.zeros(())
        nothing = jnp.zeros(x.shape)
        start = LogWeights.empty(tail), _Sums(zero - jnp.inf, zero, nothing, nothing)
        summary, sums = jax.lax.fori_loop(0, -(-samples // CHUNK), step, start)
        return summary, jnp.where(observed, sums.mean(samples), jnp.nan)

    return of_row
