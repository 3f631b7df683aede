"""Whole tables of numbers, and cells of them hidden by one of three mechanisms."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit
from sklearn import datasets

# Small ones first: whoever stops has the most tables.
SHIPPED = ("iris", "diabetes", "wine", "breast_cancer")  # by scikit-learn
STATSMODELS = ("heart", "ccard", "anes96", "fair", "star98")
NAMES = ("heart", "ccard", "iris", "diabetes", "wine", "anes96", "fair", "star98", "breast_cancer")
MECHANISMS = ("MCAR", "MAR", "MNAR")
_MOST = 1000  # rows of a table
_SEEN = 0.3  # of the columns, which MAR never hides


def load(name: str, folder: Path | None) -> np.ndarray:
    """The numbers of a table (n, d): rows without a hole, columns that vary, 1,000 rows at most.

    Args:
        name: One of `NAMES`.
        folder: Where statsmodels was installed, for the tables that it holds.

    Raises:
        FileNotFoundError: The table is not there.
    """
    if name in SHIPPED:
        found: Any = getattr(datasets, f"load_{name}")()
        x = np.asarray(found.data, float)
    else:
        path = Path(folder or "") / "statsmodels" / "datasets" / name / f"{name}.csv"
        table = pd.read_csv(path, sep=None, engine="python")
        x = table.select_dtypes("number").dropna().to_numpy(float)
    x = x[:, x.std(axis=0) > 0]
    if len(x) > _MOST:
        x = x[np.sort(np.random.default_rng(0).permutation(len(x))[:_MOST])]
    return x


def hidden(x: np.ndarray, mechanism: str, rate: float, seed: int) -> np.ndarray:
    """Which cells are hidden: a share `rate` of all cells on average.

    * MCAR: each cell by the same probability.
    * MAR: of a random 30 % of the columns none; of the others by a logistic regression, with random
      weights, on these (Muzellec et al. 2020).
    * MNAR: each cell by a logistic regression on its own value, high ones rather.

    No row loses all of its cells.

    Args:
        x: (n, d), without holes.
        mechanism: One of `MECHANISMS`.
        rate: The share.
        seed: Of what is random.
    """
    rng = np.random.default_rng([seed, round(100 * rate), MECHANISMS.index(mechanism)])
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    n, d = z.shape
    logits = np.zeros((n, d))
    holed = np.ones(d, bool)
    if mechanism == "MNAR":
        logits = 2.0 * z
    if mechanism == "MAR":
        seen = rng.permutation(d)[: max(1, round(_SEEN * d))]
        holed[seen] = False
        logits = z[:, seen] @ rng.normal(size=(len(seen), d))
        logits *= 2.0 / np.maximum(logits.std(axis=0), 1e-9)
        rate = min(0.95, rate * d / holed.sum())
    found = np.zeros((n, d), bool)
    for j in np.flatnonzero(holed):
        found[:, j] = rng.random(n) < expit(logits[:, j] + _shift(logits[:, j], rate))
    found[found.all(axis=1), rng.integers(d)] = False
    return found


def _shift(logits: np.ndarray, rate: float) -> float:
    """What makes the probabilities' mean the rate."""
    root: Any = brentq(lambda shift: expit(logits + shift).mean() - rate, -50.0, 50.0)
    return float(root)


def error(filled: np.ndarray, x: np.ndarray, gone: np.ndarray) -> float:
    """The root mean squared error over the hidden cells, in deviations of the whole columns."""
    return float(np.sqrt(np.mean(np.square((filled - x) / x.std(axis=0))[gone])))
