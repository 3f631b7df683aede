"""Estimates of log p(x): importance sampling from q(z|x), and plain Monte Carlo over the prior.

p(x) = E_p(z)[p(x|z)], so an average of p(x|z) over draws of the prior estimates it; but for most z
p(x|z) is nearly zero, and the number of draws it takes is about exp KL(p(z|x) ‖ p(z)). Draws from
q(z|x), weighted by p(z) / q(z|x), land where p(x|z) is not zero.

Both averages are unbiased for p(x), so their logarithms are in expectation *below* log p(x), and
rise with the number of samples.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, Bool, Float, PRNGKeyArray, Scalar

from elbax.evaluate import weights
from elbax.evaluate.bounds import Mean, mean
from elbax.evaluate.tiles import Rows, binary_datum, map_rows
from elbax.evaluate.weights import LogWeights
from elbax.model.codes.point import ChosenCodes
from elbax.model.distributions.basic import base_of, sample, sample_and_log_prob
from elbax.model.interfaces import SamplesWithLogProb
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.util.keys import stream

Proposal = Literal["posterior", "prior"]

# One matrix product has ROWS × CHUNK rows: many enough for its speed, and few enough that what a
# layer gives (3 MB of logits at 784 pixels) is near when the next one reads it.
ROWS = 4
CHUNK = 250

_FEW_EFFECTIVE = 5.0  # the bias of log p(x), about 1 / (2 ESS), is then a tenth of a nat
_DOUBTFUL, _NO = 0.05, 0.25  # shares of poor rows


@dataclasses.dataclass(frozen=True)
class LogLikelihoodEstimate:
    """Log p(x), datum by datum, in nats, with what is needed to judge it.

    Attributes:
        estimator: "importance", "prior" or "annealed".
        samples: Draws a row (chains, for annealed importance sampling).
        log_likelihood: The estimates; in expectation they are below log p(x).
        monte_carlo_error: The standard deviation of each over the draws alone: a jackknife over ten
            groups of samples; NaN below ten. It covers no bias.
        effective_sample_size: (Σ w)² / Σ w² of each row's weights.
        pareto_k: The shape of the tail of each row's weights; None where it is not fitted, NaN
            where a row's cannot be.
        kl_posterior_prior: KL(p(z|x) ‖ p(z)) by the same weights, for `samples_needed`; None but
            for importance sampling (by S draws of the prior it would come out below log S whatever
            it is).
    """

    estimator: Literal["importance", "prior", "annealed"]
    samples: int
    log_likelihood: Float[np.ndarray, " rows"]
    monte_carlo_error: Float[np.ndarray, " rows"]
    effective_sample_size: Float[np.ndarray, " rows"]
    pareto_k: Float[np.ndarray, " rows"] | None
    kl_posterior_prior: Float[np.ndarray, " rows"] | None = None

    def mean(self) -> Mean:
        """The average over the data and its standard error over the data."""
        return mean(self.log_likelihood)

    def mean_monte_carlo_error(self) -> float:
        """The standard deviation of the average over the draws alone: rows are independent."""
        return float(np.sqrt(np.sum(self.monte_carlo_error**2)) / len(self.log_likelihood))

    @property
    def heavy_tailed(self) -> Bool[np.ndarray, " rows"]:
        """Whether the Pareto k of a row's weights is above `weights.pareto_k_threshold`.

        Weights without a tail, all equal but for rounding, have no k (NaN): they are the best case.
        """
        if self.pareto_k is None:
            return np.zeros(len(self.log_likelihood), bool)
        return self.pareto_k > weights.pareto_k_threshold(self.samples)

    def trust(self) -> tuple[Literal["yes", "doubtful", "no"], str]:
        """Whether the estimate is to be trusted, and one sentence that says why.

        A row is poor where its weights are `heavy_tailed`, or fewer than 5 of its samples are
        effective. "yes" up to 5 % of poor rows, "doubtful" up to 25 % and where there are too few
        samples for a tail, "no" beyond, and where a row's estimate is not finite or so large that
        float32 cannot tell its weights apart.
        """
        few = self.effective_sample_size < _FEW_EFFECTIVE
        heavy = self.heavy_tailed
        threshold = weights.pareto_k_threshold(self.samples)
        blurred = weights.beyond_precision(self.log_likelihood)
        poor = float(np.mean(few | heavy | blurred))
        tail = f"Pareto k above {threshold:.2f} in {np.mean(heavy):.1%}, "
        why = (
            f"of {len(few)} rows {poor:.1%} are poor (up to {_DOUBTFUL:.0%} is trusted, beyond "
            f"{_NO:.0%} is not): {tail if self.pareto_k is not None else ''}"
            f"fewer than {_FEW_EFFECTIVE:.0f} effective samples in {np.mean(few):.1%}"
        )
        if blurred.any():
            why += f", log p beyond what float32 can tell apart in {np.mean(blurred):.1%}"
        if blurred.any():  # one such row makes the mean worthless
            return "no", why
        if poor <= _DOUBTFUL and self.pareto_k is not None and not weights.has_tail(self.samples):
            return "doubtful", f"{why}; {self.samples} samples are too few to see a heavy tail"
        return ("yes" if poor <= _DOUBTFUL else "doubtful" if poor <= _NO else "no"), why


def importance(
    model: LatentVariableModel,
    rows: Rows,
    *,
    key: PRNGKeyArray,
    samples: int = 1000,
    numbers: np.ndarray | None = None,
) -> LogLikelihoodEstimate:
    """Log p(x) of each row by importance sampling from q(z|x).

    Burda et al. 2015, eq. 8, with any number k of samples. Memory does not depend on it, and the
    first n of more samples are those of n samples.

    Args:
        model: Any model whose posterior draws with a density, and whose prior has a density.
        rows: Data as stored (the model's preprocessing is applied), rows along the leading axis. A
            model that binarises draws one binary datum a row, and log p of that is estimated.
        key: The randomness: of row i and sample s, so that a row's result depends on no other row.
        samples: Draws z ~ q(z|x) a row.
        numbers: What the rows' keys are made of (see `map_rows`); by default their places.

    Raises:
        ValueError: There are no rows or no samples; the posterior is a point, or it or the prior
            has no density.
    """
    return _estimate(model, rows, key, samples, "posterior", numbers)


def prior(
    model: LatentVariableModel,
    rows: Rows,
    *,
    key: PRNGKeyArray,
    samples: int = 1000,
    numbers: np.ndarray | None = None,
) -> LogLikelihoodEstimate:
    """Log p(x) of each row by plain Monte Carlo over the prior: the mean of p(x|z), z ~ p(z).

    It needs nothing of the encoder, and about exp KL(p(z|x) ‖ p(z)) samples (`samples_needed`).

    Args:
        model: Any model.
        rows: As for `importance`.
        key: As for `importance`.
        samples: Draws z ~ p(z) a row; each row has its own.
        numbers: As for `importance`.

    Raises:
        ValueError: There are no rows or no samples.
    """
    return _estimate(model, rows, key, samples, "prior", numbers)


def samples_needed(kl_posterior_prior: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
    """Log₁₀ of how many draws of the prior would be enough to estimate p(x): exp KL(p(z|x) ‖ p(z)).

    Chatterjee & Diaconis 2018, theorem 1.1: a few nats more than the KL are enough, a few less are
    not. (The logarithm, because the number itself leaves the range of floats at 709 nats.)

    Args:
        kl_posterior_prior: KL(p(z|x) ‖ p(z)) in nats: `importance(…).kl_posterior_prior`.
    """
    return np.asarray(kl_posterior_prior, np.float64) / math.log(10)


def running(
    model: LatentVariableModel,
    rows: Rows,
    *,
    key: PRNGKeyArray,
    samples: int,
    counts: Sequence[int],
    proposal: Proposal = "posterior",
) -> Float[np.ndarray, "rows counts"]:
    """The estimates of log p(x) after the first n samples, for each n of `counts`, in nats.

    Args:
        model: As for `importance`, or for `prior`.
        rows: As for `importance`.
        key: As for `importance`; the draws are the same.
        samples: Draws a row.
        counts: Numbers of samples, from 1 to `samples`, in any order.
        proposal: What is drawn from.

    Raises:
        ValueError: As for `importance`; or a count is not between 1 and `samples`.
    """
    check_numbers(rows, samples)
    if not counts or min(counts) < 1 or max(counts) > samples:
        raise ValueError(f"counts are {list(counts)}; they must be between 1 and {samples}")
    return of_first(draws(model, rows, key=key, samples=samples, proposal=proposal)[0], counts)


def of_first(
    log_weights: Float[np.ndarray, "rows samples"], counts: Sequence[int]
) -> Float[np.ndarray, "rows counts"]:
    """The logarithm of the mean weight of the first n samples, for each n of `counts`."""
    sums = np.logaddexp.accumulate(log_weights, axis=1)[:, np.asarray(counts) - 1]
    return sums - np.log(np.asarray(counts, np.float64))


def log_weights(
    model: LatentVariableModel,
    rows: Rows,
    *,
    key: PRNGKeyArray,
    samples: int,
    proposal: Proposal = "posterior",
) -> Float[np.ndarray, "rows samples"]:
    """Log p(x|z) + log p(z) − log q(z|x) at each draw (under the prior: log p(x|z)), in nats.

    The draws are those of `importance` and `prior`; nothing is streamed, so all are in memory.

    Args:
        model: As for `importance`, or for `prior`.
        rows: As for `importance`.
        key: As for `importance`.
        samples: Draws a row.
        proposal: What is drawn from.

    Raises:
        ValueError: As for `importance`.
    """
    return draws(model, rows, key=key, samples=samples, proposal=proposal)[0]


def conditional_log_likelihoods(
    model: LatentVariableModel,
    rows: Rows,
    *,
    key: PRNGKeyArray,
    samples: int,
    proposal: Proposal = "posterior",
) -> Float[np.ndarray, "rows samples"]:
    """Log p(x|z) at each draw, in nats; otherwise as `log_weights`."""
    return draws(model, rows, key=key, samples=samples, proposal=proposal)[1]


def draws(
    model: LatentVariableModel,
    rows: Rows,
    *,
    key: PRNGKeyArray,
    samples: int,
    proposal: Proposal = "posterior",
) -> tuple[Float[np.ndarray, "rows samples"], Float[np.ndarray, "rows samples"]]:
    """Both `log_weights` and `conditional_log_likelihoods`, of the same draws."""
    check_numbers(rows, samples)
    found = map_rows(_unstreamed(samples, proposal), model, rows, key, tile=ROWS)
    log_w, log_likelihood = (np.asarray(part, np.float64) for part in found)
    return log_w, log_likelihood


def _estimate(
    model: LatentVariableModel,
    rows: Rows,
    key: PRNGKeyArray,
    samples: int,
    proposal: Proposal,
    numbers: np.ndarray | None,
) -> LogLikelihoodEstimate:
    check_numbers(rows, samples)
    # The number of samples is traced: another number with the same length of tail is not compiled.
    function = _streamed(weights.tail_length(samples), proposal)
    given = (model, jnp.asarray(samples))
    summary = map_rows(function, given, rows, key, tile=ROWS, numbers=numbers)
    return estimate_from(summary, samples, proposal)


def estimate_from(
    summary: LogWeights,
    samples: int,
    proposal: Proposal = "posterior",
    *,
    tails: bool = True,
) -> LogLikelihoodEstimate:
    """The estimate that streamed weights of so many samples give, whose values are log p(x|z)."""
    log_likelihood = weights.log_mean(summary)
    by_posterior = proposal == "posterior"
    # E[log p(x|z)] under p(z|x), less log p(x).
    kl = weights.weighted_mean(summary) - log_likelihood if by_posterior else None
    return LogLikelihoodEstimate(
        estimator="importance" if by_posterior else "prior",
        samples=samples,
        log_likelihood=log_likelihood,
        monte_carlo_error=weights.monte_carlo_error(summary),
        effective_sample_size=weights.effective_sample_size(summary),
        pareto_k=weights.pareto_k(np.asarray(summary.largest)) if tails else None,
        kl_posterior_prior=kl,
    )


def check_numbers(rows: Rows, samples: int) -> None:
    """Refuses an estimate of nothing.

    Raises:
        ValueError: There are no rows or no samples.
    """
    if len(rows) < 1 or samples < 1:
        raise ValueError(
            f"{len(rows)} rows and {samples} samples; an estimate needs at least one of each"
        )


# --- one row; the same function for the same words, so that it is compiled once ----------------


@functools.cache
def _streamed(tail: int, proposal: Proposal) -> Callable[..., LogWeights]:
    def of_row(given: tuple[LatentVariableModel, Array], row: Array, key: PRNGKeyArray) -> Any:
        model, samples = given
        chunk = _chunk(model, row, key, proposal)

        def step(number: Array, summary: LogWeights) -> LogWeights:
            valid = number * CHUNK + jnp.arange(CHUNK) < samples
            return summary.add(*chunk(number), mask=valid)

        return jax.lax.fori_loop(0, -(-samples // CHUNK), step, LogWeights.empty(tail))

    return of_row


@functools.cache
def _unstreamed(samples: int, proposal: Proposal) -> Callable[..., tuple[Array, Array]]:
    def of_row(model: LatentVariableModel, row: Array, key: PRNGKeyArray) -> tuple[Array, Array]:
        chunks = jax.lax.map(_chunk(model, row, key, proposal), jnp.arange(-(-samples // CHUNK)))
        log_w, log_likelihood = (a.reshape(-1)[:samples] for a in chunks)
        return log_w, log_likelihood

    return of_row


def _chunk(
    model: LatentVariableModel, row: Array, key: PRNGKeyArray, proposal: Proposal
) -> Callable[[Array], tuple[Array, Array]]:
    """From a chunk's number to the log-weights of its samples, and log p(x|z) of the same."""
    latent = stream(key, "importance" if proposal == "posterior" else "prior")
    x = model.preprocessing(row, binary_datum(key))
    one = _from_prior(model, x) if proposal == "prior" else _from_posterior(model, x)

    def weigh(number: Array) -> tuple[Array, Array]:
        samples = number * CHUNK + jnp.arange(CHUNK)
        keys = jax.vmap(lambda s: jax.random.fold_in(latent, s))(samples)
        return jax.vmap(one)(keys)

    return weigh


def _from_prior(model: LatentVariableModel, x: Array) -> Callable[..., tuple[Scalar, Scalar]]:
    p = model.prior_distribution()

    def one(key: PRNGKeyArray) -> tuple[Scalar, Scalar]:
        log_likelihood = model.log_likelihood(x, sample(p, key))
        return log_likelihood, log_likelihood

    return one


def _from_posterior(model: LatentVariableModel, x: Array) -> Callable[..., tuple[Scalar, Scalar]]:
    q, p = model.encode(x), model.prior_distribution()
    refuse_without_density(q, p)

    def one(key: PRNGKeyArray) -> tuple[Scalar, Scalar]:
        z, log_q = sample_and_log_prob(q, key)
        log_likelihood = model.log_likelihood(x, z)
        return log_likelihood + p.log_prob(z) - log_q, log_likelihood

    return one


def refuse_without_density(q: Any, p: Any) -> None:
    """Refuses what has no importance weights.

    Raises:
        ValueError: The posterior q(z|x) is a point, or it or the prior has no density.
    """
    if isinstance(q, ChosenCodes):
        raise ValueError(
            "the posterior has all its mass on one choice of codes, so importance weights say "
            "nothing of the others: the bound is all there is (`elbax evaluate --estimator elbo`)"
        )
    if isinstance(base_of(q), dist.Delta):
        raise ValueError(
            "the posterior is a point (Delta), so p(x, z) / q(z|x) does not exist; "
            "use the prior's draws (estimator 'prior') or annealed importance sampling"
        )
    if not isinstance(q, SamplesWithLogProb) and not hasattr(q, "log_prob"):
        raise ValueError(
            f"the posterior ({type(q).__name__}) has no log-density of its draws, so importance "
            "weights do not exist; use the prior's draws (estimator 'prior')"
        )
    if not hasattr(p, "log_prob"):
        raise ValueError(
            f"the prior ({type(p).__name__}) has no log-density at a given point, so importance "
            "weights do not exist; use the prior's draws (estimator 'prior')"
        )
