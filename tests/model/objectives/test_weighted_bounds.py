"""Bounds that are functions of the importance weights, against scipy's weights and limits."""

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from elbax.model import (
    CombinedImportanceWeighted,
    ImportanceWeightedELBO,
    MultiplyImportanceWeighted,
    NegativeELBO,
    PartiallyImportanceWeighted,
    RenyiBound,
)
from tests.laws import in_float64
from tests.linear_gaussian import example
from tests.model.objectives.test_importance_weighted import X, call, draws, log_weights

ORACLE = example()


def value_and_gradient(objective, model, seed):
    return eqx.filter_value_and_grad(lambda m: call(objective, m, X, seed)[0])(model)


def same(one, other):
    return all(
        np.allclose(a, b, rtol=1e-9, atol=1e-12)
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    )


@in_float64
def test_values_are_those_of_the_weights_by_scipy():
    model = ORACLE.model()
    log_w = log_weights(draws(model, 3, 6)[0])
    whole = scipy.special.logsumexp(log_w, axis=1) - np.log(6)
    threes = scipy.special.logsumexp(log_w.reshape(-1, 2, 3), axis=2) - np.log(3)
    halves = np.log(np.mean(np.exp(0.6 * log_w), axis=1)) / 0.6
    expected = [
        (MultiplyImportanceWeighted(3, 2), threes.mean()),
        (PartiallyImportanceWeighted(3, 2), whole.mean()),
        (CombinedImportanceWeighted(6, 0.3), 0.3 * log_w.mean() + 0.7 * whole.mean()),
        (RenyiBound(0.4, 6), halves.mean()),
        (RenyiBound(samples=6, best=True), log_w.max(axis=1).mean()),
    ]
    for objective, bound in expected:
        loss, metrics = call(objective, model, X, 3)
        assert float(loss) == pytest.approx(-bound, rel=1e-12)
        assert float(metrics["elbo"]) == pytest.approx(log_w.mean(), rel=1e-12)


@in_float64
def test_limits_are_the_two_bounds_that_they_lie_between():
    model = ORACLE.model()
    elbo = value_and_gradient(NegativeELBO(1.0, 6, "monte-carlo"), model, 4)
    weighted = value_and_gradient(ImportanceWeightedELBO(6), model, 4)
    for objective, limit in (
        (MultiplyImportanceWeighted(1, 6), elbo),
        (CombinedImportanceWeighted(6, 1.0), elbo),
        (RenyiBound(1.0, 6), elbo),
        (PartiallyImportanceWeighted(6, 1), weighted),
        (CombinedImportanceWeighted(6, 0.0), weighted),
        (RenyiBound(0.0, 6), weighted),
    ):
        assert same(value_and_gradient(objective, model, 4), limit), objective
    # α near 1 is near the evidence lower bound, from either side of it.
    below, above = (
        float(value_and_gradient(RenyiBound(a, 6), model, 4)[0]) for a in (1.001, 0.999)
    )
    assert above < float(elbo[0]) < below
    assert below - above < 0.1


@in_float64
def test_the_partial_gradient_is_one_bounds_for_the_encoder_and_anothers_for_the_rest():
    model = ORACLE.model("shared")
    _, found = value_and_gradient(PartiallyImportanceWeighted(3, 2), model, 5)
    _, encoders = value_and_gradient(MultiplyImportanceWeighted(3, 2), model, 5)
    _, others = value_and_gradient(ImportanceWeightedELBO(6), model, 5)
    assert same(found.encoder, encoders.encoder)
    assert not same(found.encoder, others.encoder)
    assert same(found.decoder, others.decoder)
    assert not same(found.decoder, encoders.decoder)


@in_float64
def test_the_renyi_bound_of_many_draws_is_the_evidence_less_the_divergence():
    # Gil et al. 2013, table 2: D_α of two normals in closed form; α = 0.5 here. One latent.
    oracle = example(seed=3, latents=1).exact()
    aside, wider = oracle.encoder_bias + 0.5 * oracle.cholesky[0], 1.3 * oracle.cholesky
    oracle = dataclasses.replace(oracle, encoder_bias=aside, cholesky=wider)
    x = oracle.draw(np.random.default_rng(2), rows=1)
    mean, covariance = oracle.posterior(x)
    a, spread = 0.5, (oracle.cholesky @ oracle.cholesky.T)[0, 0]
    shift = (oracle.encoder_weight @ x[0] + oracle.encoder_bias - mean[0])[0]
    between = a * covariance[0, 0] + (1 - a) * spread
    logs = (1 - a) * np.log(spread) + a * np.log(covariance[0, 0]) - np.log(between)
    divergence = a * shift**2 / (2 * between) + logs / (2 * (a - 1))
    expected = float(oracle.log_evidence(x)) - divergence

    model = oracle.model()

    @eqx.filter_jit
    def bounds(seeds):
        return -jax.lax.map(lambda s: call(RenyiBound(a, 4000), model, x, s)[0], seeds)

    found = np.asarray(bounds(jnp.arange(40)))
    assert abs(found.mean() - expected) < 4 * scipy.stats.sem(found) + 1e-3


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="repeats is 0"):
        MultiplyImportanceWeighted(2, 0)
    with pytest.raises(ValueError, match="samples is 0"):
        PartiallyImportanceWeighted(0, 2)
    with pytest.raises(ValueError, match=r"share is 1\.5"):
        CombinedImportanceWeighted(2, 1.5)
    with pytest.raises(ValueError, match="alpha is inf"):
        RenyiBound(math.inf)
