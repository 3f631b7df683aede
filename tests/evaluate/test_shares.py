"""The share of each element in log p(x), against the exact posterior; keys by content."""

import jax
import numpy as np
import pytest
from scipy.stats import norm

from elbax.evaluate import content_numbers, importance, shares
from tests.linear_gaussian import example


def test_shares_are_those_of_the_exact_posterior():
    oracle = example().exact()
    x = oracle.draw(np.random.default_rng(0), 6)
    rows = x.astype(np.float32)
    # z | x ~ N(m, V): E[log N(x_j; w_j z + b_j, s²)] is that at the mean, less w_j V w_j / 2 s².
    mean, covariance = oracle.posterior(x)
    spread = np.einsum("jk,kl,jl->j", oracle.weight, covariance, oracle.weight)
    at_mean = norm.logpdf(x, mean @ oracle.weight.T + oracle.bias, oracle.scale)
    exact = at_mean - spread / (2 * oracle.scale**2)
    found = shares(oracle.model(), rows, key=jax.random.key(1), samples=4000)
    np.testing.assert_allclose(found, exact, atol=0.12)

    # What they leave of log p(x) is KL(p(z|x) ‖ p(z)) of two normals.
    latents = len(covariance)
    kl = 0.5 * (
        np.trace(covariance) + np.sum(mean**2, axis=1) - latents - np.linalg.slogdet(covariance)[1]
    )
    left = found.sum(axis=1) - oracle.log_evidence(x)
    np.testing.assert_allclose(left, kl, atol=0.25)


def test_no_rows_are_refused():
    with pytest.raises(ValueError, match="0 rows and 250 samples"):
        shares(example().model(), np.zeros((0, 4), np.float32), key=jax.random.key(0))


def test_content_numbers_know_the_row_and_nothing_else():
    rows = np.array([[0.0, 1.0], [2.0, np.nan], [-0.0, 1.0], [2.0, -np.nan]], np.float32)
    numbers = content_numbers(rows)
    assert numbers[0] == numbers[2]
    assert numbers[1] == numbers[3]
    assert len(set(numbers.tolist())) == 2
    assert (numbers >= 0).all()
    np.testing.assert_array_equal(content_numbers(rows[::-1]), numbers[::-1])


def test_estimates_keyed_by_content_do_not_know_the_place():
    oracle = example()
    rows = oracle.draw(np.random.default_rng(0), 6).astype(np.float32)

    def estimate(rows):
        numbers = content_numbers(rows)
        key = jax.random.key(2)
        return importance(oracle.model(), rows, key=key, samples=20, numbers=numbers).log_likelihood

    np.testing.assert_array_equal(estimate(rows[::-1]), estimate(rows)[::-1])
    by_place = importance(oracle.model(), rows, key=jax.random.key(2), samples=20)
    assert not np.array_equal(by_place.log_likelihood, estimate(rows))
