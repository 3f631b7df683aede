"""Estimates of log p(x) of a trained decoder of two latents, against quadrature over the plane."""

import functools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.special
from sklearn.datasets import load_digits

from elbax.evaluate import annealed, elbo, importance, pareto_k_threshold, prior, samples_needed
from elbax.model import (
    MLP,
    Bernoulli,
    Decoder,
    DiagonalNormal,
    Encoder,
    LatentVariableModel,
    StandardNormal,
)
from elbax.model.objectives.terms import elbo_terms
from tests.laws import in_float64
from tests.tiers import mostly_slow

PIXELS, HIDDEN, LATENTS = 64, 24, 2
SAMPLES = 5000
IMAGES = (load_digits().data > 7).astype(np.float64)  # pyright: ignore[reportAttributeAccessIssue]
TEST = IMAGES[1500:1560]


@functools.cache
def trained():
    """A model of binarised digits, in double precision, after some hundred steps of Adam."""
    keys = jax.random.split(jax.random.key(0))
    model = LatentVariableModel(
        StandardNormal(LATENTS),
        Encoder(MLP(PIXELS, (HIDDEN,), 2 * LATENTS, "tanh", key=keys[0]), DiagonalNormal(LATENTS)),
        Decoder(MLP(LATENTS, (HIDDEN,), PIXELS, "tanh", key=keys[1]), Bernoulli((PIXELS,))),
    )
    optimizer = optax.adam(1e-2)
    parameters, static = eqx.partition(model, eqx.is_array)
    rows = jnp.asarray(IMAGES[:1500])

    def loss(parameters, key):
        batch = jax.random.choice(key, rows, (200,))
        model = eqx.combine(parameters, static)
        draw = jax.vmap(lambda x, k: elbo_terms(model, x, k).elbo)
        return -jnp.mean(draw(batch, jax.random.split(key, 200)))

    def step(state, key):
        parameters, moments = state
        updates, moments = optimizer.update(jax.grad(loss)(parameters, key), moments)
        return (optax.apply_updates(parameters, updates), moments), None

    keys = jax.random.split(jax.random.key(1), 600)
    state = (parameters, optimizer.init(parameters))
    (parameters, _), _ = jax.jit(lambda s: jax.lax.scan(step, s, keys))(state)
    return eqx.combine(parameters, static)


@functools.cache
def by_quadrature(points=240):
    """Log p(x) of the test rows: the midpoint rule over [−6, 6]², in numpy alone."""
    edges = np.linspace(-6, 6, points + 1)
    axis = (edges[1:] + edges[:-1]) / 2
    z = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    network: MLP = trained().decoder.network
    (w1, b1), (w2, b2) = ((np.asarray(a.weight), np.asarray(a.bias)) for a in network.layers)
    logits = np.tanh(z @ w1.T + b1) @ w2.T + b2
    log_joint = TEST @ logits.T - np.logaddexp(0, logits).sum(axis=1)
    log_joint -= 0.5 * (z**2).sum(axis=1) + math.log(2 * math.pi)
    return np.asarray(scipy.special.logsumexp(log_joint, axis=1)) + 2 * math.log(axis[1] - axis[0])


@pytest.mark.slow
@in_float64
def test_the_quadrature_is_fine_enough():
    assert np.allclose(by_quadrature(), by_quadrature(120), rtol=0, atol=1e-6)


ESTIMATES = {
    "importance": lambda model, rows, key: importance(model, rows, key=key, samples=SAMPLES),
    "prior": lambda model, rows, key: prior(model, rows, key=key, samples=SAMPLES),
    "annealed": lambda model, rows, key: annealed(model, rows, key=key, temperatures=200),
}


@functools.cache
def estimated(name):
    """One of the estimates of the test rows."""
    return ESTIMATES[name](trained(), TEST, jax.random.key(2))


@in_float64
@pytest.mark.parametrize("name", mostly_slow(ESTIMATES, lambda name: name == "importance"))
def test_every_estimate_agrees_with_quadrature(name):
    found = estimated(name)
    difference = found.log_likelihood - by_quadrature()
    # Where the tail of the weights is light, the estimate is right within its own error.
    light = np.full(len(TEST), True)  # the weights of chains have no tail to speak of
    if found.pareto_k is not None:
        light = np.nan_to_num(found.pareto_k) < 0.5
    assert light.mean() > 0.25
    ratio, relative = np.exp(difference[light]), found.monte_carlo_error[light]
    assert abs(np.mean(ratio - 1)) < 4 * math.sqrt(np.sum(relative**2)) / light.sum()
    # And it is too low rather than too high where it is heavy.
    assert difference.mean() < 4 * found.mean_monte_carlo_error()


@in_float64
def test_the_bound_is_below():
    gap = by_quadrature() - elbo(trained(), TEST, key=jax.random.key(3), samples=300).elbo
    assert gap.mean() > 10 * gap.std() / math.sqrt(len(TEST) * 300)
    importance_gap = by_quadrature() - estimated("importance").log_likelihood
    assert importance_gap.mean() < gap.mean() / 3


@pytest.mark.slow
@in_float64
def test_the_verdict_tells_the_estimate_that_fell_short():
    # At two latents draws of the prior are enough, and a Gaussian q(z|x) misses a part of some
    # posteriors: importance sampling loses a tenth of a nat, and says so.
    found = {name: estimated(name) for name in ESTIMATES}
    short = {name: np.mean(by_quadrature() - e.log_likelihood) for name, e in found.items()}
    assert abs(short["prior"]) < 0.05 < short["importance"]
    assert found["prior"].trust()[0] == "yes"
    assert found["importance"].trust()[0] == "no"
    # Chains need neither luck nor the encoder.
    assert abs(short["annealed"]) < 0.05
    assert found["annealed"].trust()[0] == "yes"
    # As many draws of the prior as are needed, at the KL that the other estimate gave.
    kl = found["importance"].kl_posterior_prior
    assert kl is not None
    assert math.log10(SAMPLES) > np.median(samples_needed(kl))


@in_float64
def test_a_proposal_far_too_narrow_is_noticed():
    last = lambda m: m.encoder.network.layers[-1].bias  # noqa: E731
    narrow = eqx.tree_at(last, trained(), last(trained()).at[LATENTS:].add(-6.0))
    found = ESTIMATES["importance"](narrow, TEST, jax.random.key(4))
    assert found.pareto_k is not None
    assert np.median(found.pareto_k) > pareto_k_threshold(SAMPLES)
    assert found.trust()[0] == "no"
    assert np.mean(found.log_likelihood - by_quadrature()) < -0.5
