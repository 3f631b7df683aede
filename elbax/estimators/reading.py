"""From a feature matrix to the numbers that are modelled, and back: kinds, shifts and scales."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# Kinds of columns (as `elbax.model.Mixed` calls them) that are standardised before they are
# modelled; a log-normal one is divided by its geometric mean; others are taken as they are.
_STANDARDISED = ("normal", "laplace", "student-t")
_DENSITIES = (*_STANDARDISED, "log-normal")
_LARGEST = 1e100  # squares of larger numbers leave the range of floats


@dataclass(frozen=True)
class Reading:
    """How the columns of X are read, fitted to the training rows.

    Attributes:
        kinds: What each column is, as `elbax.model.Mixed` calls it.
        shift: What is taken off each column, (features,) float64.
        scale: What it is then divided by.
        masked: Whether a training cell was missing.
    """

    kinds: tuple[str, ...]
    shift: np.ndarray
    scale: np.ndarray
    masked: bool

    @classmethod
    def fit(cls, x: np.ndarray, likelihood: Any, names: Sequence[str]) -> Reading:
        """Chooses the kinds where they are not given, and fits shifts and scales.

        Args:
            x: The training rows, NaN where a cell is missing.
            likelihood: One kind for all columns, one for each, or None to have them chosen.
            names: What the columns are called in messages.

        Raises:
            ValueError: An unknown kind, a column without an observed cell, or numbers that are too
                large.
        """
        x = np.asarray(x, np.float64)
        empty = np.isnan(x).all(axis=0)
        if empty.any():
            raise ValueError(
                f"column {names[int(np.argmax(empty))]} has no observed cell: leave it out"
            )
        largest = np.nanmax(np.abs(x), axis=0)
        if (largest > _LARGEST).any():
            raise ValueError(
                f"column {names[int(np.argmax(largest > _LARGEST))]} holds numbers beyond "
                f"{_LARGEST:g}: scale it first"
            )
        kinds = _kinds(x, likelihood)
        fitted = [_moments(kind, column) for kind, column in zip(kinds, x.T, strict=True)]
        shift, scale = (np.array(each) for each in zip(*fitted, strict=True))
        return cls(kinds, shift, scale, bool(np.isnan(x).any()))

    def encode(self, x: np.ndarray, names: Sequence[str]) -> np.ndarray:
        """The rows as they are modelled: float32, NaN where a cell is missing.

        Raises:
            ValueError: A value that its column's likelihood is not defined for.
        """
        x = np.asarray(x, np.float64)
        for j, support in enumerate(self._supports()):
            outside = ~(support.contains(x[:, j]) | np.isnan(x[:, j]))
            if outside.any():
                row = int(np.argmax(outside))
                raise ValueError(
                    f"column {names[j]} is {x[row, j]:g} in row {row} (counted from 0), and its "
                    f"likelihood, {self.kinds[j]}, is of {support.words}: give another with "
                    "likelihood, such as 'normal', or recode the column"
                )
        with np.errstate(over="ignore"):
            rows = ((x - self.shift) / self.scale).astype(np.float32)
        return np.nan_to_num(rows, nan=np.nan)  # what is beyond float32 is its largest number

    def decode(self, rows: np.ndarray) -> np.ndarray:
        """Modelled numbers in the units of X, float64."""
        return np.asarray(rows, np.float64) * self.scale + self.shift

    def log_jacobian(self, rows: np.ndarray) -> np.ndarray:
        """What turns each row's log-density into the units of X, in nats: (rows, features).

        −log scale of each observed column that has a density, 0 elsewhere.
        """
        density = np.array([kind in _DENSITIES for kind in self.kinds])
        return np.where(np.isnan(rows) | ~density, 0.0, -np.log(self.scale))

    def features(self, rows: np.ndarray) -> Any:
        """What the encoder sees (`elbax.model.ColumnFeatures`).

        Of standardised columns mean and deviation are 0 and 1 to the last bit, whatever the data:
        then a program that was compiled for other data of the same shape serves these too.

        Args:
            rows: The training rows as they are modelled.
        """
        from elbax.model import ColumnFeatures

        rows = np.array(rows[: len(rows) // 2 * 2], np.float64)
        standard = [kind in _STANDARDISED for kind in self.kinds]
        rows[:, standard] = np.resize([-1.0, 1.0], len(rows))[:, None]
        if self.masked:
            rows = np.vstack([rows, np.full(len(self.kinds), np.nan)])
        return ColumnFeatures(self.kinds, rows)

    def in_words(self) -> str:
        """``3 normal, 1 binary``."""
        return ", ".join(f"{self.kinds.count(k)} {k}" for k in dict.fromkeys(self.kinds))

    def to_json(self) -> dict[str, Any]:
        """The reading as plain data."""
        return {
            "kinds": list(self.kinds),
            "shift": self.shift.tolist(),
            "scale": self.scale.tolist(),
            "masked": self.masked,
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Reading:
        """The reading that `to_json` wrote."""
        numbers = {name: np.array(values[name], np.float64) for name in ("shift", "scale")}
        return cls(tuple(values["kinds"]), numbers["shift"], numbers["scale"], values["masked"])

    def _supports(self) -> list[Any]:
        from elbax.model.likelihoods import Mixed
        from elbax.model.support import BINARY, UNIT_INTERVAL

        supports = Mixed((len(self.kinds),), self.kinds).support
        return [UNIT_INTERVAL if each == BINARY else each for each in supports]


def _kinds(x: np.ndarray, likelihood: Any) -> tuple[str, ...]:
    """What each column is: as asked, or by the rule that `elbax.VAE` states."""
    columns = x.shape[1]
    if isinstance(likelihood, str):
        likelihood = [likelihood] * columns
    if likelihood is not None:
        asked = tuple("binary" if kind == "bernoulli" else str(kind) for kind in likelihood)
        if len(asked) != columns:
            raise ValueError(
                f"likelihood names {len(asked)} columns, and X has {columns}: give one kind for "
                "each, or one for all"
            )
        from elbax.model.likelihoods import Mixed

        Mixed((columns,), asked)  # refuses an unknown kind
        return asked
    low, high = np.nanmin(x, axis=0), np.nanmax(x, axis=0)
    zero_or_one = np.all((x == 0) | (x == 1) | np.isnan(x), axis=0) & (low < high)
    whole = np.all((x == np.rint(x)) | np.isnan(x))
    if whole and (low == 0).all() and (high > 1).any():  # levels or counts of one scale
        zero_or_one[:] = False
    return tuple("binary" if each else "normal" for each in zero_or_one)


def _moments(kind: str, x: np.ndarray) -> tuple[float, float]:
    """Shift and scale of one column."""
    seen = x[~np.isnan(x)]
    if kind in _STANDARDISED:
        scale = float(np.std(seen))
        # Of a constant column rounding may leave a deviation.
        varies = scale > 1e-12 * float(np.max(np.abs(seen)))
        return float(np.mean(seen)), scale if varies else 1.0
    if kind == "log-normal" and (seen > 0).all():
        return 0.0, math.exp(float(np.mean(np.log(seen))))
    return 0.0, 1.0
