"""A network over images, or vectors of one scale, of which elements were not observed."""

import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array


class HoledNetwork(eqx.Module):
    """A network that sees a datum with holes: a 0 in each, and beside it what was observed.

    Zeros stand for what is missing as in Mattei & Frellsen 2019 (§3.1), and the pattern is an
    input of its own, as further channels: with zeros alone a dark pixel and a hole are the same.

    Attributes:
        shape: Of one datum, (d,) or (h, w, c).
        network: Any network of a datum of `seen_shape`.
    """

    shape: tuple[int, ...] = eqx.field(static=True)
    network: Any

    @staticmethod
    def seen_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of what the inner network sees: the last axis twice as long."""
        return (*shape[:-1], 2 * shape[-1])

    def __call__(self, x: Array) -> Array:
        """One datum, NaN where it was not observed; flattened, a condition may follow it."""
        flat, size = x.ravel(), math.prod(self.shape)
        datum = flat[:size].reshape(self.shape)
        observed = ~jnp.isnan(datum)
        seen = [jnp.where(observed, datum, 0.0), observed.astype(x.dtype)]
        both = jnp.concatenate(seen, axis=-1)
        if flat.size == size:
            return self.network(both)
        return self.network(jnp.concatenate([both.ravel(), flat[size:]]))
