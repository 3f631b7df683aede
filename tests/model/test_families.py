"""Priors, posteriors and likelihoods against scipy, number by number; preprocessing; networks."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from elbax.model import (
    MLP,
    Bernoulli,
    Decoder,
    DiagonalNormal,
    Encoder,
    FullNormal,
    LatentVariableModel,
    Normal,
    Preprocessing,
    StandardNormal,
)
from elbax.model.networks.dense import ACTIVATIONS
from tests.laws import Composition, in_float64, numbers
from tests.linear_gaussian import log_normal

# --- p(z) and q(z|x) -----------------------------------------------------------------------


@in_float64
def test_standard_normal_is_scipys():
    prior = StandardNormal(3)(Composition().model(0).encoder)
    z = numbers(3, seed=1)
    assert np.allclose(prior.log_prob(z), scipy.stats.norm.logpdf(z).sum(), rtol=1e-12)


@in_float64
def test_diagonal_normal_reads_means_then_log_variances():
    mean, log_variance, z = numbers((3, 4), seed=2)
    q = DiagonalNormal(4)(jnp.concatenate([mean, log_variance]))
    expected = scipy.stats.norm.logpdf(z, mean, np.sqrt(np.exp(log_variance))).sum()
    assert np.allclose(q.mean, mean)
    assert np.allclose(q.variance, np.exp(log_variance))
    assert np.allclose(q.log_prob(z), expected, rtol=1e-12)


@in_float64
def test_full_normal_reads_means_log_squared_diagonal_then_rows_below():
    parameters = numbers(3 + 3 + 3, seed=3)
    cholesky = np.diag(np.exp(0.5 * parameters[3:6]))
    cholesky[1, 0], cholesky[2, 0], cholesky[2, 1] = parameters[6:]
    q = FullNormal(3)(jnp.asarray(parameters))
    covariance, z = cholesky @ cholesky.T, numbers(3, seed=4)
    expected = log_normal(z, parameters[:3], covariance)
    assert np.allclose(q.variance, np.diag(covariance))
    assert np.allclose(q.log_prob(z), expected, rtol=1e-12)


@in_float64
def test_full_normal_without_correlations_is_the_diagonal_one():
    head, z = jnp.asarray(numbers(6, seed=5)), numbers(3, seed=6)
    full, diagonal = FullNormal(3)(jnp.append(head, jnp.zeros(3))), DiagonalNormal(3)(head)
    assert np.allclose(full.log_prob(z), diagonal.log_prob(z), rtol=1e-12)


@pytest.mark.parametrize("family", [DiagonalNormal(2), FullNormal(2)])
@in_float64
def test_a_draw_is_the_noise_moved_by_the_parameters(family):
    # Reparameterisation: z = μ + L ε, so ∂z/∂μ = I whatever the noise is, and ε = L⁻¹ (z − μ).
    parameters = jnp.asarray(numbers(family.parameter_count, seed=7))
    key = jax.random.key(8)
    draw = lambda numbers: family(numbers).sample(key)  # noqa: E731
    jacobian = jax.jit(jax.jacobian(draw))(parameters)
    assert np.allclose(jacobian[:, :2], np.eye(2))
    standard = draw(jnp.zeros_like(parameters))
    cholesky = np.diag(np.exp(0.5 * parameters[2:4]))
    cholesky[1, 0] = parameters[4] if len(parameters) > 4 else 0.0
    assert np.allclose(draw(parameters), parameters[:2] + cholesky @ standard, rtol=1e-12)
    # ∂z/∂(log-variance) = ½ σ ε, what the gradient of the loss flows through.
    assert np.allclose(np.diag(jacobian[:, 2:4]), 0.5 * np.diag(cholesky) * standard, rtol=1e-12)


# --- p(x|z) --------------------------------------------------------------------------------


@in_float64
def test_normal_likelihood_is_scipys_at_each_kind_of_scale():
    mean, log_scale, x = numbers((3, 4), seed=9)
    shape = (2, 2)

    def check(family, parameters, scale):
        expected = scipy.stats.norm.logpdf(x, mean, scale).reshape(shape)
        found = family(jnp.asarray(parameters)).log_prob(x.reshape(shape))
        assert np.allclose(found, expected, rtol=1e-12)

    check(Normal(shape, 0.3), mean, 0.3)
    check(Normal(shape, "shared"), mean, 1e-3 + 1.0)
    predicted = Normal(shape, "predicted", minimum_scale=0.1)
    check(predicted, np.append(mean, log_scale), 0.1 + np.exp(log_scale))


def test_normal_likelihood_keeps_its_density_bounded():
    # On a constant element the scale would shrink for ever: the floor bounds the density.
    family = Normal((1,), "predicted", minimum_scale=0.01)
    highest = family(jnp.asarray([0.0, -1e3])).log_prob(jnp.zeros(1))
    assert np.allclose(highest, scipy.stats.norm.logpdf(0, 0, 0.01), rtol=1e-6)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_normal_likelihood_refuses_other_scales(scale):
    with pytest.raises(ValueError, match="scale is"):
        Normal((1,), scale)


@in_float64
def test_bernoulli_likelihood_keeps_the_order_of_the_pixels():
    logits, x = numbers((2, 6), seed=10)
    x = (x > 0).astype(float)
    found = Bernoulli((3, 2, 1))(jnp.asarray(logits)).log_prob(x.reshape(3, 2, 1))
    expected = scipy.stats.bernoulli.logpmf(x.astype(int), scipy.special.expit(logits))
    assert np.allclose(found.ravel(), expected, rtol=1e-12)


@in_float64
def test_a_mask_leaves_cells_out_of_the_sum_and_of_the_gradient():
    model = Composition().model(11)
    x, z = jnp.asarray(numbers((2, 2, 1), seed=12)), jnp.asarray(numbers(2, seed=13))
    mask = jnp.asarray([True, False, True, True]).reshape(2, 2, 1)
    elementwise = np.asarray(model.decode(z).log_prob(x)).ravel()
    assert float(model.log_likelihood(x, z, mask)) == pytest.approx(elementwise[[0, 2, 3]].sum())
    gradient = jax.grad(model.log_likelihood)(x, z, mask)
    assert np.array_equal(gradient != 0, mask)


@in_float64
def test_a_condition_is_appended_to_the_input_of_both_networks():
    key = jax.random.key(0)
    encoder, decoder = MLP(2 + 3, (), 2, key=key), MLP(1 + 3, (), 2, key=key)
    model = LatentVariableModel(
        StandardNormal(1),
        Encoder(encoder, DiagonalNormal(1)),
        Decoder(decoder, Normal((2,), 1.0)),
    )
    x, z, condition = jnp.asarray([1.0, 2.0]), jnp.asarray([3.0]), jnp.asarray([4.0, 5.0, 6.0])
    assert np.allclose(
        model.encode(x, condition).mean, (encoder.layers[0].weight @ np.array([1, 2, 4, 5, 6]))[:1]
    )
    assert np.allclose(
        model.decode(z, condition).mean, decoder.layers[0].weight @ np.array([3, 4, 5, 6])
    )


# --- from the stored datum -----------------------------------------------------------------


def test_preprocessing_scales_bytes_to_the_unit_interval():
    stored = np.array([0, 51, 255], np.uint8)
    found = Preprocessing(1 / 255)(jnp.asarray(stored))
    assert found.dtype == jnp.float32
    assert np.allclose(found, [0, 0.2, 1])


def test_dynamic_binarisation_draws_anew_with_the_grey_level_as_chance():
    binarise = Preprocessing(1 / 255, "dynamic")
    stored = jnp.asarray([0, 51, 204, 255], jnp.uint8)
    draws = jax.vmap(lambda key: binarise(stored, key))(jax.random.split(jax.random.key(1), 5000))
    draws = np.asarray(draws)
    assert set(np.unique(draws)) == {0.0, 1.0}
    for column, chance in zip(draws.T, [0, 0.2, 0.8, 1], strict=True):
        assert scipy.stats.binomtest(int(column.sum()), 5000, chance).pvalue > 1e-3
    # Pixels are drawn apart from each other, and without a key the levels stay.
    assert abs(np.corrcoef(draws[:, 1], draws[:, 2])[0, 1]) < 0.05
    assert np.allclose(binarise(stored), [0, 0.2, 0.8, 1])


# --- networks ------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@in_float64
def test_mlp_is_its_layers_in_numpy(activation):
    # scipy and numpy for each activation: what jax calls by the same name.
    oracle = {
        "elu": lambda a: np.where(a > 0, a, np.expm1(a)),
        "gelu": lambda a: a / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (a + 0.044715 * a**3))),
        "identity": lambda a: a,
        "leaky-relu": lambda a: np.where(a > 0, a, 0.01 * a),
        "relu": lambda a: np.maximum(a, 0),
        "sigmoid": scipy.special.expit,
        "silu": lambda a: a * scipy.special.expit(a),
        "softplus": lambda a: np.logaddexp(a, 0),
        "tanh": np.tanh,
    }[activation]
    network = MLP(6, (5, 4), 3, activation, key=jax.random.key(2))
    h = x = numbers((2, 3), seed=14)
    for i, layer in enumerate(network.layers):
        h = np.asarray(layer.weight) @ np.ravel(h) + np.asarray(layer.bias)
        h = oracle(h) if i < 2 else h
    assert np.allclose(eqx.filter_jit(network)(jnp.asarray(x)), h, rtol=1e-12)


def test_mlp_starts_glorot_uniform_with_zero_biases():
    network = MLP(400, (300,), 200, key=jax.random.key(3))
    for layer, (m, n) in zip(network.layers, [(400, 300), (300, 200)], strict=True):
        limit = np.sqrt(6 / (m + n))
        weights = np.asarray(layer.weight).ravel()
        assert layer.weight.shape == (n, m)
        assert layer.bias is not None
        assert np.array_equal(layer.bias, np.zeros(n))
        uniform = scipy.stats.uniform(-limit, 2 * limit)
        assert scipy.stats.kstest(weights, uniform.cdf).pvalue > 1e-3
    first, second = (np.asarray(layer.weight).ravel()[:100] for layer in network.layers)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.3


def test_mlp_in_bfloat16_keeps_its_weights_and_rounds_its_products():
    narrow = MLP(50, (40,), 3, "tanh", compute_dtype="bfloat16", key=jax.random.key(4))
    wide = MLP(50, (40,), 3, "tanh", key=jax.random.key(4))
    x = jnp.asarray(numbers(50, seed=15))
    assert all(
        np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, (narrow, wide)), strict=True)
    )
    assert narrow(x).dtype == wide(x).dtype == jnp.float32
    assert np.allclose(narrow(x), wide(x), atol=0.05)  # eight bits of mantissa
    assert not np.allclose(narrow(x), wide(x), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0, (3,), 2), "sizes"),
        ((2, (0,), 2), "sizes"),
        ((2, (), 2, "rleu"), "activation is 'rleu'"),
    ],
)
def test_mlp_refuses_what_it_cannot_build(arguments, words):
    with pytest.raises(ValueError, match=words):
        MLP(*arguments, key=jax.random.key(0))
