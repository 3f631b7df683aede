"""From the stored datum to the numbers that the likelihood is of, inside the compiled step."""

from typing import Literal

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray


class Preprocessing(eqx.Module):
    """Scales one stored datum and, when it is given a key, draws a binary one from it.

    Bytes stay bytes on the device (a quarter of the memory and of the traffic) and become floats
    here.

    Attributes:
        scale: What a stored value is multiplied by: 1/255 for bytes that are grey levels.
        binarize: "dynamic" draws each element anew, 1 with the probability that its grey level
            says, every time that the datum is looked at (Salakhutdinov & Murray 2008); "none"
            leaves the grey levels.
    """

    scale: float = eqx.field(static=True, default=1.0)
    binarize: Literal["none", "dynamic"] = eqx.field(static=True, default="none")

    def __check_init__(self) -> None:
        if self.binarize not in ("none", "dynamic"):
            raise ValueError(f"binarize is {self.binarize!r}; it can be 'none' or 'dynamic'")

    def __call__(self, stored: Array, key: PRNGKeyArray | None = None) -> Float[Array, "..."]:
        """One datum as floats; the grey levels themselves when there is no key to draw with."""
        dtype = jax.dtypes.canonicalize_dtype(float)
        # Flattened: XLA's CPU loops over a last axis of one channel are not vectorised.
        x = stored.ravel().astype(dtype)
        if self.scale != 1.0:
            x = x * self.scale
        if self.binarize == "dynamic" and key is not None:
            x = jax.random.bernoulli(key, x).astype(dtype)
        return x.reshape(stored.shape)
