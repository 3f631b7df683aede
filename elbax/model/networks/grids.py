"""Networks between an image and a latent that is a small image itself: convolutions alone."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from elbax.model.interfaces import AbstractNetworkPair
from elbax.model.networks.dense import ACTIVATIONS, check_activation, narrowed
from elbax.model.networks.images import (
    HALVING,
    KERNEL,
    Convolution,
    ResidualConvolutions,
    TransposedConvolution,
    halved,
    image_shape,
)


class GridEncoder(eqx.Module):
    """From an image to a grid of places: what a place gets is of the pixels near it.

    4 × 4 convolutions of stride 2, residual blocks at the size that is left, and a product with one
    matrix at every place (van den Oord et al. 2017, §4.1, whose networks these are).

    Attributes:
        halvings: The convolutions.
        blocks: The residual blocks.
        last: The product at every place.
    """

    halvings: tuple[Convolution, ...]
    blocks: tuple[ResidualConvolutions, ...]
    last: Convolution
    shape: tuple[int, int, int] = eqx.field(static=True)
    activation: str = eqx.field(static=True)
    compute_dtype: str | None = eqx.field(static=True)

    def __init__(
        self,
        shape: tuple[int, ...],
        out_size: int,
        channels: Sequence[int] = (32, 64),
        blocks: int = 2,
        activation: str = "relu",
        *,
        compute_dtype: str | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Makes the network.

        Args:
            shape: `(height, width, channels)` of the image.
            out_size: The number of outputs: a multiple of the places.
            channels: Of each convolution's output; each halves the image.
            blocks: Residual blocks after them.
            activation: One of `ACTIVATIONS`.
            compute_dtype: As `MLP`'s.
            key: The randomness of the weights.

        Raises:
            ValueError: The shape is not an image's, the places cannot share the outputs equally, a
                size is not positive, or the activation is unknown.
        """
        self.shape = image_shape(shape, channels, blocks)
        check_activation(activation)
        each = _share(self.shape, channels, out_size)
        keys = jax.random.split(key, len(channels) + blocks + 1)
        before = (self.shape[2], *channels[:-1])
        self.halvings = tuple(
            Convolution(m, n, KERNEL, HALVING, key=k)
            for m, n, k in zip(before, channels, keys[: len(channels)], strict=True)
        )
        self.blocks = tuple(
            ResidualConvolutions(channels[-1], key=k) for k in keys[len(channels) : -1]
        )
        self.last = Convolution(channels[-1], each, 1, 1, key=keys[-1])
        self.activation = activation
        self.compute_dtype = compute_dtype

    def __call__(self, x: Array) -> Float[Array, " out"]:
        """An image to its places, row by row, all numbers of one after the other."""
        dtype = self.last.weight.dtype
        network, x = narrowed(self, jnp.ravel(x))
        activation = ACTIVATIONS[self.activation]
        image = x.reshape(self.shape)
        for halving in network.halvings:
            image = activation(halving(image))
        for block in network.blocks:
            image = block(image, activation)
        return jnp.ravel(network.last(activation(image))).astype(dtype)


class GridDecoder(eqx.Module):
    """The mirror of `GridEncoder`: from the numbers of all places to a likelihood's numbers.

    Attributes:
        first: The product at every place.
        blocks: The residual blocks.
        doublings: The transposed convolutions.
    """

    first: Convolution
    blocks: tuple[ResidualConvolutions, ...]
    doublings: tuple[TransposedConvolution, ...]
    shape: tuple[int, int, int] = eqx.field(static=True)
    activation: str = eqx.field(static=True)
    compute_dtype: str | None = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        shape: tuple[int, ...],
        out_size: int,
        channels: Sequence[int] = (32, 64),
        blocks: int = 2,
        activation: str = "relu",
        *,
        compute_dtype: str | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Makes the network.

        Args:
            in_size: How many numbers of the latent are read: a multiple of the places.
            shape: The shape of one datum.
            out_size: How many numbers the likelihood wants: a multiple of the image's elements.
            channels: The encoder's.
            blocks: The encoder's.
            activation: One of `ACTIVATIONS`.
            compute_dtype: As `MLP`'s.
            key: The randomness of the weights.

        Raises:
            ValueError: As `GridEncoder`'s; or the output is no multiple of the image.
        """
        self.shape = image_shape(shape, channels, blocks)
        check_activation(activation)
        if out_size < 1 or out_size % math.prod(shape):
            raise ValueError(
                f"out_size is {out_size}; a convolutional decoder gives as many numbers to each of "
                f"the {math.prod(shape)} elements of {shape}"
            )
        each = _share(self.shape, channels, in_size)
        keys = jax.random.split(key, len(channels) + blocks + 1)
        self.first = Convolution(each, channels[-1], 1, 1, key=keys[-1])
        self.blocks = tuple(
            ResidualConvolutions(channels[-1], key=k) for k in keys[len(channels) : -1]
        )
        outputs = (*channels[-2::-1], out_size // math.prod(shape[:2]))
        sizes = halved(self.shape, len(channels))[-2::-1]
        self.doublings = tuple(
            TransposedConvolution(m, n, KERNEL, HALVING, size, key=k)
            for m, n, size, k in zip(channels[::-1], outputs, sizes, keys, strict=False)
        )
        self.activation = activation
        self.compute_dtype = compute_dtype

    def __call__(self, z: Array) -> Float[Array, " out"]:
        """A latent, place by place."""
        dtype = self.first.weight.dtype
        network, z = narrowed(self, jnp.ravel(z))
        activation = ACTIVATIONS[self.activation]
        places = halved(self.shape, len(self.doublings))[-1]
        image = network.first(z.reshape(*places, -1))
        for block in network.blocks:
            image = block(image, activation)
        for doubling in network.doublings:
            image = doubling(activation(image))
        height, width, channels = self.shape
        numbers = image.reshape(height, width, -1, channels)
        return jnp.ravel(jnp.moveaxis(numbers, 2, 0)).astype(dtype)


class GridPair(AbstractNetworkPair):
    """Convolutions alone, so that the latent is a grid of places (van den Oord et al. 2017, §4.1).

    Each convolution halves the image: two make a grid of 7 × 7 places of an image of 28 × 28. The
    latent is as long as the places have numbers, all together: give --latent-dim accordingly.

    Attributes:
        channels: Of each convolution's output, from the image on.
        blocks: How many residual blocks follow them.
    """

    name: ClassVar[str] = "conv-grid"
    images_only: ClassVar[bool] = True
    latent: ClassVar[Literal["any", "codes"]] = "codes"

    activation: str = eqx.field(static=True, default="relu")
    compute_dtype: str | None = eqx.field(static=True, default=None)
    channels: tuple[int, ...] = eqx.field(static=True, default=(32, 64))
    blocks: int = eqx.field(static=True, default=2)

    def encoder(
        self, shape: tuple[int, ...], out_size: int, *, condition_dim: int = 0, key: PRNGKeyArray
    ) -> GridEncoder:
        """Convolutions that halve the image.

        Raises:
            ValueError: There is a condition, which has no place in a grid; or as `GridEncoder`'s.
        """
        if condition_dim:
            raise ValueError(
                "the network conv-grid has no place for a condition: leave out --condition, or "
                "choose --network conv"
            )
        return GridEncoder(shape, out_size, key=key, **self._options)

    def decoder(
        self, in_size: int, shape: tuple[int, ...], out_size: int, *, key: PRNGKeyArray
    ) -> GridDecoder:
        """Transposed convolutions that double it."""
        return GridDecoder(in_size, shape, out_size, key=key, **self._options)

    @property
    def _options(self) -> dict[str, Any]:
        names = ("channels", "blocks", "activation", "compute_dtype")
        return {name: getattr(self, name) for name in names}


def _share(shape: tuple[int, ...], channels: Sequence[int], numbers: int) -> int:
    """How many of some numbers each place of the grid has."""
    height, width = halved(shape, len(channels))[-1]
    if numbers < 1 or numbers % (height * width):
        raise ValueError(
            f"{numbers} numbers cannot be shared by the {height} × {width} places of an image of "
            f"{shape[0]} × {shape[1]} halved {len(channels)} times: give --latent-dim a multiple "
            f"of {height * width} (times the length of a code), or other --network.channels"
        )
    return numbers // (height * width)
