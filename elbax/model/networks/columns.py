"""A network over the columns of a table: what it sees of each, and of a cell that is missing."""

import warnings
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

_SMALLEST = 1e-6  # of what a logarithm is taken of
# Deviations from the mean: one row among 10,000 is not farther off. A typing error of ten digits
# would otherwise leave the range of floats on its way through the network.
_FARTHEST = 100.0


class ColumnFeatures(eqx.Module):
    """One row of a table as numbers of order one; a cell that is NaN, not observed, becomes zeros.

    Numbers are standardised (positive ones and counts after a logarithm), binary columns are −1 or
    1, ordinal ones are spread over [−1, 1], and a category has a place of its own for each value.
    Zero then stands for the mean, or for no value at all (the filling of Nazabal et al. 2020,
    §3.3); whether a cell was observed is a feature of its own, where training has
    seen both.

    A category's place is 1 at its code and falls linearly to 0 at the neighbouring codes, so that
    learned pseudo-inputs between codes have a gradient.

    Attributes:
        centre: What is taken off each number (after its logarithm).
        spread: What it is then divided by.
        masked: Whether the features say which cells were observed.
    """

    columns: tuple[str, ...] = eqx.field(static=True)
    centre: tuple[float, ...] = eqx.field(static=True)
    spread: tuple[float, ...] = eqx.field(static=True)
    masked: bool = eqx.field(static=True)

    def __init__(self, columns: Sequence[str], rows: Float[np.ndarray, "rows columns"]) -> None:
        """Fits centre and spread.

        Args:
            columns: What each element of a row is, as `Mixed` calls it.
            rows: The training rows, NaN where not observed.

        Raises:
            ValueError: The rows have another number of columns.
        """
        if rows.shape[1] != len(columns):
            raise ValueError(f"{len(columns)} kinds for rows of {rows.shape[1]} columns")
        self.columns = tuple(columns)
        self.masked = bool(np.isnan(rows).any())
        fitted = [_moments(kind, x) for kind, x in zip(columns, rows.T, strict=True)]
        self.centre = tuple(centre for centre, _ in fitted)
        self.spread = tuple(spread for _, spread in fitted)

    @property
    def size(self) -> int:
        """How many numbers there are."""
        places = sum(_levels(column) or 1 for column in self.columns)
        return places + (len(self.columns) if self.masked else 0)

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, " features"]:
        """The numbers; then the categories; then 1 for each observed cell and 0 for the others."""
        x = jnp.ravel(x)
        observed = ~jnp.isnan(x)
        x = jnp.where(observed, x, 1.0)
        numbers = self.numbers(x)
        levels = np.array([_levels(column) for column in self.columns])
        features = [jnp.where(observed, numbers, 0.0)[levels == 0]]
        for count in np.unique(levels[levels > 0]):
            of_these = levels == count
            place = 1.0 - jnp.abs(x[of_these][:, None] - jnp.arange(count, dtype=x.dtype))
            seen = jnp.where(observed[of_these][:, None], jnp.maximum(place, 0.0), 0.0)
            features.append(jnp.ravel(seen))
        if self.masked:
            features.append(observed.astype(x.dtype))
        return jnp.concatenate(features)

    def numbers(self, x: Float[Array, " columns"]) -> Float[Array, " columns"]:
        """A row without missing cells, each column centred and scaled, after its logarithm."""
        for kinds, logarithm, least in _LOGARITHMS:
            chosen = np.array([column in kinds for column in self.columns])
            if chosen.any():
                safe = jnp.maximum(jnp.where(chosen, x, 1.0), least)
                x = jnp.where(chosen, logarithm(safe), x)
        numbers = (x - jnp.asarray(self.centre, x.dtype)) / jnp.asarray(self.spread, x.dtype)
        return jnp.clip(numbers, -_FARTHEST, _FARTHEST)


class ColumnNetwork(eqx.Module):
    """A network that sees a row of a table through `ColumnFeatures`.

    Attributes:
        features: From the row to the network's input.
        network: Any network of that input.
    """

    features: ColumnFeatures
    network: Any

    def __call__(self, x: Array) -> Array:
        """One row, perhaps with NaN where it was not observed; a condition may follow it."""
        count = len(self.features.columns)
        features = self.features(x[:count])
        if len(x) > count:
            features = jnp.concatenate([features, x[count:]])
        return self.network(features)


_LOGARITHMS = (
    (("log-normal",), jnp.log, _SMALLEST),
    (("poisson", "negative-binomial"), jnp.log1p, 0.0),
)


def _moments(kind: str, x: Float[np.ndarray, " rows"]) -> tuple[float, float]:
    """Centre and spread of one column: fixed for codes, else mean and standard deviation."""
    name, _, count = kind.rpartition("-")
    if kind == "binary":
        return 0.5, 0.5
    if name in ("categorical", "ordinal"):
        half = 0.5 * (int(count) - 1)
        return (half, half) if name == "ordinal" else (0.0, 1.0)
    x = np.asarray(x, np.float64)
    if kind == "log-normal":
        x = np.log(np.maximum(x, _SMALLEST))
    elif kind in ("poisson", "negative-binomial"):
        x = np.log1p(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column without an observed cell
        centre, spread = float(np.nanmean(x)), float(np.nanstd(x))
    return (centre, spread if spread > 0 else 1.0) if np.isfinite(centre) else (0.0, 1.0)


def _levels(column: str) -> int:
    """How many places a column takes, if it is categorical; else 0."""
    name, _, count = column.rpartition("-")
    return int(count) if name == "categorical" else 0
