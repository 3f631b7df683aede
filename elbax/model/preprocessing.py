"""From the stored datum to the numbers that the likelihood is of, inside the compiled step."""

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray


class Preprocessing(eqx.Module):
    """Scales one stored datum and, when it is given a key, draws a binary one from it.

    Bytes stay bytes on the device (a quarter of the memory and of the traffic) and become floats
    here.

    Attributes:
        scale: What a stored value is multiplied by: 1/255 for bytes that are grey levels, one over
            the standard deviation of real values.
        shift: What is taken off it before: the mean of real values.
        log_jacobian: Log |d modelled number / d number in the data's own units| of each element, or
            one for all; empty where nothing is scaled, or the likelihood is a mass.
        binarize: "dynamic" draws each element anew, 1 with the probability that its grey level
            says, every time that the datum is looked at (Salakhutdinov & Murray 2008); "none"
            leaves the grey levels.
    """

    scale: float = eqx.field(static=True, default=1.0)
    binarize: Literal["none", "dynamic"] = eqx.field(static=True, default="none")
    shift: float = eqx.field(static=True, default=0.0)
    log_jacobian: tuple[float, ...] = eqx.field(static=True, default=())

    def __check_init__(self) -> None:
        if self.binarize not in ("none", "dynamic"):
            raise ValueError(f"binarize is {self.binarize!r}; it can be 'none' or 'dynamic'")

    def __call__(self, stored: Array, key: PRNGKeyArray | None = None) -> Float[Array, "..."]:
        """One datum as floats; the grey levels themselves when there is no key to draw with."""
        dtype = jax.dtypes.canonicalize_dtype(float)
        # Flattened: XLA's CPU loops over a last axis of one channel are not vectorised.
        x = stored.ravel().astype(dtype)
        if self.shift != 0.0:
            x = x - self.shift
        if self.scale != 1.0:
            x = x * self.scale
        if self.binarize == "dynamic" and key is not None:
            drawn = jax.random.bernoulli(key, x).astype(dtype)
            whole = not jnp.issubdtype(stored.dtype, jnp.floating)
            x = drawn if whole else jnp.where(jnp.isnan(x), x, drawn)  # a hole stays one
        return x.reshape(stored.shape)

    def in_own_units(self, log_density: Float[Array, "..."]) -> Float[Array, "..."]:
        """The log-density of each element of a datum, in nats, in the data's own units."""
        if not self.log_jacobian:
            return log_density
        each = jnp.asarray(self.log_jacobian, log_density.dtype)
        return log_density + (each[0] if len(each) == 1 else each.reshape(log_density.shape))
