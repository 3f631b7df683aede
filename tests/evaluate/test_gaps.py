"""Where the bound is lost, against closed forms and quadrature."""

import dataclasses
import math

import jax
import numpy as np
import pytest
import scipy.stats

from elbax.evaluate import elbo
from elbax.evaluate.gaps import inference_gap, rate_distortion
from elbax.model import (
    Deterministic,
    DiagonalNormal,
    Encoder,
    GumbelSoftmax,
)
from elbax.model.interfaces import AbstractEncoder
from tests.laws import Composition, in_float64
from tests.linear_gaussian import example, linear, log_normal

ORACLE = example()
ROWS = ORACLE.draw(np.random.default_rng(1), rows=7)
SAMPLES = 400


def normals(mean, covariance, x, count=20_000):
    """Log p(x, z) − log q(z) by scipy at draws of q = N(mean, covariance), a row a row of x."""
    rng = np.random.default_rng(9)
    posterior_mean, posterior_covariance = ORACLE.posterior(x)
    found = []
    for row in range(len(x)):
        z = rng.multivariate_normal(mean[row], covariance, count)
        log_q = log_normal(z, mean[row], covariance)
        log_posterior = log_normal(z, posterior_mean[row], posterior_covariance)
        found.append(ORACLE.log_evidence(x[row]) + log_posterior - log_q)
    return np.stack(found)


def pooled_score(found, expected, spread):
    """How many standard errors a sum over rows is off; `spread` is of one draw of each row."""
    return np.sum(found - expected) / np.sqrt(np.sum(spread**2) / SAMPLES)


# --- the inference gap ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def full_gap():
    with jax.enable_x64(True):
        return inference_gap(ORACLE.model(), ROWS, key=jax.random.key(2), samples=SAMPLES)


def test_a_family_that_holds_the_posterior_loses_nothing_but_amortisation(full_gap):
    exact = ORACLE.log_evidence(ROWS)
    assert np.allclose(full_gap.best_elbo, exact, atol=0.01)
    assert np.allclose(full_gap.log_likelihood, exact, atol=0.01)
    assert np.allclose(full_gap.approximation, 0, atol=0.01)
    # What is left is KL(q ‖ p(z|x)), to the noise of the draws.
    means = ROWS @ ORACLE.encoder_weight.T + ORACLE.encoder_bias
    spread = normals(means, ORACLE.cholesky @ ORACLE.cholesky.T, ROWS).std(axis=1)
    kl = ORACLE.kl_to_posterior(ROWS)
    assert abs(pooled_score(full_gap.amortisation, kl, spread)) < 4
    assert np.allclose(
        full_gap.log_likelihood - full_gap.elbo, full_gap.approximation + full_gap.amortisation
    )


def test_means_of_the_gap(full_gap):
    means = full_gap.means()
    assert means["amortisation"].mean == pytest.approx(full_gap.amortisation.mean())
    assert means["best_elbo"].standard_error == pytest.approx(scipy.stats.sem(full_gap.best_elbo))


@in_float64
def test_a_rows_gap_does_not_depend_on_the_others(full_gap):
    other = np.concatenate([ROWS[:3], np.full((2, 4), 20.0)])
    for rows in (ROWS[:3], other):
        found = inference_gap(ORACLE.model(), rows, key=jax.random.key(2), samples=SAMPLES)
        for name in ("log_likelihood", "best_elbo", "elbo"):
            assert getattr(found, name)[:3].tobytes() == getattr(full_gap, name)[:3].tobytes()


@in_float64
def test_a_diagonal_family_loses_the_mean_field_gap():
    # The best diagonal normal has the posterior's mean and the diagonal of its precision; its KL is
    # ½ (Σ log Λᵢᵢ − log det Λ), whatever x is.
    mean, covariance = ORACLE.posterior(ROWS)
    precision = np.linalg.inv(covariance)
    gap = 0.5 * (np.log(np.diag(precision)).sum() - np.linalg.slogdet(precision)[1])
    assert gap > 0.05
    weight = np.vstack([ORACLE.encoder_weight, np.zeros((2, 4))])
    network = linear(weight, np.concatenate([ORACLE.encoder_bias, [-1.0, 0.5]]))
    model = dataclasses.replace(ORACLE.model(), encoder=Encoder(network, DiagonalNormal(2)))
    exact = ORACLE.log_evidence(ROWS)
    found = inference_gap(model, ROWS, key=jax.random.key(3), samples=SAMPLES, log_likelihood=exact)
    assert found.log_likelihood.tobytes() == exact.tobytes()
    spread = normals(mean, np.diag(1 / np.diag(precision)), ROWS).std(axis=1)
    # Beside the noise of the draws, the search may end a little short of the optimum.
    assert abs(pooled_score(found.approximation, gap, spread)) < 4
    assert np.all(found.amortisation > 0)


class Opaque(AbstractEncoder):
    """Not a network followed by a family."""

    def __call__(self, x, condition=None):
        return None


@pytest.mark.parametrize(
    ("posterior", "reason"),
    [
        (None, "Opaque is not a network followed by a posterior family"),
        (Deterministic(2), "Deterministic has no density"),
        (GumbelSoftmax(4, 2), "GumbelSoftmax have the gradient of a relaxation"),
    ],
)
def test_encoders_without_parameters_of_a_density_are_refused(posterior, reason):
    model = Composition().model(0)
    encoder = Opaque() if posterior is None else Encoder(lambda x: x, posterior)
    model = dataclasses.replace(model, encoder=encoder)
    with pytest.raises(ValueError, match=reason):
        inference_gap(model, np.zeros((2, 2, 2, 1)), key=jax.random.key(0))


def test_gaps_of_nothing_are_refused():
    model, key = ORACLE.model(), jax.random.key(0)
    with pytest.raises(ValueError, match="7 rows, 0 steps and 1000 samples"):
        inference_gap(model, ROWS, key=key, steps=0)
    with pytest.raises(ValueError, match=r"shape \(3,\); give one number for each of 7 rows"):
        inference_gap(model, ROWS, key=key, log_likelihood=np.zeros(3))


# --- rate and distortion -------------------------------------------------------------------


def test_rate_and_distortion_of_the_oracle():
    rows = ORACLE.draw(np.random.default_rng(4), rows=60)
    found = rate_distortion(ORACLE.model(), rows, key=jax.random.key(5), samples=SAMPLES)
    mean = rows @ ORACLE.encoder_weight.T + ORACLE.encoder_bias
    covariance = ORACLE.cholesky @ ORACLE.cholesky.T
    rate = (
        0.5 * ((mean**2).sum(axis=1) + np.trace(covariance) - 2)
        - 0.5 * np.linalg.slogdet(covariance)[1]
    )
    assert found.rate.mean == pytest.approx(rate.mean(), rel=1e-5)
    assert found.rate.standard_error == pytest.approx(scipy.stats.sem(rate), rel=1e-4)
    # E (x − b − W z)² under q, over 2 s².
    residual = rows - ORACLE.bias - mean @ ORACLE.weight.T
    square = (residual**2).sum(axis=1) + np.trace(ORACLE.weight @ covariance @ ORACLE.weight.T)
    distortion = square / (2 * ORACLE.scale**2) + 2 * math.log(2 * math.pi * ORACLE.scale**2)
    assert found.distortion.mean == pytest.approx(distortion.mean(), rel=0.01)
    assert found.distortion.standard_error == pytest.approx(scipy.stats.sem(distortion), rel=0.05)
    bound = elbo(ORACLE.model(), rows, key=jax.random.key(5), samples=SAMPLES).means()["elbo"]
    assert -(found.rate.mean + found.distortion.mean) == pytest.approx(bound.mean, rel=1e-5)
