"""Families over real and over positive numbers, by a location and a scale."""

import math
from typing import ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, Float, PRNGKeyArray

from elbax.model.likelihoods.scales import (
    MINIMUM_SCALE,
    AbstractLocationScale,
    Scale,
    initial_scale,
)
from elbax.model.likelihoods.special import log_rising_factorial
from elbax.model.support import POSITIVE, REAL

LEAST_DEGREES_OF_FREEDOM = 2.1  # the variance, ν/(ν − 2) of the squared scale, stays below 21


class Normal(AbstractLocationScale):
    """Each element is normal around the mean that the network says (Kingma & Welling 2013, eq. 12).

    A scale learned for all elements makes it the σ-VAE's (Rybkin et al. 2021).
    """

    name: ClassVar[str] = "normal"
    discrete: ClassVar[bool] = False
    support = REAL

    __init__ = AbstractLocationScale.__init__

    def __call__(self, parameters: Float[Array, " parameters"]) -> dist.Distribution:
        """Normal variables from the means (and the log-scales, where they are predicted)."""
        return dist.Normal(*self.location_and_scale(parameters))


class Laplace(AbstractLocationScale):
    """Each element is Laplace-distributed around what the network says (Laplace 1774).

    log p = −|x − location| / scale − log(2 scale), the absolute error. The location is the
    median, so outliers pull at it less than at a normal's mean.
    """

    name: ClassVar[str] = "laplace"
    discrete: ClassVar[bool] = False
    support = REAL

    __init__ = AbstractLocationScale.__init__

    def __call__(self, parameters: Float[Array, " parameters"]) -> dist.Distribution:
        """Laplace variables from the locations (and the log-scales, where they are predicted)."""
        return dist.Laplace(*self.location_and_scale(parameters))


class StudentT(AbstractLocationScale):
    """Each element is Student-t around what the network says (Takahashi et al. 2018).

    For data with outliers. The degrees of freedom ν are fixed, or one learned number of at least
    `LEAST_DEGREES_OF_FREEDOM`, so that the variance exists; the scale is not the standard
    deviation.

    Attributes:
        log_freedom: The logarithm of ν above its floor, a learned scalar; None where ν is fixed.
        fixed_freedom: ν where it is fixed, else None.
    """

    name: ClassVar[str] = "student-t"
    discrete: ClassVar[bool] = False
    support = REAL
    log_freedom: Float[Array, ""] | None
    fixed_freedom: float | None = eqx.field(static=True)

    def __init__(
        self,
        shape: tuple[int, ...],
        scale: Scale | float = "shared",
        minimum_scale: float = MINIMUM_SCALE,
        degrees_of_freedom: Literal["shared"] | float = "shared",
    ) -> None:
        """Makes the family.

        Args:
            shape: The shape of one datum.
            scale: A number fixes the scale; "shared" learns one for all elements, from 1; "element"
                learns one for each; "predicted" lets the network say one for each.
            minimum_scale: The floor of a learned or predicted scale.
            degrees_of_freedom: A number above 2 fixes them; "shared" learns one for all elements,
                from 10.

        Raises:
            ValueError: The scale is neither one of these names nor a positive number, or the
                degrees of freedom are not above 2.
        """
        self.log_scale, self.fixed_scale = initial_scale(scale, shape)
        self.shape = shape
        self.minimum_scale = minimum_scale
        if degrees_of_freedom == "shared":
            self.log_freedom = jnp.log(10.0 - LEAST_DEGREES_OF_FREEDOM)
            self.fixed_freedom = None
        elif isinstance(degrees_of_freedom, str) or not degrees_of_freedom > 2:
            raise ValueError(
                f"degrees_of_freedom is {degrees_of_freedom!r}; give 'shared' or a number above 2, "
                "so that there is a variance"
            )
        else:
            self.log_freedom = None
            self.fixed_freedom = float(degrees_of_freedom)

    def __call__(self, parameters: Float[Array, " parameters"]) -> "ScaledStudentT":
        """Student-t variables from the locations (and the log-scales, where they are predicted)."""
        location, scale = self.location_and_scale(parameters)
        if self.log_freedom is None:
            freedom = jnp.asarray(self.fixed_freedom)
        else:
            freedom = LEAST_DEGREES_OF_FREEDOM + jnp.exp(self.log_freedom)
        return ScaledStudentT(location, scale, freedom)


class LogNormal(AbstractLocationScale):
    """Each element is positive: its logarithm is normal around what the network says (Galton 1879).

    The scale is that of the logarithm; with its floor the density is bounded by the smallest number
    in the data.
    """

    name: ClassVar[str] = "log-normal"
    discrete: ClassVar[bool] = False
    support = POSITIVE

    __init__ = AbstractLocationScale.__init__

    def __call__(self, parameters: Float[Array, " parameters"]) -> "ExponentiatedNormal":
        """Log-normal variables from the locations (and log-scales) of their logarithms."""
        return ExponentiatedNormal(*self.location_and_scale(parameters))


class ScaledStudentT(eqx.Module):
    """Student-t variables, with a normaliser that keeps its digits at many degrees of freedom.

    (numpyro's is a difference of two log-gammas: in float32, off by 4e-3 nats an element at 10⁴.)

    Attributes:
        location: The centre.
        scale: The scale.
        freedom: The degrees of freedom, one number.
    """

    location: Float[Array, "..."]
    scale: Float[Array, "..."]
    freedom: Float[Array, ""]

    def sample(self, key: PRNGKeyArray) -> Float[Array, "..."]:
        """A draw, by the polar method (Bailey 1994, eq. 4).

        Two uniform numbers are enough; by a gamma variable it takes a loop of rejections.
        """
        shape, dtype = self.location.shape, self.location.dtype
        u = jax.random.uniform(key, (2, *shape), dtype, jnp.finfo(dtype).tiny)
        square = self.freedom * jnp.expm1(-2.0 / self.freedom * jnp.log(u[0]))
        standard = jnp.sqrt(square) * jnp.cos(2.0 * math.pi * u[1])
        return self.location + self.scale * standard.astype(dtype)

    def log_prob(self, value: Array) -> Float[Array, "..."]:
        """The log-density in nats, elementwise."""
        half = 0.5 * self.freedom
        square = jnp.square((value - self.location) / self.scale) / self.freedom
        constant = log_rising_factorial(half, jnp.asarray(0.5)) - 0.5 * jnp.log(
            math.pi * self.freedom
        )
        return constant - jnp.log(self.scale) - (half + 0.5) * jnp.log1p(square)

    @property
    def mean(self) -> Float[Array, "..."]:
        """The location."""
        return self.location

    @property
    def variance(self) -> Float[Array, "..."]:
        """The squared scale times ν/(ν − 2)."""
        return jnp.square(self.scale) * (self.freedom / (self.freedom - 2.0))


class ExponentiatedNormal(eqx.Module):
    """Log-normal variables; outside the positive numbers the density is zero, without a NaN.

    Attributes:
        location: The mean of the logarithm.
        scale: The standard deviation of the logarithm.
    """

    location: Float[Array, "..."]
    scale: Float[Array, "..."]

    def sample(self, key: PRNGKeyArray) -> Float[Array, "..."]:
        """A draw."""
        normal = jax.random.normal(key, self.location.shape, self.location.dtype)
        return jnp.exp(self.location + self.scale * normal)

    def log_prob(self, value: Array) -> Float[Array, "..."]:
        """The log-density in nats, elementwise; a cell filled with 0 has −∞ and no gradient."""
        log_value = jnp.log(jnp.where(value > 0, value, 1.0))
        standard = (log_value - self.location) / self.scale
        density = -0.5 * jnp.square(standard) - jnp.log(self.scale) - 0.5 * math.log(2 * math.pi)
        return jnp.where(value > 0, density - log_value, -jnp.inf)

    @property
    def mean(self) -> Float[Array, "..."]:
        """e^(location + ½ scale²)."""
        return jnp.exp(self.location + 0.5 * jnp.square(self.scale))

    @property
    def variance(self) -> Float[Array, "..."]:
        """(e^(scale²) − 1) times the squared mean."""
        return jnp.expm1(jnp.square(self.scale)) * jnp.square(self.mean)
