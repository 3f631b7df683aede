"""Log p(x) and its terms against the linear-Gaussian model, where all of them are closed forms."""

import jax
import numpy as np
import pytest

from elbax.evaluate import importance, score
from tests.evaluate.test_imputation import holed


def terms(oracle, row):
    """E[log p(x_j|z)] of the observed elements under p(z|x_observed), and KL(p(z|x) ‖ p(z))."""
    seen = ~np.isnan(row)
    w, s = oracle.weight[seen], oracle.scale
    covariance = np.linalg.inv(np.eye(2) + w.T @ w / s**2)
    centre = covariance @ w.T @ (row[seen] - oracle.bias[seen]) / s**2
    spread = np.einsum("ji,ik,jk->j", w, covariance, w)
    error = (row[seen] - oracle.bias[seen] - w @ centre) ** 2 + spread
    elements = np.full(len(row), np.nan)
    elements[seen] = -0.5 * np.log(2 * np.pi * s**2) - error / (2 * s**2)
    kl = 0.5 * (np.trace(covariance) + centre @ centre - 2 - np.linalg.slogdet(covariance)[1])
    return elements, kl


def test_the_terms_are_those_of_the_exact_posterior():
    oracle, model, x = holed()
    found = score(model, x, key=jax.random.key(0), samples=20_000)
    for i, row in enumerate(x):
        elements, kl = terms(oracle, row.astype(float))
        np.testing.assert_allclose(found.elements[i], elements, atol=0.05)
        assert found.estimate.kl_posterior_prior is not None
        assert found.estimate.kl_posterior_prior[i] == pytest.approx(kl, abs=0.05)
        seen = ~np.isnan(row)
        covariance = oracle.weight @ oracle.weight.T + oracle.scale**2 * np.eye(4)
        centred = row[seen] - oracle.bias[seen]
        inner = covariance[np.ix_(seen, seen)]
        exact = -0.5 * (
            centred @ np.linalg.solve(inner, centred) + np.linalg.slogdet(2 * np.pi * inner)[1]
        )
        assert found.estimate.log_likelihood[i] == pytest.approx(exact, abs=0.03)


def test_the_terms_add_up_and_the_draws_are_those_of_importance_sampling():
    _, model, x = holed()
    found = score(model, x, key=jax.random.key(1), samples=300)
    same = importance(model, x, key=jax.random.key(1), samples=300)
    estimate = found.estimate
    np.testing.assert_allclose(estimate.log_likelihood, same.log_likelihood, rtol=1e-5)
    np.testing.assert_allclose(
        np.nansum(found.elements, axis=1) - estimate.kl_posterior_prior,
        estimate.log_likelihood,
        atol=2e-4,
    )
    alone = score(model, x[:1], key=jax.random.key(1), samples=300)
    np.testing.assert_array_equal(alone.elements, found.elements[:1])


def test_of_a_row_beyond_floats_the_terms_say_which_element_has_no_density():
    _, model, x = holed()
    x[0, 2] = 1e25  # log p(x|z) is −1e50, which float32 has not
    found = score(model, x, key=jax.random.key(0), samples=50)
    assert found.estimate.log_likelihood[0] == -np.inf
    np.testing.assert_array_equal(np.isnan(found.elements), np.isnan(x))
    assert found.elements[0, 2] == -np.inf
    apart = score(model, x[1:], key=jax.random.key(0), samples=50, numbers=np.arange(1, len(x)))
    np.testing.assert_array_equal(found.elements[1:], apart.elements)


def test_nothing_is_refused():
    _, model, x = holed()
    with pytest.raises(ValueError, match="at least one of each"):
        score(model, x[:0], key=jax.random.key(0))
