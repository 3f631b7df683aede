"""Annealed estimates are unbiased for p(x) and 1 / p(x), and say how uncertain they are."""

import dataclasses
import itertools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.special
import scipy.stats

from elbax.evaluate import importance
from elbax.evaluate.annealed import (
    Sandwich,
    _effective,
    _jackknife,
    _simulate,
    annealed,
    check_annealable,
    inverse_temperatures,
    sandwich,
)
from elbax.model import (
    Deterministic,
    DiagonalNormal,
    Encoder,
    GumbelSoftmax,
    LatentVariableModel,
    Preprocessing,
    StandardNormal,
    UniformCategorical,
    UniformHypersphere,
    VampPrior,
)
from elbax.model.interfaces import AbstractPrior
from tests.laws import Composition, in_float64
from tests.linear_gaussian import example

ORACLE = example()
ROWS = ORACLE.draw(np.random.default_rng(1), rows=310)
SETTINGS: dict[str, Any] = {"chains": 16, "temperatures": 40, "leapfrog_steps": 5}


@pytest.fixture(scope="module")
def estimate():
    with jax.enable_x64(True):
        return annealed(ORACLE.model(), ROWS, key=jax.random.key(2), **SETTINGS)


def standard_score(values, expected):
    """How many standard errors the mean is away from what is expected."""
    return (np.mean(values) - expected) / scipy.stats.sem(values)


def test_the_estimate_is_unbiased_for_the_evidence(estimate):
    error = estimate.log_likelihood - ORACLE.log_evidence(ROWS)
    assert abs(standard_score(np.exp(error), 1.0)) < 4
    # Its logarithm is below in expectation, by about half the variance.
    assert abs(standard_score(error + 0.5 * estimate.monte_carlo_error**2, 0.0)) < 4


def test_monte_carlo_errors_are_those_of_the_estimates(estimate):
    # Over rows, each with its own noise: the mean square of the errors is what the jackknife says.
    error = estimate.log_likelihood - ORACLE.log_evidence(ROWS)
    centred = error - error.mean()
    assert abs(standard_score(centred**2 - estimate.monte_carlo_error**2, 0.0)) < 4
    assert 0.8 < np.mean(centred**2) / np.mean(estimate.monte_carlo_error**2) < 1.25
    assert estimate.mean_monte_carlo_error() == pytest.approx(
        np.sqrt(np.mean(estimate.monte_carlo_error**2) / len(ROWS))
    )


def test_the_estimate_describes_itself(estimate):
    assert (estimate.estimator, estimate.samples, estimate.pareto_k) == ("annealed", 16, None)
    assert np.all((estimate.effective_sample_size >= 1) & (estimate.effective_sample_size <= 16))
    # For weights of relative variance v the ESS is about 16 / (1 + v), and the error² v / 16.
    expected = 16 / (1 + 16 * estimate.monte_carlo_error**2)
    assert np.mean(estimate.effective_sample_size) == pytest.approx(np.mean(expected), rel=0.1)
    assert np.isnan(_jackknife(np.zeros((3, 1)))).all()


@in_float64
def test_a_rows_estimate_does_not_depend_on_the_others(estimate):
    model, key = ORACLE.model(), jax.random.key(2)
    other = ROWS[:40].copy()
    other[3:] = 30.0
    for rows in (ROWS[:3], other):
        found = annealed(model, rows, key=key, **SETTINGS)
        for name in ("log_likelihood", "monte_carlo_error", "effective_sample_size"):
            assert getattr(found, name)[:3].tobytes() == getattr(estimate, name)[:3].tobytes()
    # The same row at five places: other noise.
    same = annealed(model, np.repeat(ROWS[:1], 5, axis=0), key=key, **SETTINGS)
    assert len(np.unique(same.log_likelihood)) == 5


@pytest.mark.slow
@in_float64
def test_annealing_forward_and_backward_bracket_the_evidence():
    model, key, count = ORACLE.model(), jax.random.key(3), 300

    def datum(number):
        simulation = jax.random.split(jax.random.fold_in(key, number), 3)[0]
        return _simulate(model, simulation)[1]

    truth = ORACLE.log_evidence(np.asarray(jax.vmap(datum)(jnp.arange(count))))
    found = {
        steps: sandwich(model, key=key, count=count, chains=4, temperatures=steps, leapfrog_steps=5)
        for steps in (3, 60)
    }
    # Of 3 temperatures the weights are too wild for a mean, and the bounds visibly apart.
    assert abs(standard_score(np.exp(found[60].lower - truth), 1.0)) < 4
    assert abs(standard_score(np.exp(truth - found[60].upper), 1.0)) < 4
    assert standard_score(found[3].lower - truth, 0.0) < -4
    assert standard_score(found[3].upper - truth, 0.0) > 4
    few, many = found[3].gap(), found[60].gap()
    assert 0 < many.mean < few.mean / 4
    assert few.mean - many.mean > 4 * few.standard_error


def test_the_gap_has_its_standard_error():
    gap = Sandwich(lower=np.array([-3.0, -2.0, -5.0]), upper=np.array([-2.0, -2.0, -3.0])).gap()
    assert dataclasses.astuple(gap) == pytest.approx((1.0, scipy.stats.sem([1.0, 0.0, 2.0])))


def test_binarised_data_against_quadrature():
    # One image a row is drawn: its log-mass is that of one of the 16, the same as for `importance`.
    model = dataclasses.replace(
        Composition(likelihood="bernoulli, binary").model(4),
        preprocessing=Preprocessing(1 / 255, "dynamic"),
    )
    grid = np.linspace(-8, 8, 81)
    z = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    logits = np.asarray(jax.vmap(lambda z: model.decode(z).logits)(jnp.asarray(z, jnp.float32)))
    log_prior = scipy.stats.norm.logpdf(z).sum(axis=1) + 2 * np.log(grid[1] - grid[0])
    images = np.array(list(itertools.product([0.0, 1.0], repeat=4)))
    signs = 2 * images[:, None] - 1
    log_p = scipy.special.log_expit(signs * logits.reshape(-1, 4)).sum(axis=2)
    evidence = np.logaddexp.reduce(log_p + log_prior, axis=1)
    assert np.exp(evidence).sum() == pytest.approx(1, abs=1e-3)

    rows = np.random.default_rng(5).integers(60, 200, (31, 2, 2, 1)).astype(np.uint8)
    key = jax.random.key(6)
    found = annealed(model, rows, key=key, **SETTINGS).log_likelihood
    # Which of the images it was: importance sampling says it with many samples.
    other = importance(model, rows, key=key, samples=2000).log_likelihood
    nearest = np.argmin(np.abs(evidence - other[:, None]), axis=1)
    assert abs(standard_score(np.exp(found - evidence[nearest]), 1.0)) < 4
    assert np.corrcoef(found, evidence[nearest])[0, 1] > 0.95


def test_temperatures_are_a_sigmoid_from_zero_to_one():
    beta = inverse_temperatures(10)
    assert (beta[0], beta[5], beta[-1]) == pytest.approx((0.0, 0.5, 1.0))
    ends = scipy.special.expit([-4.0, 4.0])
    expected = (scipy.special.expit(np.linspace(-4, 4, 11)) - ends[0]) / (ends[1] - ends[0])
    assert np.allclose(beta, expected)
    assert inverse_temperatures(1).tolist() == [0.0, 1.0]


# --- what is refused -----------------------------------------------------------------------


class Other(AbstractPrior):
    """A prior made of any distribution."""

    latent_dim: int = eqx.field(static=True)
    distribution: Any

    def __call__(self, encoder, condition=None):
        return self.distribution


class Draws(eqx.Module):
    """What can be drawn from and not evaluated."""

    def sample(self, key):
        return jax.random.normal(key, (2,))


def with_prior(prior, posterior=None):
    model = Composition().model(0)
    assert isinstance(model.encoder, Encoder)
    posterior = DiagonalNormal(2) if posterior is None else posterior
    encoder = Encoder(model.encoder.network, posterior)
    return LatentVariableModel(prior, encoder, model.decoder)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (lambda: with_prior(UniformCategorical(2, 2)), "discrete"),
        (lambda: with_prior(UniformHypersphere(2)), "spherical"),
        (
            lambda: with_prior(Other(2, dist.Uniform(jnp.zeros(2), jnp.ones(2)))),
            "bounded.*Interval",
        ),
        (lambda: with_prior(Other(2, dist.LogNormal(jnp.zeros(2)))), "bounded"),
        (lambda: with_prior(Other(2, dist.Poisson(jnp.ones(2)))), "discrete"),
        (lambda: with_prior(Other(2, dist.Delta(jnp.zeros(2)).to_event(1))), "deterministic"),
        (lambda: with_prior(Other(2, Draws())), "no log-density"),
        (
            lambda: with_prior(VampPrior(2, (2, 2, 1), 3, key=jax.random.key(0)), Deterministic(4)),
            "deterministic",
        ),
        (
            lambda: with_prior(
                VampPrior(2, (2, 2, 1), 3, key=jax.random.key(0)), GumbelSoftmax(4, 2)
            ),
            "discrete",
        ),
    ],
)
def test_latent_spaces_without_a_gradient_path_are_refused(model, reason):
    with pytest.raises(ValueError, match=f"(?s)cannot use the prior.*{reason}.*importance"):
        check_annealable(model())


@pytest.mark.parametrize(
    "prior",
    [
        lambda: StandardNormal(2),
        lambda: Other(2, dist.MultivariateNormal(jnp.zeros(2), jnp.eye(2))),
        lambda: Other(2, dist.Laplace(jnp.zeros(2)).to_event(1)),
        lambda: VampPrior(2, (2, 2, 1), 3, key=jax.random.key(0)),
    ],
)
def test_priors_with_a_density_everywhere_are_allowed(prior):
    check_annealable(with_prior(prior()))


def test_a_posterior_without_a_density_is_allowed():
    check_annealable(with_prior(StandardNormal(2), Deterministic(4)))


def test_chains_beyond_floats_weigh_nothing():
    rows = ROWS[:2].astype(np.float32)
    rows[0, 0] = 1e25
    found = annealed(ORACLE.model(), rows, key=jax.random.key(0), **SETTINGS)
    assert found.log_likelihood[0] == -np.inf
    assert found.effective_sample_size[0] == 0
    assert found.trust()[0] == "no"
    assert np.isfinite(found.log_likelihood[1])
    weights = np.array([[0.0, np.log(3.0), -np.inf], [-np.inf] * 3, [5.0] * 3])
    np.testing.assert_allclose(_effective(weights), [16 / 10, 0, 3])


def test_nothing_is_refused():
    model, key = ORACLE.model(), jax.random.key(0)
    with pytest.raises(ValueError, match="0 rows"):
        annealed(model, ROWS[:0], key=key)
    with pytest.raises(ValueError, match="3 chains, 0 temperatures and 10 leapfrog steps"):
        annealed(model, ROWS, key=key, chains=3, temperatures=0)
    with pytest.raises(ValueError, match="count is 0"):
        sandwich(model, key=key, count=0)
