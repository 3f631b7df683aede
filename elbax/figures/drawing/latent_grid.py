"""Places in the latent space: which latents are shown, and the grid that is laid over them."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from elbax.evaluate.tiles import Conditioned, Rows

ACTIVITY_ROWS = 2000  # rows from which the latents' activity is judged


def same_condition(rows: Rows, z: np.ndarray) -> Rows:
    """Latents (…, latent_dim) as rows, under the conditions of as many rows if these have any."""
    flat = z.reshape(-1, z.shape[-1]).astype(np.float32)
    return Conditioned(flat, rows.condition) if isinstance(rows, Conditioned) else flat


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
    return ndtri((np.arange(count) + 0.5) / count)


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
