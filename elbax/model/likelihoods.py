"""Families of p(x|z), elementwise: the distribution's batch shape is the datum's shape."""

import math
from typing import Literal

import equinox as eqx
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, Float

from elbax.model.distributions import GreyBernoulli
from elbax.model.interfaces import AbstractLikelihood


class Bernoulli(AbstractLikelihood):
    """Each element is 1 with the probability that the network says (Kingma & Welling 2013, eq. 11).

    Grey levels in [0, 1] are taken as probabilities; `GreyBernoulli` says what the bound then
    means.

    Attributes:
        shape: The shape of one datum.
    """

    shape: tuple[int, ...] = eqx.field(static=True)

    @property
    def parameter_count(self) -> int:
        """One logit an element."""
        return math.prod(self.shape)

    def __call__(self, parameters: Float[Array, " parameters"]) -> GreyBernoulli:
        """Bernoulli variables from one logit an element."""
        return GreyBernoulli(parameters.reshape(self.shape))


class Normal(AbstractLikelihood):
    """Each element is normal around the mean that the network says (Kingma & Welling 2013, eq. 12).

    The scale is `minimum_scale + exp(log_scale)`: a density grows without bound where a constant
    element lets its scale shrink, so the floor is part of the family.

    Attributes:
        shape: The shape of one datum.
        log_scale: The logarithm of the shared scale above the floor: a learned scalar (σ-VAE,
            Rybkin et al. 2021), a fixed number, or None where the network predicts one scale an
            element after the means.
        minimum_scale: The floor.
    """

    shape: tuple[int, ...] = eqx.field(static=True)
    log_scale: Float[Array, ""] | None
    fixed_scale: float | None = eqx.field(static=True)
    minimum_scale: float = eqx.field(static=True)

    def __init__(
        self,
        shape: tuple[int, ...],
        scale: Literal["shared", "predicted"] | float = "shared",
        minimum_scale: float = 1e-3,
    ) -> None:
        """Makes the family.

        Args:
            shape: The shape of one datum.
            scale: A number fixes the scale; "shared" learns one for all elements, from 1;
                "predicted" lets the network say one for each element.
            minimum_scale: The floor of a learned or predicted scale.

        Raises:
            ValueError: The scale is neither of the words nor a positive number.
        """
        if isinstance(scale, str):
            if scale not in ("shared", "predicted"):
                raise ValueError(
                    f"scale is {scale!r}; it can be 'shared', 'predicted' or a positive number"
                )
        elif not scale > 0:
            raise ValueError(f"scale is {scale}; a fixed scale must be positive")
        self.shape = shape
        self.log_scale = jnp.zeros(()) if scale == "shared" else None
        self.fixed_scale = None if isinstance(scale, str) else float(scale)
        self.minimum_scale = minimum_scale

    @property
    def parameter_count(self) -> int:
        """One mean an element; and one log-scale an element, where the scale is predicted."""
        predicted = self.log_scale is None and self.fixed_scale is None
        return math.prod(self.shape) * (2 if predicted else 1)

    def __call__(self, parameters: Float[Array, " parameters"]) -> dist.Distribution:
        """Normal variables from the means (and the log-scales, where they are predicted)."""
        if self.fixed_scale is not None:
            mean, scale = parameters, jnp.asarray(self.fixed_scale)
        elif self.log_scale is not None:
            mean, scale = parameters, self.minimum_scale + jnp.exp(self.log_scale)
        else:
            mean, log_scale = jnp.split(parameters, 2)
            scale = (self.minimum_scale + jnp.exp(log_scale)).reshape(self.shape)
        return dist.Normal(mean.reshape(self.shape), jnp.broadcast_to(scale, self.shape))
