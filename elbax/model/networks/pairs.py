"""Pairs of networks: the encoder's and its mirror image, sized from what stands at their ends."""

import abc
import math
from typing import Any, ClassVar

import equinox as eqx
from jaxtyping import PRNGKeyArray

from elbax.model.interfaces import AbstractNetworkPair
from elbax.model.networks.dense import MLP, GatedMLP, NormalizedMLP, ResidualMLP
from elbax.model.networks.images import ConvDecoder, ConvEncoder


class AbstractPerceptronPair(AbstractNetworkPair):
    """Two perceptrons of one kind: the decoder has the encoder's widths in reverse.

    Attributes:
        hidden: The widths of the encoder's hidden layers, or blocks.
        compute_dtype: As `MLP`'s.
        layer_norm: Whether the units of each layer are normalised (Ba et al. 2016).
    """

    hidden: eqx.AbstractVar[tuple[int, ...]]
    compute_dtype: eqx.AbstractVar[str | None]
    layer_norm: eqx.AbstractVar[bool]

    @abc.abstractmethod
    def perceptron(
        self, in_size: int, hidden: tuple[int, ...], out_size: int, key: PRNGKeyArray
    ) -> Any:
        """One of the two."""

    def encoder(
        self, shape: tuple[int, ...], out_size: int, *, condition_dim: int = 0, key: PRNGKeyArray
    ) -> Any:
        """A perceptron from the flattened datum, and the condition behind it."""
        return self.perceptron(math.prod(shape) + condition_dim, self.hidden, out_size, key)

    def decoder(
        self, in_size: int, shape: tuple[int, ...], out_size: int, *, key: PRNGKeyArray
    ) -> Any:
        """A perceptron with the widths in reverse."""
        del shape
        return self.perceptron(in_size, self.hidden[::-1], out_size, key)


class MLPPair(AbstractPerceptronPair):
    """Multilayer perceptrons of the widths --hidden (Kingma & Welling 2013, appendix C).

    Attributes:
        activation: One of `elbax.model.networks.dense.ACTIVATIONS`.
        layer_norm: Whether each hidden layer is normalised over its units (Ba et al. 2016).
    """

    name: ClassVar[str] = "mlp"

    hidden: tuple[int, ...] = eqx.field(static=True)
    activation: str = eqx.field(static=True, default="relu")
    compute_dtype: str | None = eqx.field(static=True, default=None)
    layer_norm: bool = eqx.field(static=True, default=False)

    def perceptron(
        self, in_size: int, hidden: tuple[int, ...], out_size: int, key: PRNGKeyArray
    ) -> MLP | NormalizedMLP:
        """One of the two."""
        kind = NormalizedMLP if self.layer_norm else MLP
        dtype = self.compute_dtype
        return kind(in_size, hidden, out_size, self.activation, compute_dtype=dtype, key=key)


class GatedMLPPair(AbstractPerceptronPair):
    """Perceptrons gated by a sigmoid in place of the activation (Dauphin et al. 2017).

    They are the networks of Tomczak & Welling 2018.

    Attributes:
        layer_norm: Whether what is gated is normalised over the units (Ba et al. 2016).
    """

    name: ClassVar[str] = "gated-mlp"

    hidden: tuple[int, ...] = eqx.field(static=True)
    compute_dtype: str | None = eqx.field(static=True, default=None)
    layer_norm: bool = eqx.field(static=True, default=False)

    def perceptron(
        self, in_size: int, hidden: tuple[int, ...], out_size: int, key: PRNGKeyArray
    ) -> GatedMLP:
        """One of the two."""
        norm, dtype = self.layer_norm, self.compute_dtype
        return GatedMLP(in_size, hidden, out_size, layer_norm=norm, compute_dtype=dtype, key=key)


class ResidualMLPPair(AbstractPerceptronPair):
    """Perceptrons of residual blocks, one block a width (He et al. 2016).

    Attributes:
        activation: One of `elbax.model.networks.dense.ACTIVATIONS`.
        layer_norm: Whether each block begins with layer normalisation (Ba et al. 2016).
    """

    name: ClassVar[str] = "residual-mlp"

    hidden: tuple[int, ...] = eqx.field(static=True)
    activation: str = eqx.field(static=True, default="relu")
    compute_dtype: str | None = eqx.field(static=True, default=None)
    layer_norm: bool = eqx.field(static=True, default=False)

    def perceptron(
        self, in_size: int, hidden: tuple[int, ...], out_size: int, key: PRNGKeyArray
    ) -> ResidualMLP:
        """One of the two."""
        options = {"layer_norm": self.layer_norm, "compute_dtype": self.compute_dtype}
        return ResidualMLP(in_size, hidden, out_size, self.activation, key=key, **options)


class AbstractConvolutionalPair(AbstractNetworkPair):
    """`ConvEncoder` and `ConvDecoder`.

    Attributes:
        activation: One of `elbax.model.networks.dense.ACTIVATIONS`.
        compute_dtype: As `MLP`'s.
        channels: Of each convolution's output, from the image on.
        dense: The widths of the dense layers between the convolutions and the latent.
        blocks: How many residual blocks follow each convolution.
        patch: The side of the squares of a large image that a first convolution makes one pixel of;
            1: none. By default what leaves 64 pixels or a little more across.
    """

    images_only: ClassVar[bool] = True

    activation: eqx.AbstractVar[str]
    compute_dtype: eqx.AbstractVar[str | None]
    channels: eqx.AbstractVar[tuple[int, ...]]
    dense: eqx.AbstractVar[tuple[int, ...]]
    blocks: eqx.AbstractVar[int]
    patch: eqx.AbstractVar[int | None]

    def encoder(
        self, shape: tuple[int, ...], out_size: int, *, condition_dim: int = 0, key: PRNGKeyArray
    ) -> ConvEncoder:
        """Convolutions that halve the image, then dense layers; a condition meets these."""
        return ConvEncoder(shape, out_size, condition_dim=condition_dim, key=key, **self._options)

    def decoder(
        self, in_size: int, shape: tuple[int, ...], out_size: int, *, key: PRNGKeyArray
    ) -> ConvDecoder:
        """Dense layers, then transposed convolutions that double the image."""
        return ConvDecoder(in_size, shape, out_size, key=key, **self._options)

    @property
    def _options(self) -> dict[str, Any]:
        names = ("channels", "dense", "activation", "blocks", "patch", "compute_dtype")
        return {name: getattr(self, name) for name in names}


class ConvPair(AbstractConvolutionalPair):
    """4 × 4 convolutions of stride 2, then dense layers; and back (Radford et al. 2016).

    Attributes:
        channels: Of each convolution's output, from the image on.
        dense: The widths of the dense layers between the convolutions and the latent.
        patch: The side of the squares of a large image that a first convolution makes one pixel of.
    """

    name: ClassVar[str] = "conv"

    activation: str = eqx.field(static=True, default="relu")
    compute_dtype: str | None = eqx.field(static=True, default=None)
    channels: tuple[int, ...] = eqx.field(static=True, default=(32, 64))
    dense: tuple[int, ...] = eqx.field(static=True, default=(256,))
    patch: int | None = eqx.field(static=True, default=None)
    blocks: ClassVar[int] = 0  # pyright: ignore[reportIncompatibleVariableOverride]


class ResNetPair(AbstractConvolutionalPair):
    """The convolutions of conv, with residual blocks after each (He et al. 2016).

    Attributes:
        channels: Of each convolution's output, from the image on.
        dense: The widths of the dense layers between the convolutions and the latent.
        blocks: How many residual blocks follow each convolution.
        patch: The side of the squares of a large image that a first convolution makes one pixel of.
    """

    name: ClassVar[str] = "resnet"

    activation: str = eqx.field(static=True, default="relu")
    compute_dtype: str | None = eqx.field(static=True, default=None)
    channels: tuple[int, ...] = eqx.field(static=True, default=(32, 64))
    dense: tuple[int, ...] = eqx.field(static=True, default=(256,))
    blocks: int = eqx.field(static=True, default=1)
    patch: int | None = eqx.field(static=True, default=None)
