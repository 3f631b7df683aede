"""Data given some of their elements, against the conditional normal of the exact model."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import kstest

from elbax.evaluate import conditional_draws
from elbax.evaluate.conditional import _propose
from elbax.evaluate.equations import Equations
from elbax.model import Encoder, PlanarFlow
from tests.evaluate.test_imputation import Filled, conditional, holed
from tests.linear_gaussian import linear


def given_two():
    oracle, model, x = holed()
    return oracle, model, x[2]  # its last two cells are missing


def test_draws_are_those_of_the_conditional_normal():
    oracle, model, row = given_two()
    found = conditional_draws(model, row, count=2000, key=jax.random.key(0), proposals=8000)
    np.testing.assert_array_equal(found.x[:, :2], np.tile(row[:2], (2000, 1)))
    mean, deviation = conditional(oracle, row)
    for j in range(2):
        standard = (found.x[:, 2 + j] - mean[j]) / deviation[j]
        # Draws share latents: fewer than 2,000 are independent.
        assert abs(standard.mean()) < 5 / np.sqrt(min(2000, found.effective_sample_size))
        assert kstest(standard, "norm").statistic < 0.05
    covariance = oracle.weight @ oracle.weight.T + oracle.scale**2 * np.eye(4)
    centred, inner = row[:2] - oracle.bias[:2], covariance[:2, :2]
    exact = -0.5 * (
        centred @ np.linalg.solve(inner, centred) + np.linalg.slogdet(2 * np.pi * inner)[1]
    )
    assert found.log_given == pytest.approx(exact, abs=0.05)
    assert found.trust() == "yes"


@pytest.mark.parametrize("pivot", [2, 3])
def test_draws_keep_to_an_equation_and_are_the_conditional_normal(pivot):
    oracle, model, row = given_two()
    factors, total = np.array([0.0, 0.0, 1.0, -2.0]), 0.7
    equations = Equations(jnp.array([factors]), jnp.array([total]), jnp.array([pivot]))
    found = conditional_draws(
        model, row, count=2000, key=jax.random.key(0), proposals=8000, equations=equations
    )
    np.testing.assert_allclose(found.x @ factors, total, atol=1e-5)
    seen = np.stack([np.eye(4)[0], np.eye(4)[1], factors])  # what is known, as linear forms
    covariance = oracle.weight @ oracle.weight.T + oracle.scale**2 * np.eye(4)
    gain = covariance @ seen.T @ np.linalg.inv(seen @ covariance @ seen.T)
    mean = oracle.bias + gain @ (np.array([*row[:2], total]) - seen @ oracle.bias)
    deviation = np.sqrt(np.diag(covariance - gain @ seen @ covariance))
    for j in (2, 3):
        standard = (found.x[:, j] - mean[j]) / deviation[j]
        assert abs(standard.mean()) < 5 / np.sqrt(min(2000, found.effective_sample_size))
        assert kstest(standard, "norm").statistic < 0.05


def test_an_encoder_that_is_wrong_costs_at_most_half_of_the_draws():
    _, model, row = given_two()
    assert isinstance(model.encoder, Encoder)
    far = linear(np.zeros((5, 4)), np.array([30.0, -30.0, 0.0, 0.0, 0.0]))
    far = dataclasses.replace(model.encoder, network=Filled(far))
    wrong = dataclasses.replace(model, encoder=far)
    sizes = [
        conditional_draws(
            m, row, count=1, key=jax.random.key(3), proposals=8000
        ).effective_sample_size
        for m in (model, wrong)
    ]
    assert sizes[1] > 0.2 * sizes[0]


def test_what_is_unlike_the_model_is_not_trusted():
    _, model, row = given_two()
    row = np.where(np.isnan(row), np.nan, 40.0).astype(np.float32)
    found = conditional_draws(model, row, count=3, key=jax.random.key(1), proposals=500)
    assert found.trust() == "no"
    with pytest.raises(ValueError, match="at least one of each"):
        conditional_draws(model, row, count=0, key=jax.random.key(1))


def test_proposals_beyond_floats_are_not_drawn(monkeypatch):
    _, model, row = given_two()
    key, plain = jax.random.key(1), _propose

    def odd(given, number, key):  # every other proposal's densities are a difference of infinities
        z, log_w = plain(given, number, key)
        return z, jnp.where(number % 2 == 1, jnp.nan, log_w)

    monkeypatch.setattr("elbax.evaluate.conditional._propose", odd)
    found = conditional_draws(model, row, count=300, key=key, proposals=4000)
    assert 100 < found.effective_sample_size < 2000
    assert found.trust() == "yes"
    assert np.isfinite(found.log_given)


def test_a_posterior_without_a_density_elsewhere_is_not_proposed_from():
    oracle, model, row = given_two()
    posterior = PlanarFlow(2, layers=1)
    size = posterior.parameter_count
    planar = Encoder(linear(np.zeros((size, 4)), np.zeros(size)), posterior)
    model = dataclasses.replace(model, encoder=planar)
    found = conditional_draws(model, row, count=1000, key=jax.random.key(2), proposals=8000)
    mean, deviation = conditional(oracle, row)
    error = 5 * deviation / np.sqrt(min(1000, found.effective_sample_size))
    np.testing.assert_array_less(np.abs(found.x[:, 2:].mean(axis=0) - mean), error)
