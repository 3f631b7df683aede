"""Invertible maps: determinants against autodiff, inverses, what masks and bounds do."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from elbax.model import (
    CouplingFlow,
    FlowPrior,
    InverseAutoregressiveFlow,
    PlanarFlow,
    SylvesterFlow,
)
from elbax.model.distributions.flows import NeuralFlow, PlanarLayer, SylvesterLayer
from tests.laws import filled, in_float64, numbers

KINDS = ["masked-autoregressive", "coupling"]


def neural(kind, dim, context_dim=0, layers=2):
    key = jax.random.key(0)
    return filled(
        lambda: NeuralFlow(kind, dim, context_dim=context_dim, layers=layers, width=5, key=key), 1
    )


def planar(d, seed=2, spread=1.0):
    rng = np.random.default_rng(seed)
    return PlanarLayer(*(jnp.asarray(spread * rng.normal(size=s)) for s in ((d,), (d,), ())))


def sylvester(d, reflections, seed=2, spread=1.0):
    rng = np.random.default_rng(seed)
    sizes = ((reflections, d), (d, d), (d, d), (d,))
    return SylvesterLayer(*(jnp.asarray(spread * rng.normal(size=size)) for size in sizes))


def log_determinant(function, z):
    sign, log = np.linalg.slogdet(jax.jit(jax.jacobian(function))(z))
    return float(log), sign


# --- determinants --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("dim", "context_dim"), [(1, 2), (2, 0), (5, 3)])
@in_float64
def test_neural_flow_inverts_and_knows_its_determinant(kind, dim, context_dim):
    flow = neural(kind, dim, context_dim)
    x = jnp.asarray(numbers(dim, seed=3))
    context = jnp.asarray(numbers(context_dim, seed=4)) if context_dim else None
    y, log_det = eqx.filter_jit(flow.forward)(x, context)
    back, log_det_back = eqx.filter_jit(flow.inverse)(y, context)
    assert np.allclose(back, x, rtol=1e-10)
    assert float(log_det) == pytest.approx(-float(log_det_back), rel=1e-10)
    assert float(log_det) == pytest.approx(
        log_determinant(lambda x: flow.forward(x, context)[0], x)[0], rel=1e-10
    )


@pytest.mark.parametrize(("dim", "context_dim"), [(1, 2), (2, 0), (5, 3), (4, 0)])
@in_float64
def test_the_inverse_and_its_gradient_are_flowjax_own(dim, context_dim):
    flow = neural("masked-autoregressive", dim, context_dim, layers=3)
    y = jnp.asarray(numbers(dim, seed=3))
    context = jnp.asarray(numbers(context_dim, seed=4)) if context_dim else None

    def of_flowjax(flow, y):
        total = 0.0
        for layer in reversed(flow._layers()):
            y, log_det = layer.inverse_and_log_det(y[::-1], context)
            total = total + log_det
        return y, total

    def gradient(inverse):
        def summed(both):
            x, log_det = inverse(*both)
            return jnp.sum(jnp.sin(x)) + 2.0 * log_det

        return eqx.filter_jit(eqx.filter_grad(summed))((flow, y))

    ours = gradient(lambda flow, y: flow.inverse(y, context))
    for found, expected in zip(
        jax.tree.leaves(ours), jax.tree.leaves(gradient(of_flowjax)), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("d", [1, 2, 4])
@in_float64
def test_planar_layer_is_the_papers_map_and_knows_its_determinant(d):
    layer, z = planar(d), numbers(d, seed=5)
    w, u, b = (np.asarray(a) for a in (layer.weight, layer.shift, layer.bias))
    bounded = np.log1p(np.exp(w @ u) * (np.e - 1)) - 1  # m(wᵀu), m(0) = 0
    u = u + (bounded - w @ u) * w / (w @ w)
    found, log_det = layer.forward(jnp.asarray(z))
    assert w @ u > -1
    assert np.allclose(found, z + u * np.tanh(w @ z + b), rtol=1e-12)
    exact, sign = log_determinant(lambda z: layer.forward(z)[0], jnp.asarray(z))
    assert sign == 1
    assert float(log_det) == pytest.approx(exact, rel=1e-10)


@pytest.mark.parametrize(("d", "reflections"), [(2, 1), (3, 2), (4, 6)])
@in_float64
def test_sylvester_layer_is_the_papers_map_and_knows_its_determinant(d, reflections):
    layer, z = sylvester(d, reflections), numbers(d, seed=6)
    orthogonal = np.eye(d)
    for v in np.asarray(layer.reflections):
        orthogonal = orthogonal @ (np.eye(d) - 2 * np.outer(v, v) / (v @ v))
    outer, inner = (np.triu(np.asarray(a), 1) for a in (layer.outer, layer.inner))
    outer += np.diag(np.tanh(np.diag(layer.outer)))
    inner += np.diag(np.tanh(np.diag(layer.inner)))
    expected = z + orthogonal @ outer @ np.tanh(inner @ orthogonal.T @ z + np.asarray(layer.bias))
    found, log_det = layer.forward(jnp.asarray(z))
    assert np.allclose(found, expected, rtol=1e-12)
    exact, sign = log_determinant(lambda z: layer.forward(z)[0], jnp.asarray(z))
    assert sign == 1
    assert float(log_det) == pytest.approx(exact, rel=1e-10)


@pytest.mark.parametrize("make", [planar, lambda d, seed, spread: sylvester(d, 3, seed, spread)])
@in_float64
def test_a_layer_without_an_inverse_is_still_invertible(make):
    # With wild coefficients, too, every determinant is positive.
    z = jnp.asarray(numbers((200, 3), seed=7))

    @jax.jit
    def signs(layer):
        jacobians = jax.vmap(jax.jacobian(lambda z: layer.forward(z)[0]))(z)
        return jnp.linalg.slogdet(jacobians)[0]

    for seed in range(5):
        assert np.all(signs(make(3, seed, 3.0)) == 1)


@in_float64
def test_zeros_from_the_network_leave_a_normal():
    # An all-black image gives zeros at initialisation, where û and v / ‖v‖ have a zero below.
    for family in (PlanarFlow(3), SylvesterFlow(3)):

        def draw(numbers, family=family):
            return family(numbers).sample_and_log_prob(jax.random.key(8))

        zeros = jnp.zeros(family.parameter_count)
        z, log_q = jax.jit(draw)(zeros)
        assert float(log_q) == pytest.approx(scipy.stats.norm.logpdf(z).sum(), rel=1e-12)
        gradient = jax.jit(jax.grad(lambda numbers: draw(numbers)[1]))(zeros)
        # Per latent log q = −½ ε² − log σ − ½ log 2π at a draw, so −½ for each log-variance.
        assert np.allclose(gradient[3:6], -0.5)
        assert np.all(np.isfinite(gradient))


# --- autoregression ------------------------------------------------------------------------


@in_float64
def test_one_autoregressive_layer_depends_on_what_came_before_alone():
    flow = neural("masked-autoregressive", 4, layers=1)
    z = jnp.asarray(numbers(4, seed=9))
    jacobian = jax.jacobian(lambda z: flow.forward(z)[0])(z)[::-1]  # the reversal undone
    assert np.array_equal(jacobian != 0, np.tri(4, dtype=bool))


@in_float64
def test_one_coupling_layer_leaves_the_first_half():
    flow = neural("coupling", 5, layers=1)
    z = jnp.asarray(numbers(5, seed=9))
    found = flow.forward(z)[0][::-1]
    assert np.array_equal(found[:2], z[:2])
    assert not np.any(np.isclose(found[2:], z[2:]))


@pytest.mark.parametrize("kind", KINDS)
@in_float64
def test_the_entries_that_a_flow_says_it_uses_are_those_that_move_it(kind):
    flow = neural(kind, 4, context_dim=2)
    x, context = jnp.asarray(numbers((30, 4), seed=10)), jnp.asarray(numbers((30, 2), seed=11))

    @jax.jit
    def jacobians(flow):
        def output(flow, x, context):
            y, log_det = flow.forward(x, context)
            return jnp.append(y, log_det)

        return jax.vmap(jax.jacobian(output), (None, 0, 0))(flow, x, context)

    for leaf, used in zip(
        jax.tree.leaves(jacobians(flow)), jax.tree.leaves(flow.used()), strict=True
    ):
        assert np.array_equal(np.any(leaf != 0, axis=(0, 1)), used)


# --- distributions -------------------------------------------------------------------------


@pytest.mark.parametrize("family", [PlanarFlow(2, 3), SylvesterFlow(2, 2, 3)])
@in_float64
def test_draws_without_an_inverse_have_the_density_that_they_say(family):
    # For any density g, E_q[g / q] = 1: for narrow normals g at places that q reaches, if and only
    # if q is the density of its draws there.
    q = family(jnp.asarray(numbers(family.parameter_count, seed=12)))
    keys = jax.random.split(jax.random.key(13), 40_000)
    z, log_q = (np.asarray(a) for a in jax.jit(jax.vmap(q.sample_and_log_prob))(keys))
    centres, width = z[:20], 0.25 * z.std(0)
    log_g = scipy.stats.norm.logpdf(z[20:], centres[:, None], width).sum(-1)
    ratio = np.exp(log_g - log_q[20:]).mean(axis=0)  # g: the mean of the twenty
    assert abs(ratio.mean() - 1) < 4 * scipy.stats.sem(ratio)
    assert scipy.stats.sem(ratio) < 0.02


@pytest.mark.parametrize("family", [InverseAutoregressiveFlow, CouplingFlow])
@in_float64
def test_a_flow_says_of_its_draw_what_it_says_of_the_point(family):
    made = filled(lambda: family(3, 2, 5, 2, key=jax.random.key(0)), seed=14)
    q = made(jnp.asarray(numbers(made.parameter_count, seed=15)))
    z, log_q = q.sample_and_log_prob(jax.random.key(16))
    assert np.allclose(z, q.sample(jax.random.key(16)), rtol=1e-12)
    assert float(q.log_prob(z)) == pytest.approx(float(log_q), rel=1e-10)


@pytest.mark.parametrize("kind", KINDS)
@in_float64
def test_the_flow_of_a_prior_is_the_change_of_variables(kind):
    prior = filled(lambda: FlowPrior(3, kind, 2, 5, key=jax.random.key(0)), seed=17)
    p = prior(None)
    z = jnp.asarray(numbers(3, seed=18))

    def noise(z):
        return p.flow.forward((z - prior.shift) / jnp.exp(prior.log_scale))[0]

    expected = scipy.stats.norm.logpdf(noise(z)).sum() + log_determinant(noise, z)[0]
    assert float(p.log_prob(z)) == pytest.approx(expected, rel=1e-10)


def test_flows_are_made_in_the_precision_of_the_moment_and_within_a_jit():
    # The skeleton of a layer is kept: it must not hold what belongs to another trace or precision.
    def draw(x):
        flow = NeuralFlow("coupling", 3, layers=1, width=7, key=jax.random.key(0))
        return flow.forward(x)[0]

    single = jax.jit(draw)(jnp.ones(3))
    with jax.enable_x64(True):
        double = jax.jit(jax.vmap(draw))(jnp.ones((2, 3)))
        assert double.dtype == jnp.float64
    again = jax.jit(jax.vmap(draw))(jnp.ones((2, 3)))
    assert single.dtype == again.dtype == jnp.float32
    assert np.allclose(again[0], single, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda key: NeuralFlow("coupling", 3, layers=0, key=key), "0 layers"),
        (lambda key: NeuralFlow("coupling", 1, key=key), "at least two latents"),
        (lambda key: FlowPrior(1, key=key), "at least two latents"),
        (lambda key: InverseAutoregressiveFlow(2, context=0, key=key), "context is 0"),
        (lambda key: PlanarFlow(2, 0), "layers is 0"),
        (lambda key: SylvesterFlow(1), "planar"),
        (lambda key: SylvesterFlow(2, reflections=0), "reflections is 0"),
    ],
)
def test_a_flow_that_cannot_be_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make(jax.random.key(0))


def test_only_what_training_moves_is_a_leaf():
    leaves = jax.tree.leaves(neural("masked-autoregressive", 3, context_dim=2))
    assert all(eqx.is_inexact_array(leaf) for leaf in leaves)
