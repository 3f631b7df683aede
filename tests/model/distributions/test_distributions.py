"""The cross-entropy as a likelihood, and drawing with a log-density."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.special
import scipy.stats

from elbax.model import GreyBernoulli, sample, sample_and_log_prob
from tests.laws import in_float64

LOGITS = np.array([-80.0, -3.0, -1e-3, 0.0, 0.4, 2.5, 80.0])


@in_float64
def test_log_prob_of_binary_values_is_the_bernoulli_log_mass():
    p = GreyBernoulli(jnp.asarray(LOGITS))
    for value in (0.0, 1.0):
        log_mass = scipy.special.log_expit(LOGITS if value else -LOGITS)
        assert np.allclose(p.log_prob(value), log_mass, rtol=1e-12, atol=1e-13)
        moderate = np.abs(LOGITS) < 10  # scipy's own probabilities round to 0 and 1 beyond
        masses = scipy.stats.bernoulli.logpmf(int(value), scipy.special.expit(LOGITS[moderate]))
        assert np.allclose(p.log_prob(value)[moderate], masses, rtol=1e-12)


@in_float64
def test_log_prob_of_grey_values_is_the_summarys_cross_entropy():
    grey = np.linspace(0, 1, 7)
    cross_entropy = -(
        grey * scipy.special.log_expit(LOGITS) + (1 - grey) * scipy.special.log_expit(-LOGITS)
    )
    found = GreyBernoulli(jnp.asarray(LOGITS)).log_prob(grey)
    assert np.allclose(found, -cross_entropy, rtol=1e-12, atol=1e-13)


@in_float64
def test_log_prob_of_a_grey_image_is_expected_over_its_binarised_images():
    x = np.array([0.1, 0.5, 0.85, 1.0])
    p = GreyBernoulli(jnp.asarray([-80.0, 0.3, 1.7, 80.0]))
    images = np.array(list(itertools.product([0.0, 1.0], repeat=4)))
    chances = np.prod(np.where(images == 1, x, 1 - x), axis=1)
    expected = chances @ np.asarray(p.log_prob(images)).sum(axis=1)
    assert chances.sum() == pytest.approx(1.0)
    assert float(p.log_prob(x).sum()) == pytest.approx(expected, rel=1e-12)
    # Jensen: so it is at most the logarithm of the expected mass, and strictly less here.
    log_masses = np.asarray(p.log_prob(images)).sum(axis=1)
    assert float(p.log_prob(x).sum()) < float(
        np.asarray(scipy.special.logsumexp(log_masses, b=chances))
    )


def test_grey_values_have_finite_log_prob_and_gradient_at_extreme_logits_in_float32():
    logits = jnp.asarray([-1e4, -80.0, 80.0, 1e4], jnp.float32)
    for grey in (0.0, 0.25, 1.0):
        found = GreyBernoulli(logits).log_prob(grey)
        exact = grey * np.minimum(logits, 0) - (1 - grey) * np.maximum(logits, 0)
        assert np.allclose(found, exact, rtol=1e-6, atol=1e-5)
        slope = jax.grad(lambda numbers, x=grey: GreyBernoulli(numbers).log_prob(x).sum())(logits)
        assert np.allclose(slope, grey - scipy.special.expit(np.asarray(logits)), atol=1e-7)


def test_numpyros_own_bernoulli_refuses_grey_values():
    # The reason for ours: numpyro's is −∞ there (and warns).
    with pytest.warns(UserWarning, match="Out-of-support"):
        found = dist.Bernoulli(logits=jnp.asarray(0.3)).log_prob(jnp.asarray(0.4))
    assert found == -np.inf
    assert np.isfinite(GreyBernoulli(jnp.asarray(0.3)).log_prob(jnp.asarray(0.4)))


def test_moments_are_those_of_bernoulli_variables():
    p = GreyBernoulli(jnp.asarray(LOGITS))
    expected = scipy.stats.bernoulli(scipy.special.expit(LOGITS))
    assert np.allclose(p.mean, expected.mean(), rtol=1e-6)
    assert np.allclose(p.variance, expected.var(), rtol=1e-5, atol=1e-7)


class _OnePass:
    """What a flow without an inverse offers: its own draws with their log-densities."""

    def sample_and_log_prob(self, key):
        z = jax.random.normal(key, (2,))
        return jnp.exp(z), jnp.sum(dist.Normal().log_prob(z) - z)


def test_sample_and_log_prob_serves_both_kinds_of_distribution():
    key = jax.random.key(3)
    normal = dist.Normal(jnp.zeros(2), 2.0).to_event(1)
    z, log_prob = sample_and_log_prob(normal, key)
    assert np.array_equal(z, sample(normal, key))
    assert float(log_prob) == pytest.approx(scipy.stats.norm.logpdf(z, 0, 2).sum(), rel=1e-6)

    value, log_prob = sample_and_log_prob(_OnePass(), key)
    assert np.array_equal(value, sample(_OnePass(), key))
    expected = scipy.stats.lognorm.logpdf(value, 1).sum()
    assert float(log_prob) == pytest.approx(expected, rel=1e-5)
