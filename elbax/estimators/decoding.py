"""From latents to rows: means of p(x|z), and draws."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from elbax.evaluate import map_rows
from elbax.model.latent_variable_model import LatentVariableModel


def expected(model: LatentVariableModel, latents: np.ndarray, kinds: tuple[str, ...]) -> np.ndarray:
    """The mean of p(x|z) at each latent; of a categorical column the most probable code."""
    mean, typical = map_rows(_both, model, latents, jax.random.key(0))  # nothing is drawn
    return np.where([kind.startswith("categorical") for kind in kinds], typical, mean)


def drawn(model: LatentVariableModel, count: int, seed: int) -> np.ndarray:
    """Draws from the model."""
    return map_rows(_draw, model, np.zeros(count, np.uint8), jax.random.key(seed))


def _both(model: LatentVariableModel, z: Any, _: jax.Array) -> tuple[jax.Array, jax.Array]:
    p = model.decode(z)
    return jnp.asarray(p.mean), jnp.asarray(p.typical)


def _draw(model: LatentVariableModel, _: Any, key: jax.Array) -> jax.Array:
    latent, cells = jax.random.split(key)
    return model.decode(model.prior_distribution().sample(latent)).sample(cells)
