"""Networks for images: convolutions down to a few pixels, and their mirror; plain or residual."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from elbax.model.networks.convolutions import Image, Kernel, convolve, convolve_transposed
from elbax.model.networks.dense import ACTIVATIONS, MLP, check_activation, narrowed
from elbax.util.keys import stream

# Halving by 4 × 4 kernels: the kernel is a multiple of the stride, so that every output pixel of a
# transposed convolution gets as many terms (Odena et al. 2016).
KERNEL = 4
HALVING = 2
_RESIDUAL_KERNEL = 3
_PATCHES = 64  # along the shorter side of a large image


class Convolution(eqx.Module):
    """A convolution with a bias, Glorot-uniform.

    Attributes:
        weight: `(kernel height, kernel width, in, out)`.
        bias: One number for each output channel.
        stride: The step between outputs.
    """

    weight: Kernel
    bias: Float[Array, " out_channels"]
    stride: int = eqx.field(static=True)

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int, *, key: PRNGKeyArray
    ) -> None:
        """Makes the layer."""
        self.weight = _glorot(kernel, in_channels, out_channels, key)
        self.bias = jnp.zeros(out_channels)
        self.stride = stride

    def __call__(self, image: Image) -> Image:
        """`(height, width, in)` to `(⌈height / stride⌉, ⌈width / stride⌉, out)`."""
        return convolve(image, self.weight, self.stride) + self.bias[None, None]


class TransposedConvolution(eqx.Module):
    """The adjoint of a convolution, with a bias, Glorot-uniform.

    Attributes:
        weight: `(kernel height, kernel width, in, out)`.
        bias: One number for each output channel.
        stride: The step that the inputs make in the output.
        shape: The height and width of the output.
    """

    weight: Kernel
    bias: Float[Array, " out_channels"]
    stride: int = eqx.field(static=True)
    shape: tuple[int, int] = eqx.field(static=True)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int,
        shape: tuple[int, int],
        *,
        key: PRNGKeyArray,
    ) -> None:
        """Makes the layer."""
        self.weight = _glorot(kernel, in_channels, out_channels, key)
        self.bias = jnp.zeros(out_channels)
        self.stride = stride
        self.shape = shape

    def __call__(self, image: Image) -> Image:
        """`(⌈height / stride⌉, ⌈width / stride⌉, in)` to `(height, width, out)`."""
        image = convolve_transposed(image, self.weight, self.shape, self.stride)
        return image + self.bias[None, None]


class ResidualConvolutions(eqx.Module):
    """x + C₂ a(C₁ a(x)) with 3 × 3 convolutions, the activation first (He et al. 2016).

    Attributes:
        inner: C₁.
        outer: C₂.
    """

    inner: Convolution
    outer: Convolution

    def __init__(self, channels: int, *, key: PRNGKeyArray) -> None:
        """Makes the block."""
        self.inner, self.outer = (
            Convolution(channels, channels, _RESIDUAL_KERNEL, 1, key=k)
            for k in jax.random.split(key)
        )

    def __call__(self, image: Image, activation: Callable[[Array], Array]) -> Image:
        """The block's output, of the input's shape."""
        return image + self.outer(activation(self.inner(activation(image))))


class ConvEncoder(eqx.Module):
    """From an image to a vector: convolutions that halve it, then dense layers.

    One 4 × 4 convolution of stride 2 for each entry of `channels` (the encoder of Radford et al.
    2016, without batch normalisation), each followed by `blocks` residual blocks (He et al. 2016).

    Attributes:
        stem: A convolution of patches before these, which makes a large image small; or None.
        halvings: The convolutions.
        residuals: The residual blocks after each.
        dense: The dense layers, to the output.
    """

    stem: Convolution | None
    halvings: tuple[Convolution, ...]
    residuals: tuple[tuple[ResidualConvolutions, ...], ...]
    dense: MLP
    shape: tuple[int, int, int] = eqx.field(static=True)
    condition_dim: int = eqx.field(static=True)
    activation: str = eqx.field(static=True)
    compute_dtype: str | None = eqx.field(static=True)

    def __init__(
        self,
        shape: tuple[int, ...],
        out_size: int,
        channels: Sequence[int] = (32, 64),
        dense: Sequence[int] = (256,),
        activation: str = "relu",
        *,
        blocks: int = 0,
        patch: int | None = None,
        condition_dim: int = 0,
        compute_dtype: str | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Makes the network.

        Args:
            shape: `(height, width, channels)` of the image.
            out_size: The number of outputs.
            patch: The side of the squares that a first convolution makes one pixel of; 1: there is
                none. By default what leaves 64 pixels or a little more across (`patch_of`).
            channels: Of each convolution's output.
            dense: The widths of the dense layers between the convolutions and the output.
            activation: One of `ACTIVATIONS`.
            blocks: Residual blocks after each convolution.
            condition_dim: How many numbers of a condition follow the image; they meet the dense
                layers.
            compute_dtype: As `MLP`'s.
            key: The randomness of the weights.

        Raises:
            ValueError: The shape is not an image's, a size is not positive, or the activation is
                unknown.
        """
        self.shape = image_shape(shape, channels, blocks)
        check_activation(activation)
        patch = patch_of(self.shape) if patch is None else patch
        key, dense_key = jax.random.split(key)
        keys = jax.random.split(key, (len(channels), 1 + blocks))
        self.stem = None
        if patch > 1:
            stem_key = stream(dense_key, "stem")
            self.stem = Convolution(self.shape[2], channels[0], patch, patch, key=stem_key)
        before = (self.shape[2] if self.stem is None else channels[0], *channels[:-1])
        self.halvings = tuple(
            Convolution(m, n, KERNEL, HALVING, key=k[0])
            for m, n, k in zip(before, channels, keys, strict=True)
        )
        self.residuals = tuple(
            tuple(ResidualConvolutions(n, key=block_key) for block_key in k[1:])
            for n, k in zip(channels, keys, strict=True)
        )
        flat = math.prod(halved(self.shape, len(channels), patch)[-1]) * channels[-1]
        self.dense = MLP(flat + condition_dim, dense, out_size, activation, key=dense_key)
        self.condition_dim = condition_dim
        self.activation = activation
        self.compute_dtype = compute_dtype

    def __call__(self, x: Array) -> Float[Array, " out"]:
        """An image, or one flattened with a condition behind it."""
        dtype = self.halvings[0].weight.dtype
        network, x = narrowed(self, jnp.ravel(x))
        activation = ACTIVATIONS[self.activation]
        pixels = math.prod(self.shape)
        image, condition = x[:pixels].reshape(self.shape), x[pixels:]
        if network.stem is not None:
            image = activation(network.stem(image))
        for halving, blocks in zip(network.halvings, network.residuals, strict=True):
            image = halving(image)
            for block in blocks:
                image = block(image, activation)
            image = activation(image)
        return network.dense(jnp.concatenate([jnp.ravel(image), condition])).astype(dtype)


class ConvDecoder(eqx.Module):
    """From a latent to a likelihood's numbers: dense layers, then transposed convolutions.

    The mirror of `ConvEncoder`. The output is laid out as likelihoods want it: the first number of
    all elements of the image, then the second.

    Attributes:
        dense: The dense layers, to a few pixels.
        residuals: The residual blocks before each transposed convolution.
        doublings: The transposed convolutions.
        stem: A transposed convolution after these, which makes patches of pixels; or None.
    """

    dense: MLP
    residuals: tuple[tuple[ResidualConvolutions, ...], ...]
    doublings: tuple[TransposedConvolution, ...]
    stem: TransposedConvolution | None
    shape: tuple[int, int, int] = eqx.field(static=True)
    activation: str = eqx.field(static=True)
    compute_dtype: str | None = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        shape: tuple[int, ...],
        out_size: int,
        channels: Sequence[int] = (32, 64),
        dense: Sequence[int] = (256,),
        activation: str = "relu",
        *,
        blocks: int = 0,
        patch: int | None = None,
        compute_dtype: str | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Makes the network.

        Args:
            in_size: The number of latents, and of the condition's numbers where there is one.
            shape: `(height, width, channels)` of the image.
            out_size: How many numbers the likelihood wants: a multiple of the image's elements.
            channels: The encoder's, from the image on: they are used from the last to the first.
            dense: The encoder's, likewise.
            activation: One of `ACTIVATIONS`.
            blocks: Residual blocks before each transposed convolution.
            patch: The encoder's.
            compute_dtype: As `MLP`'s.
            key: The randomness of the weights.

        Raises:
            ValueError: The shape is not an image's, the output is no multiple of it, a size is not
                positive, or the activation is unknown.
        """
        self.shape = image_shape(shape, channels, blocks)
        if out_size < 1 or out_size % math.prod(shape):
            raise ValueError(
                f"out_size is {out_size}; a convolutional decoder gives as many numbers to each of "
                f"the {math.prod(shape)} elements of {shape}"
            )
        check_activation(activation)
        patch = patch_of(self.shape) if patch is None else patch
        key, dense_key = jax.random.split(key)
        keys = jax.random.split(key, (len(channels), 1 + blocks))
        *sizes, small = halved(self.shape, len(channels), patch)
        inputs, last = channels[::-1], out_size // math.prod(shape[:2])
        outputs = (*inputs[1:], last if patch == 1 else channels[0])
        self.stem = None
        if patch > 1:
            stem_key = stream(dense_key, "stem")
            size = (self.shape[0], self.shape[1])
            self.stem = TransposedConvolution(channels[0], last, patch, patch, size, key=stem_key)
        flat = math.prod(small) * inputs[0]
        self.dense = MLP(in_size, dense[::-1], flat, activation, key=dense_key)
        self.residuals = tuple(
            tuple(ResidualConvolutions(m, key=block_key) for block_key in k[1:])
            for m, k in zip(inputs, keys, strict=True)
        )
        self.doublings = tuple(
            TransposedConvolution(m, n, KERNEL, HALVING, size, key=k[0])
            for m, n, size, k in zip(inputs, outputs, sizes[::-1], keys, strict=True)
        )
        self.activation = activation
        self.compute_dtype = compute_dtype

    def __call__(self, z: Array) -> Float[Array, " out"]:
        """A latent, flattened."""
        dtype = self.doublings[0].weight.dtype
        network, z = narrowed(self, jnp.ravel(z))
        activation = ACTIVATIONS[self.activation]
        patch = 1 if self.stem is None else self.stem.stride
        small = halved(self.shape, len(self.doublings), patch)[-1]
        image = network.dense(z).reshape(*small, -1)
        for doubling, blocks in zip(network.doublings, network.residuals, strict=True):
            for block in blocks:
                image = block(image, activation)
            image = doubling(activation(image))
        if network.stem is not None:
            image = network.stem(activation(image))
        height, width, channels = self.shape
        numbers = image.reshape(height, width, -1, channels)
        return jnp.ravel(jnp.moveaxis(numbers, 2, 0)).astype(dtype)


def image_shape(
    shape: tuple[int, ...], channels: Sequence[int], blocks: int
) -> tuple[int, int, int]:
    """The shape of an image.

    Raises:
        ValueError: It is another's, or the sizes of the convolutions are impossible.
    """
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(
            f"a datum has the shape {shape}; a convolutional network is for images of shape "
            "(height, width, channels): choose another network, or reshape the data"
        )
    if not channels or min(channels) < 1 or blocks < 0:
        raise ValueError(
            f"channels are {tuple(channels)} and blocks {blocks}; give at least one convolution, "
            "each of at least one channel, and no negative number of blocks"
        )
    return shape[0], shape[1], shape[2]


def patch_of(shape: tuple[int, ...]) -> int:
    """The side of the patches of a large image: 64 of them, or a few more, along its shorter side.

    Convolutions at the full resolution would take most of the time and of the memory.
    """
    return max(1, min(shape[:2]) // _PATCHES)


def halved(shape: tuple[int, ...], times: int, patch: int = 1) -> list[tuple[int, int]]:
    """The height and width before each halving convolution, and after the last."""
    sizes = [(math.ceil(shape[0] / patch), math.ceil(shape[1] / patch))]
    for _ in range(times):
        height, width = sizes[-1]
        sizes.append((math.ceil(height / HALVING), math.ceil(width / HALVING)))
    return sizes


def _glorot(kernel: int, in_channels: int, out_channels: int, key: PRNGKeyArray) -> Any:
    initialise = jax.nn.initializers.glorot_uniform()
    return initialise(key, (kernel, kernel, in_channels, out_channels))
