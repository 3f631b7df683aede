"""Convolutions by matrix products against `lax`'s, and against each other's adjoints."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from elbax.model import ConvDecoder, ConvEncoder
from elbax.model.networks.convolutions import convolve, convolve_transposed, padding
from elbax.model.networks.images import patch_of
from tests.laws import in_float64, numbers

# (height, width), (kernel height, kernel width), stride
CASES = [
    ((28, 28), (4, 4), 2),
    ((7, 7), (4, 4), 2),
    ((8, 8), (3, 3), 1),
    ((7, 5), (3, 4), 2),
    ((5, 4), (1, 1), 2),
]
LAYOUT = ("NHWC", "HWIO", "NHWC")


def lax_convolution(images, kernel, stride):
    return jax.lax.conv_general_dilated(
        images, kernel, (stride, stride), "SAME", dimension_numbers=LAYOUT
    )


def lax_transposed(images, kernel, shape, stride):
    # `lax.conv_transpose` makes an image of stride × size pixels: what "SAME" would have cut away
    # of a smaller one is cut here, by explicit padding.
    pads = []
    for size, length, have in zip(shape, kernel.shape[:2], images.shape[1:3], strict=True):
        before = length - 1 - padding(size, length, stride)[0]
        pads.append((before, size + length - 2 - before - (have - 1) * stride))
    return jax.lax.conv_transpose(
        images,
        jnp.swapaxes(kernel, 2, 3),
        (stride, stride),
        pads,
        dimension_numbers=LAYOUT,
        transpose_kernel=True,
    )


def inputs(shape, kernel, stride):
    small = tuple(-(-size // stride) for size in shape)
    return (
        jnp.asarray(numbers((2, *shape, 3), seed=1)),
        jnp.asarray(numbers((2, *small, 3), seed=2)),
        jnp.asarray(numbers((*kernel, 3, 2), seed=3)),
    )


@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "x64"),
    [*((*case, True) for case in CASES), (*CASES[0], False), (*CASES[2], False)],
)
def test_both_are_laxs_and_so_are_their_gradients(shape, kernel, stride, x64):
    with jax.enable_x64(x64):
        images, small, weight = inputs(shape, kernel, stride)

        def ours(images, small, weight):
            there = jax.vmap(lambda image: convolve(image, weight, stride))(images)
            back = jax.vmap(lambda image: convolve_transposed(image, weight, shape, stride))(small)
            return there, back

        def theirs(images, small, weight):
            return lax_convolution(images, weight, stride), lax_transposed(
                small, weight, shape, stride
            )

        def gradients(f):
            def loss(*arguments):
                there, back = f(*arguments)
                return jnp.sum(jnp.sin(there)) + jnp.sum(jnp.cos(back))

            return lambda *arguments: (f(*arguments), jax.grad(loss, (0, 1, 2))(*arguments))

        found, expected = (jax.jit(gradients(f))(images, small, weight) for f in (ours, theirs))
        assert found[0][1].shape == (2, *shape, 2)
        for a, b in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
            tolerance = 1e-12 if x64 else 1e-5
            assert np.allclose(a, b, rtol=tolerance, atol=tolerance * np.abs(b).max())


@in_float64
def test_a_transposed_convolution_is_the_adjoint():
    # ⟨C x, y⟩ = ⟨x, Cᵀ y⟩, with the kernel's channels exchanged.
    for shape, kernel, stride in CASES:
        images, _, weight = inputs(shape, kernel, stride)
        there = convolve(images[0], weight, stride)
        y = jnp.asarray(numbers(there.shape, seed=4))
        back = convolve_transposed(y, jnp.swapaxes(weight, 2, 3), shape, stride)
        assert jnp.vdot(there, y) == pytest.approx(float(jnp.vdot(images[0], back)), rel=1e-12)


def test_padding_is_laxs():
    for size, kernel, stride in [(28, 4, 2), (7, 4, 2), (8, 3, 1), (5, 1, 2), (9, 5, 4), (1, 4, 2)]:
        expected = jax.lax.padtype_to_pads((size,), (kernel,), (stride,), "SAME")
        assert [padding(size, kernel, stride)] == list(expected)


@jax.jit
def step(images, small, weight):
    """The gradients of both, of a batch of 8 × 8 pixels, by everything."""

    def loss(images, small, weight):
        there = jax.vmap(lambda image: convolve(image, weight, 2))(images)
        back = jax.vmap(lambda image: convolve_transposed(image, weight, (8, 8), 2))(small)
        return jnp.sum(there**2) + jnp.sum(back**2)

    return jax.grad(loss, (0, 1, 2))(images, small, weight)


def test_a_batch_is_one_product_a_layer_and_no_convolution():
    images, small, weight = inputs((8, 8), (4, 4), 2)
    # Forwards, by the input and by the kernel: three products for each of the two.
    lowered = step.lower(images, small, weight)
    assert lowered.as_text().count("stablehlo.dot_general") == 6
    assert "batching_dims" not in lowered.as_text()
    assert " convolution(" not in str(lowered.compile().as_text())


def test_on_a_gpu_it_is_laxs_convolution():
    images, small, weight = inputs((8, 8), (4, 4), 2)
    lowered = jax.export.export(step, platforms=["cuda"])(images, small, weight).mlir_module()
    assert lowered.count("stablehlo.convolution") == 6
    assert "stablehlo.dot_general" not in lowered


def test_a_large_image_is_made_small_by_patches_first():
    shape = (140, 131, 3)
    assert patch_of(shape) == 2
    assert [patch_of((n, n, 1)) for n in (28, 64, 127, 256, 512)] == [1, 1, 1, 4, 8]
    encoder = ConvEncoder(shape, 5, (4, 6), (7,), "tanh", key=jax.random.key(0))
    decoder = ConvDecoder(3, shape, 2 * 140 * 131 * 3, (4, 6), (7,), "tanh", key=jax.random.key(1))
    assert encoder.dense.layers[0].in_features == 18 * 17 * 6  # 70 × 66 patches, halved twice
    x = jnp.asarray(numbers(shape, 0))
    assert encoder(x).shape == (5,)
    assert decoder(jnp.ones(3)).shape == (2 * 140 * 131 * 3,)
    # Every pixel counts, and every number of the output is reached.
    found = jax.jit(jax.grad(lambda x: jnp.sum(encoder(x) ** 2)))(x)
    assert np.all(np.asarray(found) != 0)
    moved = jax.jit(jax.jacfwd(decoder))(jnp.ones(3))
    assert np.all(np.any(np.asarray(moved) != 0, axis=1))
    whole = ConvEncoder(shape, 5, (4, 6), (7,), patch=1, key=jax.random.key(0))
    assert whole.stem is None
