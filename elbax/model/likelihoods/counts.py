"""Families over counts: whole numbers from 0 on."""

import math
from typing import ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, Float, PRNGKeyArray

from elbax.model.interfaces import AbstractLikelihood
from elbax.model.likelihoods.special import log_rising_factorial
from elbax.model.support import COUNTS


class Poisson(AbstractLikelihood):
    """Each element is a count, Poisson with the rate that the network says (Poisson 1837).

    The network gives the logarithm of the rate, and not the rate through a softplus: counts of
    thousands are then almost as near to the start as counts of one. A mass is at most one, so there
    is no floor.
    """

    name: ClassVar[str] = "poisson"
    discrete: ClassVar[bool] = True
    support = COUNTS
    shape: tuple[int, ...] = eqx.field(static=True)

    @property
    def parameter_count(self) -> int:
        """One log-rate an element."""
        return math.prod(self.shape)

    def __call__(self, parameters: Float[Array, " parameters"]) -> "LogRatePoisson":
        """Poisson variables from one log-rate an element."""
        return LogRatePoisson(parameters.reshape(self.shape))


class NegativeBinomial(AbstractLikelihood):
    """Each element is an overdispersed count of mean μ and variance μ + μ²/θ (Lopez et al. 2018).

    As in scVI, without its library size. The network gives log μ; the inverse dispersion θ is
    learned, one for each element ("gene"), or given by the network too. It goes to the Poisson
    variable as θ grows. A mass is at most one, so there is no floor.

    Attributes:
        log_concentration: log θ; None where the network gives it.
    """

    name: ClassVar[str] = "negative-binomial"
    discrete: ClassVar[bool] = True
    support = COUNTS
    shape: tuple[int, ...] = eqx.field(static=True)
    log_concentration: Float[Array, "..."] | None

    def __init__(
        self, shape: tuple[int, ...], dispersion: Literal["element", "predicted"] = "element"
    ) -> None:
        """Makes the family.

        Args:
            shape: The shape of one datum.
            dispersion: "element" learns one θ for each element, from 1; "predicted" lets the
                network say one for each.

        Raises:
            ValueError: The dispersion is neither of these.
        """
        if dispersion not in ("element", "predicted"):
            raise ValueError(f"dispersion is {dispersion!r}; it can be 'element' or 'predicted'")
        self.shape = shape
        self.log_concentration = jnp.zeros(shape) if dispersion == "element" else None

    @property
    def parameter_count(self) -> int:
        """One log μ an element; and one log θ an element, where it is predicted."""
        return math.prod(self.shape) * (2 if self.log_concentration is None else 1)

    def __call__(self, parameters: Float[Array, " parameters"]) -> "MeanNegativeBinomial":
        """Negative binomial variables from log μ (and log θ, where it is predicted)."""
        if self.log_concentration is not None:
            return MeanNegativeBinomial(parameters.reshape(self.shape), self.log_concentration)
        log_mean, log_concentration = parameters.reshape(2, *self.shape)
        return MeanNegativeBinomial(log_mean, log_concentration)


class LogRatePoisson(eqx.Module):
    """Poisson variables by their log-rates.

    (numpyro's takes the rate: its gradient is NaN where that underflows.)

    Attributes:
        log_rate: The logarithm of the rate.
    """

    log_rate: Float[Array, "..."]

    def sample(self, key: PRNGKeyArray) -> Float[Array, "..."]:
        """A draw, as floats."""
        return jax.random.poisson(key, self.mean).astype(self.log_rate.dtype)

    def log_prob(self, value: Array) -> Float[Array, "..."]:
        """The log-mass in nats, elementwise."""
        return value * self.log_rate - jnp.exp(self.log_rate) - gammaln(value + 1.0)

    @property
    def mean(self) -> Float[Array, "..."]:
        """The rate."""
        return jnp.exp(self.log_rate)

    @property
    def variance(self) -> Float[Array, "..."]:
        """The rate."""
        return jnp.exp(self.log_rate)


class MeanNegativeBinomial(eqx.Module):
    """Negative binomial variables by mean μ and inverse dispersion θ.

    log p(x) = log Γ(x + θ) − log Γ(θ) − log x! + θ log(θ/(θ + μ)) + x log(μ/(θ + μ)).

    Attributes:
        log_mean: log μ.
        log_concentration: log θ.
    """

    log_mean: Float[Array, "..."]
    log_concentration: Float[Array, "..."]

    def sample(self, key: PRNGKeyArray) -> Float[Array, "..."]:
        """A draw, as floats: Poisson, with a gamma-distributed rate."""
        rate_key, count_key = jax.random.split(key)
        concentration = jnp.exp(self.log_concentration)
        # In logarithms: at a small concentration most rates underflow.
        log_rate = jax.random.loggamma(rate_key, concentration)
        log_rate = log_rate + self.log_mean - self.log_concentration
        return jax.random.poisson(count_key, jnp.exp(log_rate)).astype(self.log_mean.dtype)

    def log_prob(self, value: Array) -> Float[Array, "..."]:
        """The log-mass in nats, elementwise."""
        odds = self.log_mean - self.log_concentration
        concentration = jnp.exp(self.log_concentration)
        ways = log_rising_factorial(concentration, value) - gammaln(value + 1.0)
        return ways - concentration * jax.nn.softplus(odds) - value * jax.nn.softplus(-odds)

    @property
    def mean(self) -> Float[Array, "..."]:
        """μ."""
        return jnp.exp(self.log_mean)

    @property
    def variance(self) -> Float[Array, "..."]:
        """μ + μ²/θ."""
        return self.mean + jnp.exp(2.0 * self.log_mean - self.log_concentration)
