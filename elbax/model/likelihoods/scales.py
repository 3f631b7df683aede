"""The scale of a location-scale family: fixed, learned or predicted, and never below a floor."""

import math
from typing import Literal

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from elbax.model.interfaces import AbstractLikelihood

Scale = Literal["shared", "element", "predicted"]
MINIMUM_SCALE = 1e-3


class AbstractLocationScale(AbstractLikelihood):
    """A family with a location that the network gives, and a scale, for each element.

    The scale is `minimum_scale + exp(log_scale)`: a density grows without bound where a constant
    element lets its scale shrink, so the floor is part of the family.

    Attributes:
        log_scale: The logarithm of the scale above the floor: a learned scalar (σ-VAE, Rybkin et
            al. 2021) or one for each element; None where the scale is a fixed number, or where the
            network predicts one an element after the locations.
        fixed_scale: The scale where it is a fixed number, else None.
    """

    shape: tuple[int, ...] = eqx.field(static=True)
    log_scale: Float[Array, "..."] | None
    fixed_scale: float | None = eqx.field(static=True)
    minimum_scale: float = eqx.field(static=True)

    def __init__(
        self,
        shape: tuple[int, ...],
        scale: Scale | float = "shared",
        minimum_scale: float = MINIMUM_SCALE,
    ) -> None:
        """Makes the family.

        Args:
            shape: The shape of one datum.
            scale: A number fixes the scale; "shared" learns one for all elements, from 1; "element"
                learns one for each; "predicted" lets the network say one for each.
            minimum_scale: The floor of a learned or predicted scale.

        Raises:
            ValueError: The scale is neither one of these names nor a positive number.
        """
        self.log_scale, self.fixed_scale = initial_scale(scale, shape)
        self.shape = shape
        self.minimum_scale = minimum_scale

    @property
    def parameter_count(self) -> int:
        """One location an element; and one log-scale an element, where the scale is predicted."""
        predicted = self.log_scale is None and self.fixed_scale is None
        return math.prod(self.shape) * (2 if predicted else 1)

    def location_and_scale(
        self, parameters: Float[Array, " parameters"]
    ) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        """Both, in the shape of the datum: the locations come first, then predicted log-scales.

        The scale is `minimum_scale + exp(log_scale)`: its gradient never vanishes, as a clipped
        one's does.
        """
        location, log_scale = parameters, self.log_scale
        if self.fixed_scale is None and log_scale is None:
            location, predicted = jnp.split(parameters, 2)
            log_scale = predicted.reshape(self.shape)
        if log_scale is None:
            scale = jnp.asarray(self.fixed_scale)
        else:
            scale = self.minimum_scale + jnp.exp(log_scale)
        return location.reshape(self.shape), jnp.broadcast_to(scale, self.shape)


def initial_scale(
    scale: Scale | float, shape: tuple[int, ...]
) -> tuple[Float[Array, "..."] | None, float | None]:
    """The learned log-scale and the fixed scale: one of them is None, both where it is predicted.

    Args:
        scale: A positive number fixes the scale; "shared" learns one for all elements, "element"
            one for each; "predicted" is left to the network.
        shape: The shape of one datum.

    Raises:
        ValueError: The scale is neither one of these names nor a positive number.
    """
    if isinstance(scale, str):
        if scale not in ("shared", "element", "predicted"):
            raise ValueError(
                f"scale is {scale!r}; it can be 'shared', 'element', 'predicted' or a positive "
                "number"
            )
        if scale == "predicted":
            return None, None
        return jnp.zeros(() if scale == "shared" else shape), None
    if not scale > 0:
        raise ValueError(f"scale is {scale}; a fixed scale must be positive")
    return None, float(scale)
