"""The tables that scikit-learn ships, split, holed and scaled."""

import dataclasses
from typing import Any, NamedTuple

import numpy as np
from sklearn import datasets

FRACTIONS = (0.2, 0.5, 0.8)
_TEST, _VALIDATION = 0.2, 0.1  # of all rows; of those that are left


class Rows(NamedTuple):
    """Rows scaled by the observed training cells; NaN where a cell is missing.

    Attributes:
        train: What the models are fitted to.
        validation: What settings are chosen by, and when training stops.
        test: What is measured.
        whole: The test rows without holes.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    whole: np.ndarray

    @property
    def fitting(self) -> np.ndarray:
        """Training and validation rows together: what a rival that has no settings is fitted to."""
        return np.concatenate([self.train, self.validation])


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of numbers.

    Attributes:
        name: What scikit-learn calls it.
        x: (n, d).
        classes: (n,), or None where rows have no class.
    """

    name: str
    x: np.ndarray
    classes: np.ndarray | None


def load(name: str) -> Table:
    """One of `NAMES`; columns that never vary are left out."""
    found: Any = getattr(datasets, f"load_{name}")()
    x, classes = np.asarray(found.data, float), np.asarray(found.target)
    if name == "linnerud":  # exercises and physiological numbers, three each
        x, classes = np.concatenate([x, classes], axis=1), None
    if name == "diabetes":
        classes = None
    return Table(name, x[:, x.std(axis=0) > 0], classes)


NAMES = ("breast_cancer", "wine", "diabetes", "iris", "digits", "linnerud")
WITH_CLASSES = ("breast_cancer", "wine", "iris", "digits")
# Columns of diabetes: sex, of two values; and s4 = s1 / s3 and s1, nearly the sum of s2 and s3.
RIDGED, RIDGES = "diabetes", (1, 7, 4)


def smoothed(table: Table, count: int) -> Table:
    """The table without the first `count` of `RIDGES`."""
    return dataclasses.replace(table, x=np.delete(table.x, RIDGES[:count], axis=1))


def holed(table: Table, fraction: float, seed: int) -> Rows:
    """Rows with this share of cells missing completely at random.

    Columns that never vary among the training rows are left out.
    """
    rng = np.random.default_rng([seed, round(100 * fraction)])
    parts = _parts(rng.permutation(len(table.x)))
    x = table.x[:, table.x[parts[0]].std(axis=0) > 0]
    missing = np.ones(x.shape, bool)
    drawn = np.ones(x.shape[1], bool)
    while drawn.any():
        missing[:, drawn] = rng.random((len(x), drawn.sum())) < fraction
        # A column of which nothing was observed, or one value only, has no scale.
        seen = np.ma.array(x, mask=missing)[parts[0]]
        drawn = ((~seen.mask).sum(axis=0) < 2) | (np.ma.filled(seen.std(axis=0), 0.0) == 0)
    return _scaled(x, missing, parts)


def whole(table: Table, seed: int) -> Rows:
    """Rows without holes; whole numbers spread uniformly over their unit, as densities need."""
    rng = np.random.default_rng([seed, 0])
    x = table.x
    if np.all(x == np.rint(x)):
        x = x + rng.random(x.shape)
    return _scaled(x, np.zeros(x.shape, bool), _parts(rng.permutation(len(x))))


def without(table: Table, outlying: int, seed: int) -> tuple[Rows, np.ndarray]:
    """Rows of all classes but one to fit to; of all to test on; and which of these are of it.

    Training rows are as many whichever class is left out.
    """
    assert table.classes is not None
    rng = np.random.default_rng([seed, 1000 + outlying])
    counts = np.bincount(table.classes)
    fewest = len(table.x) - counts.max()
    inside = rng.permutation(np.flatnonzero(table.classes != outlying))
    fitted = inside[: round((1 - _TEST) * fewest)]
    test = np.concatenate([inside[len(fitted) :], np.flatnonzero(table.classes == outlying)])
    held = round(_VALIDATION * len(fitted))
    parts = (fitted[held:], fitted[:held], test)
    rows = _scaled(table.x, np.zeros(table.x.shape, bool), parts)
    return rows, table.classes[test] == outlying


def _parts(order: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    tested = round(_TEST * len(order))
    held = max(1, round(_VALIDATION * (len(order) - tested)))
    return order[tested + held :], order[tested : tested + held], order[:tested]


def _scaled(x: np.ndarray, missing: np.ndarray, parts: tuple[np.ndarray, ...]) -> Rows:
    seen = np.where(missing, np.nan, x)
    train = seen[parts[0]]
    shift, scale = np.nanmean(train, axis=0), np.nanstd(train, axis=0)
    scale = np.where(scale > 0, scale, 1.0)  # constant among these training rows
    scaled, full = (seen - shift) / scale, (x - shift) / scale
    return Rows(scaled[parts[0]], scaled[parts[1]], scaled[parts[2]], full[parts[2]])
