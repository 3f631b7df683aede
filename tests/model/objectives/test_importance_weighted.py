"""The importance-weighted bound where log p(x) is known exactly (tests/linear_gaussian.py)."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from elbax.model import Batch, ImportanceWeightedELBO, NegativeELBO, elbo_terms
from elbax.model.objectives.terms import KLEstimate
from tests.laws import in_float64
from tests.linear_gaussian import example, log_normal

ORACLE = example()
X = ORACLE.draw(np.random.default_rng(1), rows=6)


@eqx.filter_jit
def call(objective, model, x, seed, mask=None):
    batch = Batch(jnp.asarray(x), mask=mask)
    key = jax.random.key(seed)
    loss, (state, metrics) = objective(model, batch, state=None, step=jnp.asarray(0), key=key)
    assert state is None
    return loss, metrics


@eqx.filter_jit
def draws(model, seed, samples, kl: KLEstimate = "monte-carlo", mask=None):
    """What `elbo_terms` and q(z|x) give at the draws of `samples` > 1: one row a datum."""
    rows = jax.random.split(jax.random.key(seed), len(X))

    def one(x, key, mask):
        keys = jax.random.split(key, samples)
        z = jax.vmap(model.encode(x).sample)(keys)
        return z, jax.vmap(lambda key: elbo_terms(model, x, key, mask, kl=kl))(keys)

    return jax.vmap(one)(jnp.asarray(X), rows, mask)


def log_weights(z):
    """log p(x, z) − log q(z|x) of each draw by scipy, one row a datum."""
    found = []
    for x, z_of_x in zip(X, np.asarray(z), strict=True):
        means = z_of_x @ ORACLE.weight.T + ORACLE.bias
        log_p = scipy.stats.norm.logpdf(x, means, ORACLE.scale).sum(axis=1)
        log_p += scipy.stats.norm.logpdf(z_of_x).sum(axis=1)
        mean = ORACLE.encoder_weight @ x + ORACLE.encoder_bias
        found.append(log_p - log_normal(z_of_x, mean, ORACLE.cholesky @ ORACLE.cholesky.T))
    return np.array(found)


@in_float64
def test_the_bound_is_that_of_the_weights_by_scipy():
    # The draws are elbax'; their weights p(x, z) / q(z|x) are scipy's densities.
    k, model = 7, ORACLE.model()
    loss, metrics = call(ImportanceWeightedELBO(k), model, X, 3)
    log_w = log_weights(draws(model, 3, k)[0])
    bound = np.mean(scipy.special.logsumexp(log_w, axis=1) - np.log(k))
    assert float(loss) == pytest.approx(-bound, rel=1e-12)
    assert float(metrics["loss"]) == float(loss)
    assert float(metrics["importance_weighted_bound"]) == pytest.approx(bound, rel=1e-12)
    assert float(metrics["elbo"]) == pytest.approx(log_w.mean(), rel=1e-12)
    parts = metrics["reconstruction"] - metrics["kl"]
    assert float(parts) == pytest.approx(log_w.mean(), rel=1e-12)


@in_float64
def test_one_draw_gives_the_monte_carlo_elbo_and_its_gradient():
    model = ORACLE.model()

    def loss(objective):
        return eqx.filter_value_and_grad(lambda m: call(objective, m, X, 4)[0])(model)

    found = jax.tree.leaves(loss(ImportanceWeightedELBO(1)))
    expected = jax.tree.leaves(loss(NegativeELBO(kl="monte-carlo")))
    for a, b in zip(found, expected, strict=True):
        assert np.allclose(a, b, rtol=1e-12, atol=1e-12)


@in_float64
def test_the_gradient_weighs_each_draws_own_by_its_normalised_weight():
    # Burda et al. 2015, eq. 13, with the weights by scipy.
    k, model = 5, ORACLE.model()
    weights = scipy.special.softmax(log_weights(draws(model, 5, k)[0]), axis=1)

    def weighted(model):
        return -jnp.mean(jnp.sum(jnp.asarray(weights) * draws(model, 5, k)[1].elbo, axis=1))

    found = eqx.filter_grad(lambda m: call(ImportanceWeightedELBO(k), m, X, 5)[0])(model)
    expected = eqx.filter_grad(weighted)(model)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert np.allclose(a, b, rtol=1e-9, atol=1e-12)


@in_float64
def test_at_the_exact_posterior_every_draw_gives_the_log_evidence():
    oracle = ORACLE.exact()
    loss, metrics = call(ImportanceWeightedELBO(4), oracle.model(), X, 6)
    evidence = oracle.log_evidence(X).mean()
    assert float(loss) == pytest.approx(-evidence, rel=1e-11)
    assert float(metrics["elbo"]) == pytest.approx(evidence, rel=1e-11)


@in_float64
def test_the_bound_rises_with_the_draws_and_stays_below_the_log_evidence():
    model, evidence = ORACLE.model(), ORACLE.log_evidence(X).mean()

    @eqx.filter_jit
    def bounds(objective, seeds):
        return -jax.lax.map(lambda seed: call(objective, model, X, seed)[0], seeds)

    found = [
        np.asarray(bounds(ImportanceWeightedELBO(k), jnp.arange(2000) + 10_000 * k))
        for k in (1, 2, 8, 64)
    ]
    means = np.array([values.mean() for values in found])
    errors = np.array([scipy.stats.sem(values) for values in found])
    assert np.all(np.diff(means) > 4 * np.hypot(errors[1:], errors[:-1]))
    assert means[-1] + 4 * errors[-1] < evidence
    # The first is the evidence lower bound, whose gap is known.
    gap = ORACLE.kl_to_posterior(X).mean()
    assert abs(means[0] - (evidence - gap)) < 4 * errors[0]


@pytest.mark.parametrize("kl", ["closed", "monte-carlo"])
@in_float64
def test_draws_of_the_negative_elbo_are_averaged(kl):
    k, model = 3, ORACLE.model()
    loss, metrics = call(NegativeELBO(2.0, k, kl), model, X, 7)
    terms = draws(model, 7, k, kl)[1]
    reconstruction, divergence = float(terms.reconstruction.mean()), float(terms.kl.mean())
    assert float(loss) == pytest.approx(2 * divergence - reconstruction, rel=1e-12)
    assert float(metrics["elbo"]) == pytest.approx(reconstruction - divergence, rel=1e-12)


@in_float64
def test_masked_cells_are_left_out():
    k, model = 3, ORACLE.model()
    mask = jnp.asarray(np.random.default_rng(8).random(X.shape) < 0.6)
    z, terms = draws(model, 9, k, mask=mask)
    x = np.where(mask, X, np.nan)
    means = np.asarray(z) @ ORACLE.weight.T + ORACLE.bias
    log_p = np.nansum(scipy.stats.norm.logpdf(x[:, None], means, ORACLE.scale), axis=2)
    bounds = scipy.special.logsumexp(log_p - np.asarray(terms.kl), axis=1) - np.log(k)
    loss, _ = call(ImportanceWeightedELBO(k), model, X, 9, mask)
    assert float(loss) == pytest.approx(-bounds.mean(), rel=1e-12)


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="samples is 0"):
        ImportanceWeightedELBO(0)
    with pytest.raises(ValueError, match="samples is -1"):
        NegativeELBO(samples=-1)
