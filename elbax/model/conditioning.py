"""A conditional model that has been told its condition: a model of x alone."""

from typing import Any

import equinox as eqx
from jaxtyping import Array

from elbax.model.interfaces import AbstractDecoder, AbstractEncoder, AbstractPrior, Latent
from elbax.model.latent_variable_model import LatentVariableModel


class ToldEncoder(AbstractEncoder):
    """An encoder with its condition.

    Attributes:
        encoder: The encoder.
        condition: What it is told.
    """

    encoder: AbstractEncoder
    condition: Array

    def __call__(self, x: Array, condition: Array | None = None) -> Any:
        """Gives q(z|x, c); another condition is not looked at."""
        del condition
        return self.encoder(x, self.condition)


class ToldDecoder(AbstractDecoder):
    """A decoder with its condition.

    Attributes:
        decoder: The decoder.
        condition: What it is told.
    """

    decoder: AbstractDecoder
    condition: Array

    def __call__(self, z: Latent, condition: Array | None = None) -> Any:
        """Gives p(x|z, c); another condition is not looked at."""
        del condition
        return self.decoder(z, self.condition)


class ToldPrior(AbstractPrior):
    """A prior with its condition.

    Attributes:
        prior: The prior.
        condition: What it is told.
        latent_dim: The number of dimensions of z.
    """

    prior: AbstractPrior
    condition: Array
    latent_dim: int = eqx.field(static=True)

    def __call__(self, encoder: AbstractEncoder, condition: Array | None = None) -> Any:
        """Gives p(z|c); another condition is not looked at."""
        del condition
        return self.prior(encoder, self.condition)


def told(model: LatentVariableModel, condition: Array) -> LatentVariableModel:
    """The model given a condition: whatever speaks of x alone speaks of x given c.

    Args:
        model: A model whose networks take a condition.
        condition: The condition of one datum.
    """
    return LatentVariableModel(
        prior=ToldPrior(prior=model.prior, condition=condition, latent_dim=model.prior.latent_dim),
        encoder=ToldEncoder(model.encoder, condition),
        decoder=ToldDecoder(model.decoder, condition),
        preprocessing=model.preprocessing,
    )
