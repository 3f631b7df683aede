"""Families of p(z)."""

import equinox as eqx
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array

from elbax.model.interfaces import AbstractEncoder, AbstractPrior


class StandardNormal(AbstractPrior):
    """p(z) = N(0, I) (Kingma & Welling 2013, §3).

    Attributes:
        latent_dim: The number of dimensions of z.
    """

    latent_dim: int = eqx.field(static=True)

    def __call__(
        self, encoder: AbstractEncoder | None = None, condition: Array | None = None
    ) -> dist.Distribution:
        """N(0, I), whatever the encoder and the condition are."""
        del encoder, condition
        return dist.Normal(jnp.zeros(self.latent_dim), jnp.ones(self.latent_dim)).to_event(1)
