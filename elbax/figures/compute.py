"""The model's answers for many rows, and the places in the latent space that the maps look at.

Each answer is a function of one datum that `elbax.evaluate.map_rows` compiles once and applies in
tiles: a figure of 100 rows and one of 10,000 share a program, and memory stays modest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import numpy as np
from scipy.stats import norm

from elbax.evaluate import map_rows
from elbax.evaluate.tiles import Conditioned, Rows
from elbax.model.distributions.basic import location
from elbax.run.labels import to_draw

if TYPE_CHECKING:
    from elbax.model import LatentVariableModel

ACTIVITY_ROWS = 2000  # rows from which the latents' activity is judged


def preprocessed(model: LatentVariableModel, raw: Rows) -> np.ndarray:
    """Stored rows as the likelihood's mean would show them: scaled, not binarised; (n, *shape)."""
    return map_rows(_preprocess_one, model, raw, jax.random.key(0))


def reconstruct(
    model: LatentVariableModel, raw: Rows, key: jax.Array
) -> tuple[np.ndarray, np.ndarray]:
    """Each row as the encoder saw it, and the mean of p(x|z) at z = the centre of q(z|x).

    Both are (n, *shape). Under dynamic binarisation the encoder sees a binarised row.
    """
    return map_rows(_reconstruct_one, model, raw, key)


def decode(model: LatentVariableModel, z: Rows) -> np.ndarray:
    """The mean of p(x|z) at each z (n, latent_dim); (n, *shape)."""
    return map_rows(_decode_one, model, z, jax.random.key(0))


def same_condition(rows: Rows, z: np.ndarray) -> Rows:
    """Latents (…, latent_dim) as rows, under the conditions of as many rows if these have any."""
    flat = z.reshape(-1, z.shape[-1]).astype(np.float32)
    return Conditioned(flat, rows.condition) if isinstance(rows, Conditioned) else flat


def generate(
    model: LatentVariableModel, count: int, key: jax.Array
) -> tuple[np.ndarray, np.ndarray]:
    """At `count` draws z from the prior, the mean of p(x|z) and a draw from it; (count, *shape).

    A model that is told labels is told one after the other.
    """
    return map_rows(_generate_one, model, to_draw(model, count), key)


def _preprocess_one(model: LatentVariableModel, raw: jax.Array, key: jax.Array) -> jax.Array:  # noqa: ARG001
    return model.preprocessing(raw)


def _reconstruct_one(
    model: LatentVariableModel, raw: jax.Array, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x = model.preprocessing(raw, key)
    return x, model.decode(location(model.encode(x))).mean


def _decode_one(model: LatentVariableModel, z: jax.Array, key: jax.Array) -> jax.Array:  # noqa: ARG001
    return model.decode(z).mean


def _generate_one(
    model: LatentVariableModel,
    row: jax.Array,  # noqa: ARG001
    key: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    latent_key, draw_key = jax.random.split(key)
    likelihood = model.decode(model.prior_distribution().sample(latent_key))
    return likelihood.mean, likelihood.sample(draw_key)


def most_active(means: np.ndarray, count: int = 2) -> np.ndarray:
    """The `count` latents whose posterior mean varies most over the data, most active first.

    Burda, Grosse & Salakhutdinov (2015, §5.2) measure a latent's activity so. Ties go to the lower
    index.

    Args:
        means: posterior means, (n, latent_dim).
        count: how many to return; all of them where there are fewer.
    """
    activity = np.var(np.asarray(means, dtype=np.float64), axis=0)
    return np.argsort(-activity, kind="stable")[:count]


def gaussian_quantiles(count: int) -> np.ndarray:
    """The standard normal's quantiles at the middles of `count` equal slices of probability."""
    return norm.ppf((np.arange(count) + 0.5) / count)


def quantile_grid(axes: np.ndarray, latents: int, count: int) -> np.ndarray:
    """Latent points on a grid of Gaussian quantiles, the other latents at 0.

    Args:
        axes: one or two indices of latents: along columns, then along rows.
        latents: the number of latents.
        count: points along an axis.

    Returns:
        (1, count, latents) for one axis, (count, count, latents) for two; row r and column c hold
        quantile r of the second axis' latent and quantile c of the first's.
    """
    quantiles = gaussian_quantiles(count)
    rows = 1 if len(axes) == 1 else count
    grid = np.zeros((rows, count, latents))
    grid[:, :, axes[0]] = quantiles[None, :]
    if len(axes) == 2:
        grid[:, :, axes[1]] = quantiles[:, None]
    return grid
