"""Families of q(z|x)."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, Float

from elbax.model.interfaces import AbstractPosterior


class DiagonalNormal(AbstractPosterior):
    """q(z|x) = N(μ, diag σ²) (Kingma & Welling 2013, eq. 9).

    The network gives the means, then the log-variances (the summary's `log_sigma` is a log-variance
    too).

    Attributes:
        latent_dim: The number of dimensions of z.
    """

    latent_dim: int = eqx.field(static=True)

    @property
    def parameter_count(self) -> int:
        """Two numbers a latent."""
        return 2 * self.latent_dim

    def __call__(self, parameters: Float[Array, " parameters"]) -> dist.Distribution:
        """N(μ, diag exp(log-variance)) from `(2 · latent_dim,)` numbers."""
        mean, log_variance = jnp.split(parameters, 2)
        return dist.Normal(mean, jnp.exp(0.5 * log_variance)).to_event(1)


class FullNormal(AbstractPosterior):
    """q(z|x) = N(μ, Σ) with any covariance, Σ = L Lᵀ by its Cholesky factor L.

    The network gives the means, then the logarithms of the squared diagonal of L (the
    log-variances, when the rest is zero), then the entries of L below the diagonal, row by row.

    Attributes:
        latent_dim: The number of dimensions of z.
    """

    latent_dim: int = eqx.field(static=True)

    @property
    def parameter_count(self) -> int:
        """D means, d for the diagonal of L, d (d − 1) / 2 below it."""
        return 2 * self.latent_dim + self.latent_dim * (self.latent_dim - 1) // 2

    def __call__(self, parameters: Float[Array, " parameters"]) -> dist.Distribution:
        """N(μ, L Lᵀ) from `(parameter_count,)` numbers."""
        d = self.latent_dim
        mean, log_variance, below = jnp.split(parameters, (d, 2 * d))
        cholesky = jnp.diag(jnp.exp(0.5 * log_variance)).at[np.tril_indices(d, -1)].set(below)
        return dist.MultivariateNormal(mean, scale_tril=cholesky)
