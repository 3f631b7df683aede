"""Networks in numpy and by `lax`, layer by layer; what is refused."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from elbax.model import (
    MLP,
    ConvDecoder,
    ConvEncoder,
    GatedMLP,
    NormalizedMLP,
    ResidualMLP,
    check_network,
)
from tests.laws import filled, in_float64, numbers

KEY = jax.random.key(0)


def linear(layer, x):
    return np.asarray(layer.weight) @ x + (0 if layer.bias is None else np.asarray(layer.bias))


def normalized(norm, x):
    standard = (x - x.mean()) / np.sqrt(x.var() + norm.eps)
    return np.asarray(norm.weight) * standard + np.asarray(norm.bias)


def check(network, x, expected):
    assert np.allclose(eqx.filter_jit(network)(jnp.asarray(x)), expected, rtol=1e-11, atol=1e-12)


# --- dense ---------------------------------------------------------------------------------


@in_float64
def test_normalized_mlp_is_its_layers_in_numpy():
    network = filled(lambda: NormalizedMLP(6, (5, 4), 3, "tanh", key=KEY), seed=1)
    h = x = numbers((2, 3), seed=2)
    for layer, norm in zip(network.layers[:-1], network.norms, strict=True):
        h = np.tanh(normalized(norm, linear(layer, h.ravel())))
    check(network, x, linear(network.layers[-1], h))


@pytest.mark.parametrize("layer_norm", [False, True])
@in_float64
def test_gated_mlp_is_its_layers_in_numpy(layer_norm):
    make = functools.partial(GatedMLP, 6, (5, 4), 3, layer_norm=layer_norm, key=KEY)
    network = filled(make, seed=1)
    h = x = numbers((2, 3), seed=2)
    for i, (layer, width) in enumerate(zip(network.layers[:-1], (5, 4), strict=True)):
        both = linear(layer, h.ravel())
        h = both[:width] if network.norms is None else normalized(network.norms[i], both[:width])
        h = h * scipy.special.expit(both[width:])
    check(network, x, linear(network.layers[-1], h))


@pytest.mark.parametrize("layer_norm", [False, True])
@in_float64
def test_residual_mlp_is_its_layers_in_numpy(layer_norm):
    make = functools.partial(
        ResidualMLP, 6, (5, 5, 4), 3, "tanh", layer_norm=layer_norm, key=KEY
    )  # fmt: skip
    network = filled(make, seed=1)
    x = numbers((2, 3), seed=2)
    h = linear(network.first, x.ravel())
    assert [block.skip is None for block in network.blocks] == [True, True, False]
    for block in network.blocks:
        inside = h if block.norm is None else normalized(block.norm, h)
        inside = linear(block.outer, np.tanh(linear(block.inner, np.tanh(inside))))
        h = inside + (h if block.skip is None else linear(block.skip, h))
    check(network, x, linear(network.last, np.tanh(h)))


def test_gated_layers_start_glorot_uniform_in_each_half():
    weight = np.asarray(GatedMLP(300, (200,), 2, key=KEY).layers[0].weight)
    limit = np.sqrt(6 / 500)
    for half in np.split(weight, 2):
        fit = scipy.stats.kstest(half.ravel(), scipy.stats.uniform(-limit, 2 * limit).cdf)
        assert fit.pvalue > 1e-3
    assert abs(np.corrcoef(weight.reshape(2, -1))[0, 1]) < 0.2


@pytest.mark.parametrize(
    "make",
    [
        functools.partial(NormalizedMLP, 36, (8,), 3, "tanh"),
        functools.partial(GatedMLP, 36, (8,), 3),
        functools.partial(ResidualMLP, 36, (8,), 3, "tanh"),
        functools.partial(ConvEncoder, (6, 6, 1), 3, (2,), (4,), "tanh", blocks=1),
    ],
    ids=["normalized", "gated", "residual", "conv"],
)
def test_bfloat16_rounds_the_products_and_keeps_the_weights(make):
    narrow, wide = make(compute_dtype="bfloat16", key=KEY), make(key=KEY)
    pairs = zip(*map(jax.tree.leaves, (narrow, wide)), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)
    x = jnp.asarray(numbers(36, seed=3))
    found, expected = eqx.filter_jit(narrow)(x), eqx.filter_jit(wide)(x)
    assert found.dtype == jnp.float32
    assert np.allclose(found, expected, atol=0.1)  # eight bits of mantissa
    assert not np.allclose(found, expected, atol=1e-5)


# --- convolutional -------------------------------------------------------------------------

LAYOUT = ("NHWC", "HWIO", "NHWC")


def convolution(layer, image):
    strides = (layer.stride, layer.stride)
    out = jax.lax.conv_general_dilated(
        image[None], layer.weight, strides, "SAME", dimension_numbers=LAYOUT
    )
    return out[0] + layer.bias[None, None]


def residual(block, image):
    return image + convolution(block.outer, jnp.tanh(convolution(block.inner, jnp.tanh(image))))


def transposed(layer, image):
    """By the definition: the vector-Jacobian product of the convolution."""
    kernel = jnp.swapaxes(layer.weight, 2, 3)

    def forward(wide):
        return jax.lax.conv_general_dilated(
            wide[None], kernel, (layer.stride,) * 2, "SAME", dimension_numbers=LAYOUT
        )[0]

    wide = jnp.zeros((*layer.shape, kernel.shape[2]))
    return jax.vjp(forward, wide)[1](image)[0] + layer.bias[None, None]


@in_float64
def test_conv_encoder_is_its_layers_by_lax():
    make = functools.partial(
        ConvEncoder, (7, 6, 2), 3, (3, 4), (5,), "tanh", blocks=1, condition_dim=2, key=KEY
    )
    network = filled(make, seed=1)
    x = jnp.asarray(numbers(7 * 6 * 2 + 2, seed=2))

    @jax.jit
    def expected(x):
        image = x[:-2].reshape(7, 6, 2)
        for halving, blocks in zip(network.halvings, network.residuals, strict=True):
            image = jnp.tanh(residual(blocks[0], convolution(halving, image)))
        assert image.shape == (2, 2, 4)
        return network.dense(jnp.concatenate([image.ravel(), x[-2:]]))

    check(network, x, expected(x))


@in_float64
def test_conv_decoder_is_its_layers_by_lax_and_gives_number_after_number():
    make = functools.partial(
        ConvDecoder, 3, (7, 6, 2), 3 * 84, (3, 4), (5,), "tanh", blocks=1, key=KEY
    )
    network = filled(make, seed=1)
    z = jnp.asarray(numbers(3, seed=2))

    @jax.jit
    def expected(z):
        image = network.dense(z).reshape(2, 2, 4)
        for doubling, blocks in zip(network.doublings, network.residuals, strict=True):
            image = transposed(doubling, jnp.tanh(residual(blocks[0], image)))
        assert image.shape == (7, 6, 6)
        # Output channel 2 n + c is the n-th number of the pixel's channel c.
        return jnp.stack([image[:, :, 2 * n + c] for n in range(3) for c in range(2)])

    by_channel = np.asarray(expected(z)).reshape(3, 2, 7, 6)
    check(network, z, np.moveaxis(by_channel, 1, -1).ravel())


def test_the_pair_is_sized_from_the_image():
    # Digits of 28 × 28: 14, 7; the mirror is back at 28 and has the sizes of PyTorch's pair.
    encoder = eqx.filter_eval_shape(lambda: ConvEncoder((28, 28, 1), 20, key=KEY))
    decoder = eqx.filter_eval_shape(lambda: ConvDecoder(10, (28, 28, 1), 784, key=KEY))
    shapes = [layer.weight.shape for layer in (*encoder.halvings, *decoder.doublings)]
    assert shapes == [(4, 4, 1, 32), (4, 4, 32, 64), (4, 4, 64, 32), (4, 4, 32, 1)]
    assert [layer.weight.shape for layer in encoder.dense.layers] == [(256, 3136), (20, 256)]
    assert [layer.weight.shape for layer in decoder.dense.layers] == [(256, 10), (3136, 256)]
    assert [layer.shape for layer in decoder.doublings] == [(14, 14), (28, 28)]
    for shape in [(28, 28, 1), (64, 64, 3), (8, 8, 1), (5, 9, 1), (1, 1, 2)]:
        size = int(np.prod(shape))
        check_network(eqx.filter_eval_shape(lambda s=shape: ConvEncoder(s, 4, key=KEY)), shape, 4)
        decoder = eqx.filter_eval_shape(lambda s=shape, n=size: ConvDecoder(3, s, 2 * n, key=KEY))
        check_network(decoder, (3,), 2 * size)


def test_convolutions_start_glorot_uniform():
    weight = np.asarray(ConvEncoder((4, 4, 1), 2, dense=(), key=KEY).halvings[1].weight)
    limit = np.sqrt(6 / (16 * (32 + 64)))
    uniform = scipy.stats.uniform(-limit, 2 * limit)
    assert scipy.stats.kstest(weight.ravel(), uniform.cdf).pvalue > 1e-3


# --- what is refused -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: GatedMLP(2, (0,), 2, key=KEY), "layer sizes are"),
        (lambda: ResidualMLP(2, (), 2, key=KEY), "hidden is empty"),
        (lambda: NormalizedMLP(2, (3,), 2, "rleu", key=KEY), "activation is 'rleu'"),
        (lambda: ConvEncoder((784,), 2, key=KEY), r"images of shape \(height, width, channels\)"),
        (lambda: ConvEncoder((8, 8, 1), 2, (), key=KEY), "at least one convolution"),
        (lambda: ConvDecoder(2, (8, 8, 1), 65, key=KEY), "out_size is 65"),
        (lambda: ConvDecoder(2, (8, 8, 1), 64, activation="rleu", key=KEY), "'rleu'"),
    ],
)
def test_impossible_networks_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_any_module_or_function_of_the_right_shapes_is_a_network():
    weights = jnp.ones((4, 6))
    check_network(lambda x: weights @ x.ravel(), (2, 3), 4)
    check_network(MLP(6, (3,), 4, key=KEY), (2, 3), 4)
    check_network(eqx.nn.MLP(6, 4, 3, 1, key=KEY), (6,), 4)


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (MLP(6, (), 5, key=KEY), r"gives float32\[5\] .*shape \(2, 3\); expected: .*\(4,\)"),
        (MLP(7, (), 4, key=KEY), r"cannot take an input of shape \(2, 3\) .*to \(4,\)"),
        (lambda x: x, r"gives float32\[2, 3\]"),
        (lambda x: jnp.argsort(x.ravel())[:4], r"gives int32\[4\]"),
        (lambda x: (x.ravel()[:4], x), "gives a tuple"),
        (lambda x, y: x, "cannot take an input"),
        (None, "a NoneType, which cannot be called"),
    ],
)
def test_check_network_says_what_was_expected_and_found(network, words):
    with pytest.raises(ValueError, match=words) as caught:
        check_network(network, (2, 3), 4)
    assert "\n" not in str(caught.value)
