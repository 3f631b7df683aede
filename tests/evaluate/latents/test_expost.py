"""Densities fitted to latents: the true one is recovered, and the model draws from it."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from elbax.evaluate.latents import expost
from elbax.model import load_model, save_model
from tests.laws import SHAPE, Composition, in_float64
from tests.linear_gaussian import log_normal

KEY = jax.random.key(0)
WEIGHTS = np.array([0.3, 0.7])
MEANS = np.array([[-2.0, 1.0], [2.0, 0.0]])
COVARIANCES = np.array([[[0.5, 0.2], [0.2, 0.3]], [[1.0, -0.6], [-0.6, 0.8]]])


def log_mixture(z):
    parts = [log_normal(z, m, c) for m, c in zip(MEANS, COVARIANCES, strict=True)]
    return np.asarray(scipy.special.logsumexp(np.stack(parts, -1) + np.log(WEIGHTS), axis=-1))


def draws(rows, seed):
    rng = np.random.default_rng(seed)
    which = rng.choice(2, rows, p=WEIGHTS)
    noise = np.einsum(
        "nij,nj->ni", np.linalg.cholesky(COVARIANCES)[which], rng.normal(size=(rows, 2))
    )
    return MEANS[which] + noise


def log_probs(prior, z):
    return np.asarray(jax.jit(jax.vmap(prior().log_prob))(jnp.asarray(z)))


@in_float64
def test_gaussian_has_the_moments_of_the_latents():
    z = draws(500, 0)
    expected = log_normal(z, z.mean(0), np.cov(z.T, bias=True) + expost.FLOOR * np.eye(2))
    assert np.allclose(log_probs(expost.gaussian(z), z), expected, rtol=1e-9)


@in_float64
def test_gaussian_of_one_latent_and_of_a_constant_one():
    z = np.column_stack([np.linspace(-1, 1, 11), np.full(11, 3.0)])
    p: Any = expost.gaussian(z)()
    found = p.component_distribution
    assert np.allclose(found.mean, z.mean(0))
    assert np.allclose(found.variance, z.var(0) + expost.FLOOR, rtol=1e-6)
    assert np.allclose(expost.gaussian(z[:, :1])().variance, z[:, 0].var() + expost.FLOOR)


@in_float64
def test_gaussian_mixture_recovers_the_one_that_made_the_latents():
    z, fresh = draws(20_000, 1), draws(2_000, 2)
    prior = expost.gaussian_mixture(z, 2)
    shortfall = log_mixture(fresh) - log_probs(prior, fresh)  # its mean is KL(truth ‖ fitted)
    # 11 parameters fitted to 20,000 rows: 11 / 40,000 nats are expected.
    assert abs(shortfall.mean()) < 4 * scipy.stats.sem(shortfall) + 0.001
    assert np.abs(shortfall).mean() < 0.05

    keys = jax.random.split(jax.random.key(3), 20_000)
    drawn = np.asarray(jax.jit(jax.vmap(prior().sample))(keys))
    mean = WEIGHTS @ MEANS
    second = np.einsum("k,kij->ij", WEIGHTS, COVARIANCES + MEANS[:, :, None] * MEANS[:, None])
    assert np.allclose(drawn.mean(0), mean, atol=0.08)
    assert np.allclose(np.cov(drawn.T), second - np.outer(mean, mean), atol=0.15)


@pytest.mark.slow
def test_flow_fits_better_than_the_normal_and_nearly_as_the_truth():
    z, fresh = draws(3_000, 4), draws(2_000, 5)
    fitted = expost.flow(z, width=16, epochs=40, key=jax.random.key(6))
    truth = log_mixture(fresh).mean()
    assert truth - log_probs(fitted, fresh).mean() < 0.1
    assert truth - log_probs(expost.gaussian(z), fresh).mean() > 0.25


def test_a_fitted_prior_takes_the_place_of_the_models_and_is_saved_with_it(tmp_path):
    model = Composition().model(7)
    fitted = expost.gaussian_mixture(draws(200, 8), 3)
    model = eqx.tree_at(lambda m: m.prior, model, fitted)
    save_model(tmp_path / "model.safetensors", model)
    loaded = load_model(tmp_path / "model.safetensors")
    key = jax.random.key(9)
    assert np.array_equal(
        loaded.prior_distribution().sample(key), model.prior_distribution().sample(key)
    )
    assert jax.eval_shape(model.decode, model.prior_distribution().sample(key)).batch_shape == SHAPE


@pytest.mark.parametrize(
    ("fit", "latents", "words"),
    [
        (expost.gaussian, np.zeros((1, 2)), "at least 2 rows"),
        (expost.gaussian, np.full((5, 2), np.nan), "not all finite"),
        (expost.gaussian_mixture, np.zeros((5, 2)), "at least 10 rows"),
        (lambda z: expost.gaussian_mixture(z, 0), np.zeros((5, 2)), "components is 0"),
        (lambda z: expost.flow(z, key=KEY), np.zeros((5, 2)), "at least 20 rows"),
        (lambda z: expost.flow(z, key=KEY), np.zeros((50, 1)), "at least two latents"),
    ],
)
def test_latents_that_cannot_be_fitted_are_refused(fit, latents, words):
    with pytest.raises(ValueError, match=words):
        fit(latents)
