"""The thermodynamic objective on a linear-Gaussian model: every πβ is normal there."""

import dataclasses
import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax.flatten_util import ravel_pytree

from elbax.model import NegativeELBO, ThermodynamicObjective
from tests.laws import in_float64
from tests.linear_gaussian import LinearGaussian, example, log_normal
from tests.model.objectives.test_importance_weighted import call

ORACLE = example()
X = ORACLE.draw(np.random.default_rng(1), rows=1)


def expected_bound(oracle: LinearGaussian, points: np.ndarray) -> float:
    """Σ (β' − β) E_πβ[log p(x, z) − log q(z|x)], each expectation that of a quadratic form.

    πβ ∝ q^(1 − β) p(z|x)^β has the precision (1 − β) S⁻¹ + β P⁻¹.
    """
    mean, covariance = oracle.posterior(X)
    spread = oracle.cholesky @ oracle.cholesky.T
    ours = oracle.encoder_weight @ X[0] + oracle.encoder_bias
    exact, own = np.linalg.inv(covariance), np.linalg.inv(spread)
    total = 0.0
    for low, high in itertools.pairwise(points):
        on_way = np.linalg.inv((1 - low) * own + low * exact)
        centre = on_way @ ((1 - low) * own @ ours + low * exact @ mean[0])
        # log of a normal density, averaged over another normal.
        of_exact = log_normal(centre, mean[0], covariance) - 0.5 * np.trace(exact @ on_way)
        of_own = log_normal(centre, ours, spread) - 0.5 * np.trace(own @ on_way)
        total += (high - low) * (float(oracle.log_evidence(X)) + of_exact - of_own)
    return float(total)


@in_float64
def test_the_value_of_many_draws_is_the_sum_of_the_expectations():
    objective = ThermodynamicObjective(20_000, 4, 0.05)
    assert np.allclose(objective.points, [0, 0.05, 0.05 ** (2 / 3), 0.05 ** (1 / 3), 1])
    model, evidence = ORACLE.model(), float(ORACLE.log_evidence(X))

    @eqx.filter_jit
    def of_seeds(seeds):
        return jax.lax.map(lambda seed: call(objective, model, X, seed), seeds)

    loss, metrics = of_seeds(jnp.arange(20))
    expected = expected_bound(ORACLE, objective.points)
    elbo = evidence - ORACLE.kl_to_posterior(X)[0]
    assert np.array_equal(metrics["thermodynamic_bound"], -loss)
    for found, mean in ((-loss, expected), (metrics["elbo"], elbo)):
        assert abs(np.mean(found) - mean) < 4 * scipy.stats.sem(found)
        assert scipy.stats.sem(found) < 0.02
    # More parts come nearer to log p(x).
    assert elbo + 0.1 < expected < expected_bound(ORACLE, np.linspace(0, 1, 50)) < evidence


@in_float64
def test_one_part_is_the_evidence_lower_bound_of_the_same_draws():
    model = ORACLE.model()
    loss, _ = call(ThermodynamicObjective(7, 1), model, X, 2)
    elbo, _ = call(NegativeELBO(1.0, 7, "monte-carlo"), model, X, 2)
    assert float(loss) == pytest.approx(float(elbo), rel=1e-12)


@pytest.mark.parametrize("parts", [1, 4])
@in_float64
def test_the_gradient_of_many_draws_is_that_of_the_expectations(parts):
    # Of A, a, W and b by central differences of the closed form; the estimator by 40 × 5,000 draws.
    objective = ThermodynamicObjective(5000, parts, 0.05)
    model = ORACLE.model()

    @eqx.filter_jit
    def gradients(seeds):
        def one(seed):
            found = eqx.filter_grad(lambda m: call(objective, m, X, seed)[0])(model)
            encoder, decoder = found.encoder.network.layers[0], found.decoder.network.layers[0]
            latents = ORACLE.weight.shape[1]
            # The rest of the encoder's rows are of the covariance, which is a constant here.
            chosen = (
                encoder.weight[:latents],
                encoder.bias[:latents],
                decoder.weight,
                decoder.bias,
            )
            return ravel_pytree(chosen)[0]

        return jax.lax.map(one, seeds)

    found = -np.asarray(gradients(jnp.arange(40)))
    names = ("encoder_weight", "encoder_bias", "weight", "bias")
    expected = []
    for name in names:
        value = getattr(ORACLE, name)
        for place in np.ndindex(value.shape):
            moved = []
            for step in (1e-5, -1e-5):
                changed = value.copy()
                changed[place] += step
                there = dataclasses.replace(ORACLE, **{name: changed})
                moved.append(expected_bound(there, objective.points))
            expected.append((moved[0] - moved[1]) / 2e-5)
    errors = scipy.stats.sem(found, axis=0)
    # Normalised weights leave a bias of the order of 1/5,000 beside the noise.
    assert np.all(np.abs(found.mean(0) - expected) < 4 * errors + 3e-3 * np.abs(expected))
    assert np.linalg.norm(found.mean(0) - expected) < 0.02 * np.linalg.norm(expected)


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="samples is 1"):
        ThermodynamicObjective(1)
    with pytest.raises(ValueError, match="partitions is 0"):
        ThermodynamicObjective(2, 0)
    with pytest.raises(ValueError, match=r"first is 1\.0"):
        ThermodynamicObjective(2, 2, 1.0)
