"""Importance weights of one datum: what is kept as they stream past, and how to judge them.

An estimate of log p(x) is the logarithm of an average of weights. The average hides whether one
weight in thousands carries it: the effective sample size and the tail of the weights say so.
"""

import math
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

GROUPS = 10  # of samples, for the jackknife: sample s belongs to group s mod 10
_FEWEST_IN_TAIL = 5  # arviz-stats (and the R package loo) fits no tail shorter than this
# Of log-densities, in nats: beyond it float32 rounds them by more than 0.1.
RANGE = 0.1 / float(np.finfo(np.float32).eps)
_FLAT = (
    1e-3  # relative: a tail no higher than this over its cutoff may be rounding; it harms nothing
)


class LogWeights(eqx.Module):
    """A summary, of fixed size, of any number of log importance weights of one datum, in nats.

    A group's sums are of exp(log w − the group's maximum), so that they neither overflow nor vanish
    and rounding is relative to the sum, not to its logarithm.

    Attributes:
        count: How many weights were added.
        maximum: The largest log w of each group; −∞ before there is one.
        total: Σ w of each group, over the exponential of its maximum.
        squares: Σ w² of each group, over the square of the same.
        weighted: Σ w f of each group, over the same, where f was given along with the weights.
        largest: The largest log w of all, in descending order: the tail, and the cutoff below it.
    """

    count: Int[Array, ""]
    maximum: Float[Array, " groups"]
    total: Float[Array, " groups"]
    squares: Float[Array, " groups"]
    weighted: Float[Array, " groups"]
    largest: Float[Array, " tail"]

    @staticmethod
    def empty(tail: int) -> "LogWeights":
        """Nothing yet, with room for a tail of so many: `tail_length` of the number of samples."""
        zeros = jnp.zeros(GROUPS)
        lowest = jnp.full(GROUPS, -jnp.inf)
        largest = jnp.full(tail + 1, -jnp.inf)
        return LogWeights(jnp.zeros((), jnp.int32), lowest, zeros, zeros, zeros, largest)

    def add(
        self,
        log_weights: Float[Array, " chunk"],
        values: Float[Array, " chunk"] | None = None,
        mask: Bool[Array, " chunk"] | None = None,
    ) -> "LogWeights":
        """The summary with a chunk more.

        Args:
            log_weights: The next weights, any number of them. One that is NaN (a difference of
                densities beyond the range of floats) weighs nothing, as −∞ does: log p is then too
                low, never too high.
            values: A function f of the same samples, whose weighted mean is wanted too.
            mask: False for the weights at the end of the chunk that do not count.
        """
        chunk = len(log_weights)
        mask = jnp.ones(chunk, bool) if mask is None else mask
        log_weights = jnp.where(mask & ~jnp.isnan(log_weights), log_weights, -jnp.inf)
        values = jnp.zeros(chunk) if values is None else values
        merged = jnp.concatenate([self.largest, log_weights])

        padding = (0, -chunk % GROUPS)
        w = jnp.pad(log_weights, padding, constant_values=-jnp.inf).reshape(-1, GROUPS)
        f = jnp.pad(values, padding).reshape(-1, GROUPS)
        # The first of the chunk belongs to the group after that of the last one added.
        w, f = (jnp.roll(a, self.count % GROUPS, axis=1) for a in (w, f))

        maximum = jnp.maximum(self.maximum, jnp.max(w, axis=0))
        shift = jnp.where(maximum == -jnp.inf, 0.0, maximum)
        before = jnp.exp(self.maximum - shift)
        w = jnp.exp(w - shift)
        # Where there is no weight a value may be anything: −∞ too.
        f = jnp.where(w > 0, f, 0.0)
        return LogWeights(
            count=self.count + jnp.sum(mask, dtype=jnp.int32),
            maximum=maximum,
            total=before * self.total + jnp.sum(w, axis=0),
            squares=before**2 * self.squares + jnp.sum(w**2, axis=0),
            weighted=before * self.weighted + jnp.sum(w * f, axis=0),
            largest=jax.lax.top_k(merged, len(self.largest))[0],
        )


def log_mean(summary: LogWeights) -> Float[np.ndarray, " rows"]:
    """The logarithm of the mean weight, from summaries with rows along the leading axis."""
    return _log_sum(summary) - np.log(_float64(summary.count))


def effective_sample_size(summary: LogWeights) -> Float[np.ndarray, " rows"]:
    """(Σ w)² / Σ w² (Kong 1992): between 1 and the number of samples; 0 where all w are 0."""
    maximum, squares = _float64(summary.maximum), _float64(summary.squares)
    log_total = _log_sum(summary)
    with np.errstate(divide="ignore"):
        log_squares = np.logaddexp.reduce(2 * maximum + np.log(squares), axis=1)
    nothing = log_total == -np.inf
    found = np.exp(2 * log_total - np.where(nothing, 0.0, log_squares))
    # Of weights of millions of nats the two logarithms differ by rounding alone.
    return np.where(nothing, 0.0, np.minimum(found, _float64(summary.count)))


def beyond_precision(log_values: np.ndarray | float) -> np.ndarray | np.bool:
    """Whether log-densities in nats are not finite, or so large that float32 rounds them by 0.1.

    Differences of such log-weights, on which everything rests, are noise: they may look equal.
    """
    with np.errstate(invalid="ignore"):
        return ~(np.abs(log_values) < RANGE)


def weighted_mean(summary: LogWeights) -> Float[np.ndarray, " rows"]:
    """Σ w f / Σ w, the self-normalised estimate of f's expectation; NaN where all w are 0."""
    maximum = _float64(summary.maximum)
    scale = np.exp(maximum - maximum.max(axis=1, keepdims=True, initial=np.finfo(float).min))
    total = np.sum(scale * _float64(summary.total), axis=1)
    weighted = np.sum(scale * _float64(summary.weighted), axis=1)
    return np.divide(weighted, total, out=np.full_like(total, np.nan), where=total > 0)


def monte_carlo_error(summary: LogWeights) -> Float[np.ndarray, " rows"]:
    """The standard deviation of `log_mean` over the draws, by a jackknife.

    The variance of the pseudo-values with one of ten groups of samples left out at a time; groups
    may differ by one sample (Busing, Meijer & van der Leeden 1999). It sees only the tail
    that was drawn: where Pareto's k is above its threshold the error is larger than this. NaN below
    ten samples.
    """
    n = _float64(summary.count)[:, None]
    size = (n - np.arange(GROUPS) + GROUPS - 1) // GROUPS  # of each group
    if n.min() < GROUPS:
        return np.full(len(n), np.nan)

    with np.errstate(divide="ignore", invalid="ignore"):
        log_group = _float64(summary.maximum) + np.log(_float64(summary.total))
        others = np.where(np.eye(GROUPS, dtype=bool), -np.inf, log_group[:, None, :])
        without = np.logaddexp.reduce(others, axis=2) - np.log(n - size)
        whole = log_mean(summary)[:, None]
        ratio = n / size
        pseudo = ratio * whole - (ratio - 1) * without
        centre = GROUPS * whole - np.sum((1 - 1 / ratio) * without, axis=1, keepdims=True)
        return np.sqrt(np.mean((pseudo - centre) ** 2 / (ratio - 1), axis=1))


def has_tail(samples: int) -> bool:
    """Whether so many samples have a tail whose shape can be fitted: from 25 on."""
    return tail_length(samples) >= _FEWEST_IN_TAIL


def tail_length(samples: int) -> int:
    """How many of the largest weights are a tail: min(0.2 S, 3 √S) (Vehtari et al. 2024)."""
    return math.floor(min(0.2 * samples, 3 * math.sqrt(samples)))


def pareto_k_threshold(samples: int) -> float:
    """Above this k an average of so many weights is not to be trusted: min(1 − 1 / log₁₀ S, 0.7).

    Vehtari et al. 2024; −∞ for a single sample.
    """
    return min(1 - 1 / math.log10(samples), 0.7) if samples > 1 else -math.inf


def pareto_k(largest: Float[np.ndarray, "rows tail"]) -> Float[np.ndarray, " rows"]:
    """The shape k of the generalised Pareto distribution of the tail (Vehtari et al. 2024).

    Weights have a finite variance for k < 1/2 and a finite mean for k < 1.

    Args:
        largest: For each row the largest log-weights in descending order; the last is the cutoff,
            the largest that is not of the tail.

    Returns:
        k by arviz-stats; NaN where there is no tail to fit: fewer than five weights, none above 0,
        all within a thousandth of the cutoff (the exact posterior), or ties (a latent with few
        values).
    """
    from arviz_stats.base.array import array_stats

    largest = np.asarray(largest, np.float64)
    rows, length = largest.shape
    tail = length - 1
    found = np.full(rows, np.nan)
    if tail < _FEWEST_IN_TAIL:
        return found
    largest = largest - np.where(np.isfinite(largest[:, :1]), largest[:, :1], 0.0)
    weights = np.exp(largest)
    # The fit divides by the distance of the lower quartile, and refuses a tail of one value.
    quartile = weights[:, tail - int(tail / 4 + 0.5)] > weights[:, -1]
    varied = (largest[:, 0] > largest[:, -2]) & (weights[:, 0] > (1 + _FLAT) * weights[:, -1])
    fit = np.isfinite(largest[:, 0]) & quartile & varied
    if not fit.any():
        return found
    # Its public function takes all weights, and fits the upper fifth of them where S · r_eff ≤ 225.
    # What lies below the cutoff is not looked at: copies of the cutoff stand for it.
    copies = np.repeat(largest[fit, -1:], 5 * tail - length, axis=1)
    log_w = np.concatenate([largest[fit], copies], axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # it smooths too, and meets logarithms of 0
        # (Not its `pareto_khat`: that one, in 0.8.0, fits the log-weights as if they were weights.)
        found[fit] = array_stats.psislw(-log_w, r_eff=1 / tail)[1]
    return found


def _log_sum(summary: LogWeights) -> Float[np.ndarray, " rows"]:
    with np.errstate(divide="ignore"):
        log_group = _float64(summary.maximum) + np.log(_float64(summary.total))
    return np.logaddexp.reduce(log_group, axis=1)


def _float64(array: object) -> np.ndarray:
    return np.asarray(array, np.float64)
