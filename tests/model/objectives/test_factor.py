"""Total correlation by a discriminator: two players, one loss, each with its own gradient."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats

from elbax.model import Batch, FactorVAE
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
    composition, gamma = Composition(), 3.0
    batch = composition.batch(3)
    parameters, static = eqx.partition(
        (composition.model(2), objective(gamma)), eqx.is_inexact_array
    )
    names = ("elbo", "total_correlation", "discriminator_loss", "loss")

    def values(parameters):
        model, made = eqx.combine(parameters, static)
        loss, (_, found) = call(made, model, batch)
        return jnp.stack([loss, *(found[name] for name in names)])

    jacobian, found = jax.device_get(
        jax.jit(lambda parameters: (jax.jacrev(values)(parameters), values(parameters)))(parameters)
    )
    loss, elbo, total, game, reported = map(float, found)
    assert loss == pytest.approx(gamma * total - elbo, rel=1e-12)  # the model's alone
    assert reported == pytest.approx(loss, rel=1e-12)
    for gradient in jax.tree.leaves(jacobian[0]):  # of the model
        loss, elbo, total, game, reported = gradient
        assert np.allclose(loss, gamma * total - elbo, rtol=1e-9, atol=1e-12)
        assert np.all(game == 0)
    for gradient in jax.tree.leaves(jacobian[1]):  # of the discriminator
        loss, elbo, total, game, reported = gradient
        assert np.allclose(loss, game, rtol=1e-12)
        assert np.any(game != 0)
        assert np.all(total == 0)


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
    assert entropy < np.log(2) - 0.03


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
