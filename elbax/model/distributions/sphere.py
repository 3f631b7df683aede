"""Distributions on the sphere of vectors of length one.

They are written for the ambient space: a draw has d numbers and lies on the sphere of dimension
d − 1; densities are with respect to its surface.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import digamma, gammaln
from jaxtyping import Array, Float, PRNGKeyArray, Scalar


class UniformSphere(eqx.Module):
    """The uniform distribution on the sphere in d dimensions.

    Attributes:
        dim: d, of the ambient space.
    """

    dim: int = eqx.field(static=True)

    def sample(self, key: PRNGKeyArray) -> Float[Array, " ambient"]:
        """One draw."""
        return unit(jax.random.normal(key, (self.dim,)))

    def log_prob(self, value: Float[Array, " ambient"]) -> Scalar:
        """Minus the logarithm of the surface, wherever on the sphere `value` is."""
        del value
        return jnp.asarray(-log_surface(self.dim))


class PowerSphericalDistribution(eqx.Module):
    """A density proportional to (1 + μᵀz)^κ on the sphere (De Cao & Aziz 2020, §3).

    Its draws need no rejection beyond that of a beta variable, which JAX differentiates
    implicitly, and no Bessel function.

    Attributes:
        direction: μ, of length one.
        concentration: κ > 0.
    """

    direction: Float[Array, " ambient"]
    concentration: Float[Array, ""]

    def sample(self, key: PRNGKeyArray) -> Float[Array, " ambient"]:
        """One draw (algorithm 1)."""
        beta_key, tangent_key = jax.random.split(key)
        above, below = self._shapes()
        # t = 2b − 1 is μᵀz, so √(1 − t²) = 2 √(b (1 − b)); at the ends its derivative is infinite.
        tiny = jnp.finfo(self.direction.dtype).eps
        b = jnp.clip(jax.random.beta(beta_key, above, below), tiny, 1.0 - tiny)
        tangent = unit(jax.random.normal(tangent_key, (self._dim - 1,), self.direction.dtype))
        along_first = jnp.append(2.0 * b - 1.0, 2.0 * jnp.sqrt(b * (1.0 - b)) * tangent)
        # The reflection that takes the first axis to μ.
        first = jnp.zeros_like(self.direction).at[0].set(1.0)
        normal = unit(first - self.direction)
        return along_first - 2.0 * (normal @ along_first) * normal

    def log_prob(self, value: Float[Array, " ambient"]) -> Scalar:
        """The log-density in nats with respect to the surface."""
        return self.concentration * jnp.log1p(self.direction @ value) - self._log_normaliser()

    @property
    def mean(self) -> Float[Array, " ambient"]:
        """μ (α − β) / (α + β): inside the ball, not on the sphere."""
        above, below = self._shapes()
        return self.direction * (above - below) / (above + below)

    @property
    def variance(self) -> Float[Array, " ambient"]:
        """The variance of each coordinate: E t² μ² + E(1 − t²) (1 − μ²) / (d − 1) − mean²."""
        above, below = self._shapes()
        total = above + below
        spread = 4.0 * above * below / (total * (total + 1.0))  # E (1 − t²) = 4 E b (1 − b)
        along = self.direction**2
        return (1.0 - spread) * along + spread * (1.0 - along) / (self._dim - 1) - self.mean**2

    @property
    def location(self) -> Float[Array, " ambient"]:
        """μ: the mode, and on the sphere."""
        return self.direction

    def kl_to_uniform(self) -> Scalar:
        """KL(self ‖ uniform) = log surface − entropy, in nats."""
        above, below = self._shapes()
        expected = math.log(2.0) + digamma(above) - digamma(above + below)  # E log(1 + μᵀz)
        log_normaliser = self._log_normaliser()
        return self.concentration * expected - log_normaliser + log_surface(self._dim)

    @property
    def _dim(self) -> int:
        return self.direction.shape[-1]

    def _shapes(self) -> tuple[Scalar, float]:
        """α and β of the beta variable (1 + μᵀz) / 2."""
        below = (self._dim - 1) / 2
        return self.concentration + below, below

    def _log_normaliser(self) -> Scalar:
        above, below = self._shapes()
        total = above + below
        return total * math.log(2.0) + below * math.log(math.pi) + gammaln(above) - gammaln(total)


def log_surface(dim: int) -> float:
    """Log of the surface of the sphere in `dim` dimensions: 2 π^(d/2) / Γ(d/2)."""
    return math.log(2.0) + dim / 2 * math.log(math.pi) - math.lgamma(dim / 2)


def unit(v: Float[Array, " ambient"]) -> Float[Array, " ambient"]:
    """V / ‖v‖, and zeros for zeros (with a gradient of zero there)."""
    square = v @ v
    return jnp.where(square > 0, v / jnp.sqrt(jnp.where(square > 0, square, 1.0)), 0.0)
