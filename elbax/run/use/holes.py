"""Which cells of a new row are missing: a model of the training table's holes given their rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from elbax import evaluate
from elbax.util.keys import of_seed

if TYPE_CHECKING:
    from elbax.data import Column
    from elbax.run.run import Run

_ROWS = 20_000  # of the training table that the model is fitted to, at most


def draw(run: Run, columns: Sequence[Column], x: np.ndarray, *, seed: int) -> np.ndarray:
    """Whether each cell of rows without holes is to be missing, as cells of the training rows are.

    Column after column a logistic regression of "missing" on the row, its holes filled with their
    reconstructions, and on what is missing of the columns before (a classifier chain, Read et al.
    2011). It follows holes that depend on other cells and holes that come together; that a cell is
    missing because of its own value no table shows. A run that was trained with a mechanism
    (--missing) has its holes by that.

    Args:
        run: A run on a table.
        columns: What its columns are.
        x: (n, d) modelled numbers.
        seed: Of the draws.

    Returns:
        (n, d) bool.

    Raises:
        ValueError: No cell of the training rows is missing.
    """
    from sklearn.linear_model import LogisticRegression

    rows = run.dataset.train.x[:_ROWS]
    missing, unknown = run.dataset.missing("train")[:_ROWS], np.isnan(rows)
    if not missing.any():
        raise ValueError(
            "with_missing (--with-missing) draws holes as the training rows have them, and "
            f"{run.path} was trained on a table without any: leave it out"
        )
    rng = np.random.default_rng(seed)
    if run.model.mechanism is not None:
        chance = jax.vmap(run.model.mechanism.probability)(jnp.asarray(x))
        return rng.random(x.shape) < np.asarray(chance)
    _, reconstructed = evaluate.reconstruct(run.model, rows, of_seed(seed, "holes"))
    seen, new = (_features(columns, a) for a in (np.where(unknown, reconstructed, rows), x))
    found = np.zeros(x.shape, bool)
    for j in range(len(columns)):
        share = missing[:, j].mean()
        if share in (0.0, 1.0):
            found[:, j] = share == 1.0
            continue
        fitted = LogisticRegression(max_iter=500)
        fitted.fit(np.hstack([seen, missing[:, :j]]), missing[:, j])
        probability = fitted.predict_proba(np.hstack([new, found[:, :j]]))[:, 1]
        found[:, j] = rng.random(len(x)) < probability
    return found


def _features(columns: Sequence[Column], x: np.ndarray) -> np.ndarray:
    """Numbers of a like size: counts by their logarithms, categories as 0 and 1."""
    parts = []
    for column, cells in zip(columns, x.T, strict=True):
        if column.kind == "categorical":
            parts.append(np.eye(len(column.categories))[np.rint(cells).astype(int)])
        elif column.kind in ("count", "poisson", "positive"):
            parts.append(np.log1p(np.maximum(cells, 0.0))[:, None])
        else:
            parts.append(cells[:, None])
    return np.hstack(parts)
