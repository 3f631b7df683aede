"""Data with cells that were not observed, where log p of the others is known exactly.

The importance-weighted bound for missing data (Mattei & Frellsen 2019, `missing-iwae`) is
`ImportanceWeightedELBO` under a mask.
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from elbax.model import GECO, MLP, Batch, Encoder, ImportanceWeightedELBO, NegativeELBO
from tests.laws import OBJECTIVES, Composition, in_float64, made
from tests.linear_gaussian import example

ORACLE = example()
OBSERVED = np.array([True, False, True, True])
X = np.where(OBSERVED, ORACLE.draw(np.random.default_rng(1), rows=5), 0.0)
MASK = np.broadcast_to(OBSERVED, X.shape)


def observed(oracle):
    """The model of the observed elements alone: it is linear-Gaussian, too."""
    return dataclasses.replace(
        oracle,
        weight=oracle.weight[OBSERVED],
        bias=oracle.bias[OBSERVED],
        encoder_weight=oracle.encoder_weight[:, OBSERVED],
    )


@eqx.filter_jit
def bound(objective, model, seed):
    batch = Batch(jnp.asarray(X), mask=jnp.asarray(MASK))
    key = jax.random.key(seed)
    return -objective(model, batch, state=None, step=jnp.asarray(0), key=key)[0]


@in_float64
def test_with_the_posterior_of_what_was_observed_it_is_log_p_of_what_was_observed():
    exact = observed(ORACLE).exact()
    whole = np.zeros_like(ORACLE.encoder_weight)
    whole[:, OBSERVED] = exact.encoder_weight
    model = dataclasses.replace(
        ORACLE,
        encoder_weight=whole,
        encoder_bias=exact.encoder_bias,
        cholesky=exact.cholesky,
    ).model()
    evidence = exact.log_evidence(X[:, OBSERVED]).mean()
    for objective in (NegativeELBO(kl="monte-carlo"), ImportanceWeightedELBO(4)):
        assert float(bound(objective, model, 2)) == pytest.approx(evidence, rel=1e-10)


@in_float64
def test_the_bound_rises_with_the_draws_to_log_p_of_what_was_observed():
    model, part = ORACLE.model(), observed(ORACLE)
    evidence = part.log_evidence(X[:, OBSERVED]).mean()
    means, errors = [], []
    for k in (1, 8, 64):
        values = jax.lax.map(
            lambda seed, k=k: bound(ImportanceWeightedELBO(k), model, seed),
            jnp.arange(1000) + 10_000 * k,
        )
        means.append(float(jnp.mean(values)))
        errors.append(float(scipy.stats.sem(values)))
    assert np.all(np.diff(means) > 4 * np.hypot(errors[1:], errors[:-1]))
    assert means[-1] + 4 * errors[-1] < evidence
    gap = part.kl_to_posterior(X[:, OBSERVED]).mean()
    assert abs(means[0] - (evidence - gap)) < 4 * errors[0]


def one_of_each_class():
    return {type(made(make)): name for name, make in OBJECTIVES.items()}.values()


@pytest.mark.parametrize("name", one_of_each_class())
def test_with_nothing_missing_a_mask_changes_nothing(name):
    composition, objective = Composition(objective=name), OBJECTIVES[name]()
    model, batch = composition.model(2), composition.batch(3)
    state = objective.init(model)

    @jax.jit
    def loss(mask):
        seen, key = dataclasses.replace(batch, mask=mask), jax.random.key(0)
        return objective(model, seen, state=state, step=jnp.asarray(1), key=key)[0]

    whole, mask = np.asarray(loss(None)), np.ones(batch.x.shape, bool)
    assert np.allclose(loss(mask), whole, rtol=1e-6)
    mask[:, 0] = False
    assert not np.allclose(loss(mask), whole, rtol=1e-6)


class Filled(eqx.Module):
    """An encoder's network that takes a missing cell for 0."""

    network: MLP

    def __call__(self, x):
        return self.network(jnp.where(jnp.isnan(x), 0.0, x))


@in_float64
def test_the_tolerance_of_geco_counts_nan_as_a_mask_says_it():
    model = ORACLE.model()
    assert isinstance(model.encoder, Encoder)
    encoder = Encoder(Filled(model.encoder.network), model.encoder.posterior)
    model = dataclasses.replace(model, encoder=encoder)
    objective, key = GECO(tolerance=0.8), jax.random.key(0)
    holes = jnp.asarray(np.where(OBSERVED, X, np.nan))
    by_mask, by_nan = (
        objective(model, batch, state=objective.init(model), step=jnp.asarray(0), key=key)
        for batch in (Batch(jnp.asarray(X), mask=jnp.asarray(MASK)), Batch(holes))
    )
    constraint = by_mask[1][1]["constraint"]
    assert float(by_nan[1][1]["constraint"]) == pytest.approx(float(constraint), rel=1e-5)
    assert float(by_nan[0]) == pytest.approx(float(by_mask[0]), rel=1e-5)
    distortion = -by_nan[1][1]["reconstruction"] / OBSERVED.sum()
    assert float(constraint) == pytest.approx(float(distortion) - 0.8, rel=1e-5)
