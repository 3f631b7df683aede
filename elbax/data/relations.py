"""Columns that follow from others: ``end >= start``, ``total = a + b``, as they are modelled.

In the place of such a column its distance from what bounds it is modelled, which is never below 0;
or nothing, where it equals a sum. So no draw can break what all rows kept to: the constraint is a
change of variables between the table and the model, whose Jacobian is 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from elbax.data.columns import Column

# Relative, of sums: decimals are not exact, the less so in float32. (A second of today's dates,
# counted from 1970, is 6e-10.)
_ROUNDING, _ROUNDING_SINGLE = 1e-12, 1e-6


@dataclass(frozen=True)
class Relation:
    """A column as others bound it: column = constant + Σ coefficient · other + slack · modelled.

    Attributes:
        text: The constraint as it was asked for.
        terms: Coefficients and the names of the other columns.
        constant: The constant.
        slack: What one unit of the modelled number is worth in the column; its sign says on which
            side of the sum the column lies. 0 where it equals the sum, and nothing is modelled.
        own: How the column itself is written.
    """

    text: str
    terms: tuple[tuple[float, str], ...]
    constant: float
    slack: float
    own: Column

    @property
    def others(self) -> tuple[str, ...]:
        """The names of the other columns."""
        return tuple(name for _, name in self.terms)

    @property
    def _rounding(self) -> float:
        return _ROUNDING_SINGLE if self.own.dtype in ("float", "halffloat") else _ROUNDING

    def sum(self, numbers: Mapping[str, np.ndarray]) -> np.ndarray:
        """What bounds the column, of the others' numbers in their own units."""
        products = [factor * numbers[name] for factor, name in self.terms]
        return np.sum(products, axis=0) + self.constant

    def modelled(self, numbers: Mapping[str, np.ndarray]) -> np.ndarray:
        """(n,) the number that is modelled in the column's place; NaN where a cell is missing."""
        found = self.distance(numbers)
        return found / abs(self.slack) if self.slack else found

    def distance(self, numbers: Mapping[str, np.ndarray]) -> np.ndarray:
        """How far the column lies on the right side of the sum, in its own units; NaN unknown.

        0 where it is so up to rounding, or up to half of its resolution where it is to be equal.
        """
        own, bound = numbers[self.own.name], self.sum(numbers)
        side = np.sign(self.slack) or 1.0
        found = side * (own - bound)
        size = np.maximum(np.abs(own), np.abs(bound))
        near = self._rounding * size
        if self.slack == 0:
            near = np.maximum(near, 0.5 * self.own.resolution * (1 + 1e-6))
        with np.errstate(invalid="ignore"):
            return np.where(np.abs(found) <= near, 0.0, found)

    def broken(self, numbers: Mapping[str, np.ndarray]) -> np.ndarray:
        """(n,) whether a row breaks it; a row with a missing cell breaks nothing."""
        found = self.distance(numbers)
        with np.errstate(invalid="ignore"):
            return np.abs(found) > 0 if self.slack == 0 else found < 0

    def complete(
        self, numbers: Mapping[str, np.ndarray], modelled: np.ndarray, least: float
    ) -> np.ndarray:
        """The column, of the others and the modelled number, all in own units.

        Args:
            numbers: The others.
            modelled: (n,) the distance in units of `slack`.
            least: The least distance that there was, in the same units.

        Returns:
            (n,) at the column's resolution and within its range, but never on the wrong side.
        """
        bound = self.sum(numbers)
        if self.slack == 0:
            return _tidy(bound)
        values = _at_resolution(bound + self.slack * modelled, self.own.resolution)
        values = np.clip(values, self.own.lower, self.own.upper)
        nearest = bound + self.slack * least
        side = np.sign(self.slack)
        with np.errstate(invalid="ignore"):
            wrong = side * (values - nearest) < -self._rounding * np.abs(nearest)
        outward = np.ceil if side > 0 else np.floor
        return np.where(wrong, _at_resolution(nearest, self.own.resolution, outward), values)


def fit_others(
    column: Column,
    seen: np.ndarray,
    modelled: Mapping[str, np.ndarray],
    numbers: dict[str, np.ndarray],
    own: Mapping[str, np.ndarray],
    known: Mapping[str, Column],
) -> None:
    """Solves a relation for cells that were made up, where the column that follows was observed.

    The modelled distance stays, and the widest of the others' missing cells gives way, at its
    resolution and within its range; where these leave a remainder, the next one. An equation holds
    in any case.

    Args:
        column: A column that follows from others.
        seen: (n,) its cells, NaN where not observed.
        modelled: What was modelled of each column, in own units.
        numbers: The others in their own units; changed in place.
        own: The cells that were observed, by name.
        known: The columns by name.
    """
    relation = column.relation
    if relation is None:
        return
    left = ~np.isnan(seen)
    distance = relation.slack * modelled[column.name]
    widest = sorted(relation.terms, key=lambda term: -abs(term[0]) * known[term[1]].scale)
    outward = (np.rint, np.floor, np.ceil)
    for exactly in (False, True) if relation.slack == 0 else (False,):
        for factor, name in widest:
            movable = left & np.isnan(own[name])
            if not movable.any():
                continue
            rest = relation.sum({**numbers, name: np.zeros_like(seen)})
            wanted = given = _tidy((seen - distance - rest) / factor)
            if not exactly:
                side = int(np.sign(relation.slack * factor))
                given = _at_resolution(wanted, known[name].own.resolution, outward[side])
                given = np.clip(given, *_ends(known[name], numbers, own))
            numbers[name] = np.where(movable, given, numbers[name])
            fit_others(known[name], np.where(movable, given, np.nan), modelled, numbers, own, known)
            left &= ~movable | (np.abs(given - wanted) > _ROUNDING * np.abs(wanted))


def _ends(
    column: Column, numbers: Mapping[str, np.ndarray], own: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest that each cell may be, others that were observed considered."""
    n = len(own[column.name])
    low = np.full(n, -np.inf if column.own.lower is None else column.own.lower)
    high = np.full(n, np.inf if column.own.upper is None else column.own.upper)
    relation = column.relation
    if relation is None or relation.slack == 0:
        return low, high
    fixed = np.all([~np.isnan(own[name]) for name in relation.others], axis=0)
    nearest = relation.sum(numbers) + relation.slack * (column.lower or 0.0)
    if relation.slack > 0:
        return np.where(fixed, np.maximum(low, nearest), low), high
    return low, np.where(fixed, np.minimum(high, nearest), high)


def in_order(columns: Sequence[Column], known: Mapping[str, Column]) -> list[Column]:
    """The columns, each after those that it follows from."""
    found: dict[str, Column] = {}

    def visit(column: Column) -> None:
        for other in column.relation.others if column.relation else ():
            if other not in found:
                visit(known[other])
        found.setdefault(column.name, column)

    for column in columns:
        visit(column)
    return list(found.values())


def _at_resolution(values: np.ndarray, step: float, rounded: Any = np.rint) -> np.ndarray:
    if step <= 0:
        return values
    multiples = values / step
    whole = np.rint(multiples)
    near = np.abs(multiples - whole) <= 1e-6
    return _tidy(np.where(near, whole, rounded(multiples)) * step)


def _tidy(values: np.ndarray) -> np.ndarray:
    """Without the last digits, which are noise of sums: 0.1 + 0.2 is 0.3."""
    return np.array([float(f"{value:.14g}") for value in values.ravel()]).reshape(values.shape)
