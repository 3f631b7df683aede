"""A conditional model at one condition: a model of x alone."""

from typing import Any

import equinox as eqx
from jaxtyping import Array

from elbax.model.interfaces import AbstractDecoder, AbstractEncoder, AbstractPrior
from elbax.model.latent_variable_model import LatentVariableModel


class Conditioned(AbstractPrior, AbstractEncoder, AbstractDecoder):
    """A prior, an encoder or a decoder at a condition, which stands in for any other.

    Attributes:
        part: The prior, encoder or decoder.
        condition: What it is conditioned on.
    """

    part: AbstractPrior | AbstractEncoder | AbstractDecoder
    condition: Array
    latent_dim: int = eqx.field(static=True)

    def __call__(self, argument: Any, condition: Array | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """p(z|c) of the encoder, q(z|x, c) of x, or p(x|z, c) of z."""
        del condition
        return self.part(argument, self.condition)


def at_condition(model: LatentVariableModel, condition: Array) -> LatentVariableModel:
    """The model at a condition: what was p(x|c) is then p(x).

    Args:
        model: A model whose networks take a condition.
        condition: The condition of one datum.
    """

    def conditioned(part: AbstractPrior | AbstractEncoder | AbstractDecoder) -> Conditioned:
        return Conditioned(part=part, condition=condition, latent_dim=model.latent_dim)

    return LatentVariableModel(
        prior=conditioned(model.prior),
        encoder=conditioned(model.encoder),
        decoder=conditioned(model.decoder),
        preprocessing=model.preprocessing,
    )
