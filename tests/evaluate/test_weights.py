"""The streaming summary against all weights at once, and the tail against arviz-stats."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from arviz_stats.base.array import array_stats

from elbax.evaluate import weights
from elbax.evaluate.weights import LogWeights, pareto_k, pareto_k_threshold, tail_length
from tests.laws import in_float64


def summary_of(log_w, values=None, chunk=33, tail=None):
    """The summary of each row of `log_w`, added in chunks that are no multiple of ten."""
    values = np.zeros_like(log_w) if values is None else values

    def of_row(row, f):
        summary = LogWeights.empty(tail_length(len(row)) if tail is None else tail)
        for start in range(0, len(row), chunk):
            summary = summary.add(row[start : start + chunk], f[start : start + chunk])
        return summary

    return jax.jit(jax.vmap(of_row))(jnp.asarray(log_w), jnp.asarray(values))


def log_sum(log_w, axis):
    """scipy's, whose annotation says that it may give a tuple."""
    return np.asarray(scipy.special.logsumexp(log_w, axis=axis))


def heavy(k, rows, samples, seed=0):
    """Log-weights whose tail has shape k."""
    draw = np.random.default_rng(seed)
    return np.log(scipy.stats.genpareto(k, 1).rvs((rows, samples), random_state=draw))


@in_float64
@pytest.mark.parametrize("spread", [1.0, 300.0])
def test_a_streamed_summary_is_that_of_all_weights(spread):
    rng = np.random.default_rng(0)
    log_w, f = spread * rng.normal(size=(5, 97)) - 2000, rng.normal(size=(5, 97))
    found = summary_of(log_w, f)
    w = scipy.special.softmax(log_w, axis=1)

    assert np.all(np.asarray(found.count) == 97)
    expected = log_sum(log_w, axis=1) - math.log(97)
    assert np.allclose(weights.log_mean(found), expected, rtol=0, atol=1e-10)
    assert np.allclose(weights.effective_sample_size(found), 1 / np.sum(w**2, axis=1), rtol=1e-10)
    assert np.allclose(weights.weighted_mean(found), np.sum(w * f, axis=1), rtol=1e-9, atol=1e-12)
    largest = np.sort(log_w, axis=1)[:, ::-1][:, : tail_length(97) + 1]
    assert np.array_equal(found.largest, largest)


@in_float64
def test_masked_weights_do_not_count():
    log_w = np.random.default_rng(1).normal(size=20)
    mask = np.arange(20) < 14
    f = np.where(mask, log_w**2, -np.inf)
    found = LogWeights.empty(4).add(jnp.asarray(log_w), jnp.asarray(f), jnp.asarray(mask))
    plain = LogWeights.empty(4).add(jnp.asarray(log_w[:14]), jnp.asarray(f[:14]))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(plain), strict=True):
        assert np.allclose(a, b, rtol=1e-14)


@in_float64
def test_a_weight_beyond_the_range_of_floats_weighs_nothing():
    log_w = np.random.default_rng(7).normal(size=(2, 30))
    broken = log_w.copy()
    broken[:, [3, 11]] = np.nan, -np.inf
    log_w[:, [3, 11]] = -np.inf
    assert np.array_equal(weights.log_mean(summary_of(broken)), weights.log_mean(summary_of(log_w)))
    all_gone = summary_of(np.full((1, 30), np.nan))
    assert weights.log_mean(all_gone)[0] == -np.inf
    assert weights.effective_sample_size(all_gone)[0] == 0


@in_float64
@pytest.mark.parametrize("samples", [10, 47, 200])
def test_the_monte_carlo_error_is_the_jackknife(samples):
    # Groups of one size: the textbook formula; of two sizes: Busing et al. 1999, one by one.
    log_w = np.random.default_rng(2).normal(size=(3, samples))
    found = weights.monte_carlo_error(summary_of(log_w))
    group = np.arange(samples) % 10
    size = np.bincount(group)
    whole = log_sum(log_w, axis=1) - math.log(samples)
    without = np.stack(
        [log_sum(log_w[:, group != g], axis=1) - math.log(samples - size[g]) for g in range(10)],
        axis=1,
    )
    h = samples / size
    centre = 10 * whole - ((1 - size / samples) * without).sum(axis=1)
    pseudo = h * whole[:, None] - (h - 1) * without
    expected = np.sqrt(np.mean((pseudo - centre[:, None]) ** 2 / (h - 1), axis=1))
    if samples % 10 == 0:
        textbook = np.sqrt(9 / 10 * ((without - without.mean(1, keepdims=True)) ** 2).sum(axis=1))
        assert np.allclose(expected, textbook, rtol=1e-10)
    assert np.allclose(found, expected, rtol=1e-10)


@in_float64
def test_the_monte_carlo_error_is_calibrated():
    # Weights of moderate spread, whose log-mean is nearly normal: z² summed over rows is χ².
    rows, samples = 3000, 400
    log_w = 0.5 * np.random.default_rng(3).normal(size=(rows, samples))
    found = summary_of(log_w, chunk=400)
    truth = 0.5**2 / 2  # log E[exp(0.5 ε)]
    z = (weights.log_mean(found) - truth) / weights.monte_carlo_error(found)
    # Ten groups: z is a t variable of nine degrees of freedom; its square has mean 9/7.
    spread = math.sqrt(scipy.stats.f(1, 9).var() / rows)
    assert abs(np.mean(z**2) - 9 / 7) < 4 * spread


@in_float64
def test_weights_at_the_edges():
    nothing = summary_of(np.full((1, 30), -np.inf))
    assert weights.log_mean(nothing)[0] == -np.inf
    assert weights.effective_sample_size(nothing)[0] == 0
    assert np.isnan(weights.weighted_mean(nothing)[0])
    equal = summary_of(np.full((1, 30), -7.0))
    assert weights.log_mean(equal)[0] == pytest.approx(-7.0, abs=1e-14)
    assert weights.effective_sample_size(equal)[0] == pytest.approx(30)
    assert weights.monte_carlo_error(equal)[0] == pytest.approx(0, abs=1e-14)
    assert np.isnan(weights.monte_carlo_error(summary_of(np.zeros((1, 9))))[0])
    # One weight carries everything.
    one = summary_of(np.where(np.arange(30) == 11, 0.0, -1e4)[None])
    assert weights.effective_sample_size(one)[0] == pytest.approx(1)


# --- the tail ------------------------------------------------------------------------------


@pytest.mark.parametrize(("samples", "tail"), [(4, 0), (25, 5), (225, 45), (1000, 94), (5000, 212)])
def test_the_tail_has_the_length_of_vehtari_et_al(samples, tail):
    assert tail_length(samples) == tail == int(min(samples / 5, 3 * samples**0.5))


def test_the_threshold_is_that_of_vehtari_et_al():
    assert pareto_k_threshold(100) == pytest.approx(0.5)
    assert pareto_k_threshold(10_000) == 0.7
    assert pareto_k_threshold(1) == -math.inf


@in_float64
@pytest.mark.parametrize("samples", [25, 100, 230, 1000, 5000])
def test_pareto_k_of_the_kept_tail_is_that_of_all_weights(samples):
    log_w = np.concatenate([heavy(k, 3, samples, seed=4) for k in (0.2, 0.7, 1.5)])
    log_w = np.concatenate([log_w, np.random.default_rng(5).normal(size=(3, samples)) - 800])
    _, expected = array_stats.psislw(-log_w)
    kept = np.asarray(summary_of(log_w, chunk=samples).largest)
    assert np.allclose(pareto_k(kept), expected, rtol=1e-10)


def test_pareto_k_finds_the_shape():
    samples = 40_000
    for k in (0.3, 0.9):
        log_w = np.sort(heavy(k, 40, samples, seed=6), axis=1)[:, ::-1]
        found = pareto_k(log_w[:, : tail_length(samples) + 1])
        # The spread of a maximum-likelihood estimate of k is (1 + k) / √tail.
        error = (1 + k) / math.sqrt(tail_length(samples) * 40)
        assert abs(found.mean() - k) < 4 * error + 0.02  # the prior of the fit draws k to 1/2


def test_a_tail_that_cannot_be_fitted_is_nan():
    assert np.isnan(pareto_k(np.zeros((3, 5)))).all()  # four weights
    rows = np.array([np.full(21, -3.0), np.full(21, -np.inf), -np.arange(21.0)])
    assert np.isnan(pareto_k(rows)).tolist() == [True, True, False]
    # Rounding at the exact posterior; tails of one value, and tied with the cutoff.
    rounding = -1e-5 * np.arange(21.0)
    steps = [np.where(np.arange(21) < n, 0.0, -2.0) for n in (20, 15)]
    assert np.isnan(pareto_k(np.stack([rounding, *steps]))).all()
    # Some weights of 0 below some that are not.
    partly = np.concatenate([-np.arange(18.0), np.full(3, -np.inf)])
    _, expected = array_stats.psislw(-np.concatenate([partly, np.full(79, -1e4)]))
    assert pareto_k(partly[None])[0] == pytest.approx(expected)
