"""Total correlation by a discriminator: two players, one loss, each with its own gradient."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats

from elbax.model import Batch, FactorVAE
from elbax.model.objectives.terms import batch_terms
from elbax.train import fit, init_state, merge
from tests.laws import LATENT_DIM, Composition, in_float64
from tests.linear_gaussian import aggregate, log_normal

KEY = jax.random.key(0)


def objective(gamma=10.0):
    return FactorVAE(LATENT_DIM, gamma, 8, 2, key=jax.random.key(1))


def call(objective, model, batch, key=KEY):
    return objective(model, batch, state=None, step=jnp.asarray(0), key=key)


@in_float64
def test_each_player_is_moved_by_its_own_loss_alone():
    model, batch = Composition().model(2), Composition().batch(3)
    both = model, objective()
    parameters, static = eqx.partition(both, eqx.is_inexact_array)

    def gradient(gamma):
        def loss(parameters):
            model, made = eqx.combine(parameters, static)
            return call(eqx.tree_at(lambda o: o.gamma, made, gamma), model, batch)[0]

        return jax.grad(loss)(parameters)

    (model_0, player_0), (model_1, player_1) = gradient(0.0), gradient(3.0)
    # The discriminator's is that of its cross-entropy, whatever γ is.
    for a, b in zip(jax.tree.leaves(player_0), jax.tree.leaves(player_1), strict=True):
        assert np.array_equal(a, b)
        assert np.any(a != 0)
    # The model's is that of its own loss with the discriminator held: at γ = 0 the bound's.
    noise = jax.random.split(KEY)[0]

    def bound(parameters):
        return -batch_terms(eqx.combine(parameters, static)[0], batch, noise).elbo

    def charged(parameters):
        found = call(eqx.combine(parameters, static)[1], eqx.combine(parameters, static)[0], batch)
        return found[1][1]["total_correlation"]

    plain, extra = jax.grad(bound)(parameters)[0], jax.grad(charged)(parameters)[0]
    for zero, one, p, e in zip(
        *map(jax.tree.leaves, (model_0, model_1, plain, extra)), strict=True
    ):
        assert np.allclose(zero, p, rtol=1e-10, atol=1e-12)
        assert np.allclose(one, p + 3.0 * e, rtol=1e-10, atol=1e-12)


@in_float64
def test_the_loss_is_the_models_alone():
    model, batch = Composition().model(2), Composition().batch(3)
    loss, (_, found) = call(objective(4.0), model, batch)
    expected = 4.0 * found["total_correlation"] - found["elbo"]
    assert float(loss) == pytest.approx(float(expected), rel=1e-12)
    assert float(found["loss"]) == pytest.approx(float(loss), rel=1e-12)


class LogOdds(eqx.Module):
    """The best discriminator between N(0, S) and the product of its marginals."""

    covariance: jax.Array

    def __call__(self, z):
        log_normal = jax.scipy.stats.multivariate_normal.logpdf
        apart = jnp.diag(jnp.diag(self.covariance))
        zero = jnp.zeros(2)
        return jnp.stack([log_normal(z, zero, self.covariance), log_normal(z, zero, apart)])


@in_float64
def test_with_the_best_discriminator_it_is_the_closed_form():
    model, x, covariance, _ = aggregate(rows=4096)
    closed = 0.5 * (np.log(np.diag(covariance)).sum() - np.linalg.slogdet(covariance)[1])
    best = eqx.tree_at(lambda o: o.discriminator, objective(), LogOdds(jnp.asarray(covariance)))
    found = jax.jit(lambda key: call(best, model, Batch(jnp.asarray(x)), key)[1][1])(KEY)
    assert float(found["total_correlation"]) == pytest.approx(closed, abs=0.02)
    # It tells the two apart as well as their distributions can be: worse by the Jensen–Shannon
    # divergence than a guess.
    rng = np.random.default_rng(2)
    together = rng.multivariate_normal(np.zeros(2), covariance, 200_000)
    apart = rng.normal(size=(200_000, 2)) * np.sqrt(np.diag(covariance))

    def odds(z):
        joint = log_normal(z, np.zeros(2), covariance)
        return (
            joint
            - scipy.stats.norm.logpdf(z / np.sqrt(np.diag(covariance))).sum(1)
            + (0.5 * np.log(np.diag(covariance)).sum())
        )

    entropy = 0.5 * (np.logaddexp(0, -odds(together)).mean() + np.logaddexp(0, odds(apart)).mean())
    assert float(found["discriminator_loss"]) == pytest.approx(entropy, abs=0.01)
    assert entropy < np.log(2) - 0.05


class OneLatent(eqx.Module):
    """Sees a single latent, or (where `both`) the product of two."""

    both: bool = False

    def __call__(self, z):
        return jnp.stack([z[0] * (z[1] if self.both else 1.0), jnp.zeros(())])


@in_float64
def test_permuted_draws_have_the_same_marginals_and_another_joint():
    z = jnp.asarray(np.random.default_rng(3).normal(size=(50, 2)) @ [[1.0, 0.9], [0.0, 0.4]])

    def second_half(discriminator):
        made = eqx.tree_at(lambda o: o.discriminator, objective(), discriminator)
        logits = jax.vmap(discriminator)(z)
        first = -0.5 * jnp.mean(jax.nn.log_softmax(logits)[:, 0])
        same = -0.5 * jnp.mean(jax.nn.log_softmax(logits)[:, 1])
        return float(made._cross_entropy(z, KEY) - first), float(same)

    found, same = second_half(OneLatent())
    assert found == pytest.approx(same, rel=1e-12)
    found, same = second_half(OneLatent(both=True))
    assert abs(found - same) > 0.01


def test_one_loop_trains_both():
    composition = Composition()
    model, made = composition.model(4), objective(2.0)
    data, optimizer = composition.batch(5, rows=40), optax.adam(1e-2)
    start = init_state(model, made, optimizer, KEY, keep_best=False)
    *_, last = fit(model, made, data, optimizer=optimizer, batch_size=20, steps=3, state=start)
    before = jax.tree.leaves(start.parameters)
    for old, new in zip(before, jax.tree.leaves(last.state.parameters), strict=True):
        assert not np.array_equal(old, new)
    _, trained = merge(last.state.parameters, model, made)
    assert trained.gamma == 2.0


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="gamma is -1"):
        objective(-1.0)
