"""The scale of a location-scale family: fixed, learned or predicted, and never below a floor."""

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

Scale = Literal["shared", "element", "predicted"]
MINIMUM_SCALE = 1e-3


def initial_scale(
    scale: Scale | float, shape: tuple[int, ...]
) -> tuple[Float[Array, "..."] | None, float | None]:
    """The learned log-scale and the fixed scale: one of them is None, both where it is predicted.

    Args:
        scale: A positive number fixes the scale; "shared" learns one for all elements, "element"
            one for each; "predicted" is left to the network.
        shape: The shape of one datum.

    Raises:
        ValueError: The scale is neither of the words nor a positive number.
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


def location_and_scale(
    parameters: Float[Array, " parameters"],
    shape: tuple[int, ...],
    log_scale: Float[Array, "..."] | None,
    fixed_scale: float | None,
    minimum_scale: float,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Both, in the shape of the datum: the locations come first, then predicted log-scales.

    The scale is `minimum_scale + exp(log_scale)`: its gradient never vanishes, as a clipped one's
    does.
    """
    if fixed_scale is not None:
        location, scale = parameters, jnp.asarray(fixed_scale)
    elif log_scale is not None:
        location, scale = parameters, minimum_scale + jnp.exp(log_scale)
    else:
        location, predicted = jnp.split(parameters, 2)
        scale = (minimum_scale + jnp.exp(predicted)).reshape(shape)
    return location.reshape(shape), jnp.broadcast_to(scale, shape)
