"""Families over numbers from 0 to 1: probabilities of binary elements, and a density."""

import math
from collections.abc import Callable
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from elbax.model.distributions.basic import GreyBernoulli
from elbax.model.interfaces import AbstractLikelihood
from elbax.model.likelihoods.special import log_sinhc
from elbax.model.support import UNIT_INTERVAL


class Bernoulli(AbstractLikelihood):
    """Each element is 1 with the probability that the network says (Kingma & Welling 2013, eq. 11).

    Grey levels in [0, 1] are taken as probabilities; `GreyBernoulli` says what the bound then
    means.
    """

    name: ClassVar[str] = "bernoulli"
    discrete: ClassVar[bool] = True
    support = UNIT_INTERVAL
    shape: tuple[int, ...] = eqx.field(static=True)

    @property
    def parameter_count(self) -> int:
        """One logit an element."""
        return math.prod(self.shape)

    def __call__(self, parameters: Float[Array, " parameters"]) -> GreyBernoulli:
        """Bernoulli variables from one logit an element."""
        return GreyBernoulli(parameters.reshape(self.shape))


class ContinuousBernoulli(AbstractLikelihood):
    """Each element has an exponential density on [0, 1] (Loaiza-Ganem & Cunningham 2019).

    It is λˣ (1 − λ)¹⁻ˣ, the summary's loss, divided by its integral, which the Bernoulli likelihood
    leaves out on grey levels. It is bounded by the size of the logit: no floor is needed.
    """

    name: ClassVar[str] = "continuous-bernoulli"
    discrete: ClassVar[bool] = False
    support = UNIT_INTERVAL
    shape: tuple[int, ...] = eqx.field(static=True)

    @property
    def parameter_count(self) -> int:
        """One logit an element, log λ − log(1 − λ)."""
        return math.prod(self.shape)

    def __call__(self, parameters: Float[Array, " parameters"]) -> "TiltedUniform":
        """Continuous Bernoulli variables from one logit an element."""
        return TiltedUniform(parameters.reshape(self.shape))


class TiltedUniform(eqx.Module):
    """Densities on [0, 1] proportional to e^(l x): continuous Bernoulli variables of logit l.

    The integral of e^(l x) is (eˡ − 1)/l = e^(l/2) sinh(l/2)/(l/2), so that near λ = 1/2, where the
    paper's normaliser is 0/0, one even Taylor series serves.

    Attributes:
        logits: l.
    """

    logits: Float[Array, "..."]

    def sample(self, key: PRNGKeyArray) -> Float[Array, "..."]:
        """A draw, by the inverse of the distribution function."""
        steep = -jnp.abs(self.logits)  # a falling density; a rising one is its mirror image
        flat = steep > -1e-3
        u = jax.random.uniform(key, self.logits.shape, self.logits.dtype)
        safe = jnp.where(flat, -1.0, steep)
        x = jnp.where(flat, u + 0.5 * steep * u * (1.0 - u), jnp.log1p(u * jnp.expm1(safe)) / safe)
        return jnp.clip(jnp.where(self.logits > 0, 1.0 - x, x), 0.0, 1.0)

    def log_prob(self, value: Array) -> Float[Array, "..."]:
        """The log-density in nats, elementwise."""
        half = 0.5 * self.logits
        return half * (2.0 * value - 1.0) - log_sinhc(half)

    @property
    def mean(self) -> Float[Array, "..."]:
        """½ + ½ d log(sinh u / u)/du at u = l/2: the log-normaliser's derivative."""
        return 0.5 + 0.5 * _derivative(log_sinhc)(0.5 * self.logits)

    @property
    def variance(self) -> Float[Array, "..."]:
        """The log-normaliser's second derivative."""
        return 0.25 * _derivative(_derivative(log_sinhc))(0.5 * self.logits)


def _derivative(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
    return lambda x: jax.jvp(function, (x,), (jnp.ones_like(x),))[1]
