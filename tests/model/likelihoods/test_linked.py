"""Linked normal elements against scipy's multivariate normal and its conditionals in float64."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

import elbax
from elbax.model.likelihoods.linked import MINIMUM_SCALE, LinkedNormal
from elbax.model.likelihoods.mixed import Mixed
from tests.laws import numbers

D, RANK = 6, 3
MEAN, X = numbers((D,), 0), numbers((D,), 1)
SCALE, LOADINGS = np.exp(0.5 * numbers((D,), 2)), numbers((D, RANK), 3)
COVARIANCE = np.asarray(LOADINGS, np.float64) @ LOADINGS.T + np.diag(np.square(SCALE))
SEEN = np.array([True, False, True, True, False, True])


def log_density(x: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> float:
    normal: Any = multivariate_normal
    return normal.logpdf(x, mean, covariance)


def linked() -> LinkedNormal:
    return LinkedNormal(jnp.asarray(MEAN), jnp.asarray(SCALE), jnp.asarray(LOADINGS))


@pytest.mark.parametrize("seen", [SEEN, ~SEEN, np.ones(D, bool)])
def test_the_density_of_observed_elements_is_the_marginal(seen: np.ndarray):
    x = jnp.where(jnp.asarray(seen), X, 1e3)  # what stands in a missing one is not read
    each = linked().log_prob_observed(x, jnp.asarray(seen))
    block = COVARIANCE[np.ix_(seen, seen)]
    assert np.sum(each) == pytest.approx(log_density(X[seen], MEAN[seen], block))
    assert not np.asarray(each)[~seen].any()


def test_missing_elements_given_observed_ones_are_the_conditional_normal():
    a, b = ~SEEN, SEEN
    gain = COVARIANCE[np.ix_(a, b)] @ np.linalg.inv(COVARIANCE[np.ix_(b, b)])
    mean = MEAN[a] + gain @ (X - MEAN)[b]
    covariance = COVARIANCE[np.ix_(a, a)] - gain @ COVARIANCE[np.ix_(b, a)]
    found = linked().given(jnp.where(jnp.asarray(SEEN), X, 0.0), jnp.asarray(SEEN))
    np.testing.assert_allclose(found.mean[a], mean, rtol=1e-4)
    np.testing.assert_allclose(found.variance[a], np.diag(covariance), rtol=1e-4)
    drawn = jax.vmap(found.sample)(jax.random.split(jax.random.key(0), 20_000))[:, a]
    error = 5 * np.max(np.diag(covariance)) / np.sqrt(20_000)
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=2 * error)


def test_nothing_observed_leaves_the_distribution_as_it_is():
    none = jnp.zeros(D, bool)
    found = linked().given(jnp.asarray(X), none)
    np.testing.assert_allclose(found.mean, MEAN, rtol=1e-6)
    np.testing.assert_allclose(found.loadings, LOADINGS, rtol=1e-6)
    assert float(jnp.sum(linked().log_prob_observed(jnp.asarray(X), none))) == 0.0


def test_at_the_floor_of_the_scales_float32_is_near_float64():
    d = 60  # all of them on a plane, the worst case
    loadings = numbers((d, 10), 4) / np.sqrt(10)
    scale = np.full(d, MINIMUM_SCALE, np.float32)
    x = loadings @ numbers((10,), 5) + scale * numbers((d,), 6)
    p = LinkedNormal(jnp.zeros(d), jnp.asarray(scale), jnp.asarray(loadings))
    covariance = np.asarray(loadings, np.float64) @ loadings.T + MINIMUM_SCALE**2 * np.eye(d)
    exact = log_density(x, np.zeros(d), covariance)
    assert float(jnp.sum(p.log_prob(jnp.asarray(x, jnp.float32)))) == pytest.approx(exact, abs=0.5)


def test_columns_of_other_families_stay_independent():
    kinds = ("normal", "binary", "normal", "poisson")
    family = Mixed((4,), kinds, rank=2)
    p = family(jnp.asarray(numbers((family.parameter_count,), 7)))
    seen = jnp.array([True, False, False, True])
    found = p.given(jnp.array([0.3, 1.0, 0.0, 2.0]), seen)
    np.testing.assert_array_equal(found.mean[1], p.mean[1])
    assert float(jnp.abs(found.mean[2] - p.mean[2])) > 1e-4
    only = Mixed((2,), ("normal", "binary"), rank=2)
    assert isinstance(only.families[0], elbax.Normal)


def test_impossible_ranks_are_refused():
    with pytest.raises(ValueError, match="rank is 0"):
        elbax.LowRankNormal((2,), 0)
    with pytest.raises(ValueError, match="rank is -1"):
        Mixed((2,), ("normal", "normal"), rank=-1)
