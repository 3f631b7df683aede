"""Gradients that follow the draws: against the plain one, which they are to equal on average."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from elbax.model import (
    Batch,
    DoublyReparameterised,
    ImportanceWeightedELBO,
    StickingTheLanding,
    VampPrior,
)
from tests.laws import Composition, in_float64
from tests.linear_gaussian import example

ORACLE = example()
X = ORACLE.draw(np.random.default_rng(1), rows=2)
K = 4


def value_and_gradient(objective, model, seed, place):
    """The loss, and its gradient by a part of the model, as one vector."""
    static = eqx.filter(model, eqx.is_inexact_array, inverse=True)
    parameters = eqx.filter(model, eqx.is_inexact_array)

    def loss(parameters):
        model = eqx.combine(parameters, static)
        key = jax.random.key(seed)
        return objective(model, Batch(jnp.asarray(X)), state=None, step=jnp.asarray(0), key=key)[0]

    value, gradient = jax.value_and_grad(loss)(parameters)
    return value, ravel_pytree(place(gradient))[0]


def at_seeds(objective, model, place, count):
    """The same at many seeds, one row each."""

    @jax.jit
    def all_of(seeds):
        return jax.lax.map(
            lambda seed: value_and_gradient(objective, model, seed, place), seeds, batch_size=500
        )

    return tuple(np.asarray(a) for a in all_of(jnp.arange(count)))


def differ(a, b):
    """How many standard errors two paired averages are apart, entry by entry."""
    gap = a - b
    return np.abs(gap.mean(0)) / (gap.std(0, ddof=1) / np.sqrt(len(gap)))


def encoder(tree):
    return tree.encoder


def everything(tree):
    return tree


@in_float64
def test_doubly_reparameterised_gradients_are_the_plain_ones_on_average_with_less_noise():
    model = ORACLE.model("shared")
    values, plain = at_seeds(ImportanceWeightedELBO(K), model, encoder, 4000)
    same, doubly = at_seeds(DoublyReparameterised(K), model, encoder, 4000)
    assert np.allclose(values, same, rtol=1e-12)  # the draws are the same, and the bound
    assert np.all(differ(doubly, plain) < 4)
    assert np.all(doubly.var(0) < plain.var(0))
    assert doubly.var(0).sum() < 0.6 * plain.var(0).sum()

    # The other is biased with more than one draw, and it shows here.
    same, landing = at_seeds(StickingTheLanding(K), model, encoder, 4000)
    assert np.allclose(values, same, rtol=1e-12)
    assert differ(landing, plain).max() > 10


@in_float64
@pytest.mark.parametrize("objective", [DoublyReparameterised(K), StickingTheLanding(K)])
def test_the_decoder_gets_the_plain_gradient_draw_by_draw(objective):
    model = ORACLE.model("shared")
    found = at_seeds(objective, model, everything, 1)[1][0]
    plain = at_seeds(ImportanceWeightedELBO(K), model, everything, 1)[1][0]
    unravel = ravel_pytree(eqx.filter(model, eqx.is_inexact_array))[1]
    found, plain = unravel(jnp.asarray(found)), unravel(jnp.asarray(plain))
    for a, b in zip(jax.tree.leaves(found.decoder), jax.tree.leaves(plain.decoder), strict=True):
        assert np.allclose(a, b, rtol=1e-10)
    for a, b in zip(jax.tree.leaves(found.encoder), jax.tree.leaves(plain.encoder), strict=True):
        assert not np.allclose(a, b, rtol=1e-3)


@in_float64
def test_encoder_parameters_inside_a_prior_count_too():
    # A VampPrior is made of the encoder: all gradients are still the plain ones on average.
    model = ORACLE.model()
    prior = VampPrior(2, (4,), 3, key=jax.random.key(2))
    model = eqx.tree_at(lambda m: m.prior, model, prior)
    _, plain = at_seeds(ImportanceWeightedELBO(3), model, everything, 4000)
    _, doubly = at_seeds(DoublyReparameterised(3), model, everything, 4000)
    moving = plain.std(0) > 0
    assert np.array_equal(moving, doubly.std(0) > 0)
    same = np.allclose(plain, doubly, rtol=1e-9, atol=1e-12)
    assert not same
    gap = (plain - doubly).std(0) > 1e-12
    assert np.all(differ(doubly[:, gap], plain[:, gap]) < 4)
    assert np.allclose(doubly[:, ~gap], plain[:, ~gap], atol=1e-10)


@in_float64
def test_with_one_draw_both_are_the_same_and_without_bias():
    model = ORACLE.model()
    _, landing = at_seeds(StickingTheLanding(1), model, encoder, 4000)
    _, doubly = at_seeds(DoublyReparameterised(1), model, encoder, 4000)
    assert np.allclose(landing, doubly, rtol=1e-12, atol=1e-12)
    _, plain = at_seeds(ImportanceWeightedELBO(1), model, encoder, 4000)
    gap = (plain - landing).std(0) > 1e-12
    assert np.all(differ(landing[:, gap], plain[:, gap]) < 4)


@in_float64
def test_at_the_exact_posterior_they_have_no_noise():
    # log p(x, z) − log q(z|x) is then the same for every z: "sticking the landing".
    model = ORACLE.exact().model()
    for objective in (StickingTheLanding(1), StickingTheLanding(K), DoublyReparameterised(K)):
        found = at_seeds(objective, model, encoder, 1)[1]
        assert np.allclose(found, 0, atol=1e-10)
    plain = at_seeds(ImportanceWeightedELBO(K), model, encoder, 1)[1]
    assert np.abs(plain).max() > 0.01


@pytest.mark.parametrize("objective", [DoublyReparameterised(K), StickingTheLanding(K)])
def test_what_cannot_be_followed_is_refused_by_name(objective):
    def loss(posterior):
        composition = Composition(posterior=posterior)
        batch, key = composition.batch(1, rows=2), jax.random.key(0)
        objective(composition.model(1), batch, state=None, step=jnp.asarray(0), key=key)

    with pytest.raises(ValueError, match=f"planar does not suit .* {objective.name}: .* log_prob"):
        loss("planar")
    with pytest.raises(ValueError, match=r"deterministic does not suit .* log_prob at any z"):
        loss("deterministic")
    with pytest.raises(ValueError, match=r"categorical does not suit .* reparameterised draws"):
        loss("categorical")
    with pytest.raises(ValueError, match="samples is 0"):
        type(objective)(0)
