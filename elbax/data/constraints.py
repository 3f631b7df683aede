"""``--constraint``: what all rows of a table keep to, from its words to relations and ranges.

A constraint compares two sums of columns and numbers. One column alone is kept within a range; of
several one is modelled by its distance from the others (`elbax.data.relations`).
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from elbax.data import columns as one
from elbax.data.cells import Cells
from elbax.data.columns import Column
from elbax.data.errors import ColumnError, DataError
from elbax.data.relations import Relation
from elbax.util.words import counted, hint, listed, places, shown

if TYPE_CHECKING:
    from elbax.data.formats.tables import Table

_EXAMPLE = 'write it as in "end >= start", "total = a + b" or "0 <= share <= 1"'
_MOMENT = r"\d{4}-\d{2}-\d{2}(?:[ T]\d{2}:\d{2}(?::\d{2})?)?"
_NUMBER = re.compile(r"[\d.]+(?:[eE]\d+)?")
_TURNED = {">=": "<=", "<=": ">=", ">": "<", "<": ">", "==": "=="}
_SIGNS = {ast.GtE: ">=", ast.LtE: "<=", ast.Gt: ">", ast.Lt: "<", ast.Eq: "=="}
_DAY = 86_400.0


class Sum(NamedTuple):
    """Σ factor · column + constant; `dated` where that is a date, in seconds."""

    factors: Mapping[str, float]
    constant: float
    dated: bool = False

    def plus(self, other: Sum, factor: float = 1.0) -> Sum:
        """This sum and a multiple of another one."""
        names = dict.fromkeys([*self.factors, *other.factors])
        sums = {n: self.factors.get(n, 0.0) + factor * other.factors.get(n, 0.0) for n in names}
        left = {name: value for name, value in sums.items() if value != 0}
        dated = self.dated or other.dated
        return Sum(left, self.constant + factor * other.constant, dated)


class Comparison(NamedTuple):
    """`left sign right`, the sign one of >=, <=, >, < and ==."""

    text: str
    left: Sum
    sign: str
    right: Sum


@dataclass
class Related:
    """What constraints make of columns.

    Attributes:
        relations: By the name of the column that follows from others.
        distances: What is modelled in its place.
        ranges: By the name of a column its least and its greatest number, None where there is none.
    """

    relations: dict[str, Relation] = field(default_factory=dict)
    distances: dict[str, Cells] = field(default_factory=dict)
    ranges: dict[str, tuple[float | None, float | None]] = field(default_factory=dict)


# --- from words to comparisons -----------------------------------------------------------------


def parse(text: str, names: Sequence[str]) -> list[Comparison]:
    """The comparisons of one constraint; two in ``0 <= share <= 1``.

    Args:
        text: What was asked for; a column's name may hold blanks and signs, and stand in quotes.
        names: The columns of the table.

    Raises:
        DataError: It is no comparison of sums, or names no column.
    """
    called = f"constraint (--constraint) {shown(repr(text))}"
    placeholders: dict[str, Sum] = {}

    def replaced(match: re.Match[str]) -> str:
        holder = f"_{len(placeholders)}_"
        if match["moment"]:
            moment = np.datetime64(match["moment"].replace(" ", "T"), "s")
            placeholders[holder] = Sum({}, float(moment.astype(np.int64)), dated=True)
        else:
            name = match["name"]
            name = name if name in names else name[1:-1]
            placeholders[holder] = Sum({name: 1.0}, 0.0)
        return f" {holder} "

    plain = re.sub(_pattern(names), replaced, text).replace("≥", ">=").replace("≤", "<=")
    plain = re.sub(r"(?<![<>=!])=(?!=)", "==", plain).replace("−", "-").strip()
    try:
        tree = ast.parse(plain, mode="eval").body
    except (SyntaxError, ValueError):
        tree = None
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.Name) and node.id not in placeholders:
            raise DataError(
                f"{called} names {shown(repr(node.id))}, which is no column"
                f"{hint(node.id, names)}: it has {listed(names)}"
            )
    try:
        if not isinstance(tree, ast.Compare):
            raise ValueError("no comparison")
        sums = [_sum(node, placeholders) for node in (tree.left, *tree.comparators)]
        signs = [_SIGNS[type(sign)] for sign in tree.ops]
        found = [Comparison(text, sums[i], sign, sums[i + 1]) for i, sign in enumerate(signs)]
    except (KeyError, ValueError, ZeroDivisionError):
        raise DataError(f"{called} is no comparison of sums of columns: {_EXAMPLE}") from None
    for comparison in found:
        difference = comparison.left.plus(comparison.right, -1.0)
        if not difference.factors or (len(difference.factors) == 1 and comparison.sign == "=="):
            raise DataError(f"{called} leaves nothing to compare a column with: {_EXAMPLE}")
    return found


def _pattern(names: Sequence[str]) -> str:
    """Of a column's name, in quotes if it looks like a number, or of a date."""
    ordered = [name for name in sorted(names, key=len, reverse=True) if name]
    quoted = "|".join(rf"{mark}{re.escape(n)}{mark}" for n in ordered for mark in "\"'`")
    plain = "|".join(re.escape(name) for name in ordered if not _NUMBER.fullmatch(name))
    return rf"(?P<name>{quoted}|(?<!\w)(?:{plain})(?!\w))|(?P<moment>{_MOMENT})"


def _sum(node: ast.AST, known: Mapping[str, Sum]) -> Sum:
    """What a piece of syntax sums.

    Raises:
        ValueError: It is no sum.
    """
    match node:
        case ast.Name(id=name):
            return known[name]
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return Sum({}, float(value))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return Sum({}, 0.0).plus(_sum(operand, known), -1.0)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as op, right=right):
            sign = 1.0 if isinstance(op, ast.Add) else -1.0
            return _sum(left, known).plus(_sum(right, known), sign)
        case ast.BinOp(left=left, op=ast.Mult() | ast.Div() as op, right=right):
            first, second = _sum(left, known), _sum(right, known)
            if second.factors and isinstance(op, ast.Mult):
                first, second = second, first
            if second.factors:
                raise ValueError("no sum")
            factor = second.constant if isinstance(op, ast.Mult) else 1.0 / second.constant
            return Sum({}, 0.0).plus(first, factor)
        case _:
            raise ValueError("no sum")


# --- from comparisons to columns ---------------------------------------------------------------


def relate(texts: Sequence[str], table: Table, cells: Mapping[str, Cells]) -> Related:
    """What the constraints make of the columns of a table.

    Args:
        texts: The constraints.
        table: The table, for messages.
        cells: Of the columns that are modelled.

    Raises:
        DataError: A constraint that is none, that rows break, or that does not go with the others.
    """
    related = Related()
    for text in texts:
        for comparison in parse(text, list(table.columns)):
            used = [*comparison.left.factors, *comparison.right.factors]
            for name in used:
                _check_numbers(name, cells, text)
            names = comparison.left.plus(comparison.right, -1.0).factors
            if len(names) == 1:
                _restrict(comparison, table, cells, related)
            else:
                _relate(comparison, table, cells, related)
    return related


def _check_numbers(name: str, cells: Mapping[str, Cells], text: str) -> None:
    found = cells.get(name)
    if found is None or found.levels is not None:
        what = "is left out of the model" if found is None else f"holds {found.sort}"
        raise DataError(
            f"constraint (--constraint) {shown(repr(text))} compares numbers or dates, and column "
            f"{shown(repr(name))} {what}: leave the constraint out"
        )


def _own(name: str, cells: Cells) -> Column:
    """How a column is written: its resolution and its range."""
    plain = Column(name, "continuous", cells.dtype, notation=cells.notation)
    return one.observe(plain, cells.numbers)


def _unit(column: Column) -> float:
    """Seconds that the number of a date counts, 1 of other numbers."""
    return _DAY if column.dtype.startswith("date") else 1.0


def _restrict(
    comparison: Comparison, table: Table, cells: Mapping[str, Cells], related: Related
) -> None:
    """One column within a range."""
    difference = comparison.left.plus(comparison.right, -1.0)
    ((name, factor),) = difference.factors.items()
    own = _own(name, cells[name])
    if own.moment != difference.dated:
        raise _mixed(comparison)
    end = -difference.constant / factor / _unit(own)
    sign = comparison.sign if factor > 0 else _TURNED[comparison.sign]
    numbers = cells[name].numbers
    compare: Any = {">=": np.less, "<=": np.greater, ">": np.less_equal, "<": np.greater_equal}
    _refuse_broken(comparison.text, compare[sign](numbers, end), [name], table)
    low, high = related.ranges.get(name, (None, None))
    if sign == ">=":
        low = end if low is None else max(low, end)
    elif sign == "<=":
        high = end if high is None else min(high, end)
    # Of > and < the observed ends, which none is written beyond, are the nearest that keep to it.
    related.ranges[name] = low, high
    if (relation := related.relations.get(name)) is not None:
        related.relations[name] = replace(relation, own=within(relation.own, low, high))


def within(column: Column, low: float | None, high: float | None) -> Column:
    """The column with these ends of its range, where they are given."""
    if low is not None:
        column = replace(column, lower=low)
    return column if high is None else replace(column, upper=high)


def _relate(
    comparison: Comparison, table: Table, cells: Mapping[str, Cells], related: Related
) -> None:
    """One of several columns by its distance from what the others sum to."""
    difference = comparison.left.plus(comparison.right, -1.0)
    name = _follower(comparison, difference, cells, related)
    factor = difference.factors[name]
    owns = {other: _own(other, cells[other]) for other in difference.factors}
    moments = {own.moment for own in owns.values()}
    if len(moments) > 1 or (moments == {True} and difference.constant != 0):
        raise _mixed(comparison)
    own, unit = owns[name], _unit(owns[name])
    terms = tuple(
        (-value / factor * _unit(owns[other]) / unit, other)
        for other, value in difference.factors.items()
        if other != name
    )
    sign = comparison.sign if factor > 0 else _TURNED[comparison.sign]
    side = {"==": 0.0, ">=": 1.0, ">": 1.0, "<=": -1.0, "<": -1.0}[sign]
    own = within(own, *related.ranges.get(name, (None, None)))
    constant = -difference.constant / factor / unit
    relation = Relation(comparison.text, terms, constant, side, own)
    numbers = {other: cells[other].numbers for other in difference.factors}
    broken = relation.broken(numbers)
    distance = relation.distance(numbers)
    if sign in "><":
        broken |= distance == 0
    _refuse_broken(comparison.text, broken, list(difference.factors), table)
    step = _step(distance) if moments == {True} and unit == 1.0 else 1.0
    related.relations[name] = replace(relation, slack=side * step)
    distance = distance / step
    whole = bool(np.all((distance == np.rint(distance)) | np.isnan(distance)))
    related.distances[name] = Cells(distance, "int64" if whole else "double")


def _mixed(comparison: Comparison) -> DataError:
    return DataError(
        f"constraint (--constraint) {shown(repr(comparison.text))} compares dates with numbers: "
        "compare dates with dates, such as start >= 2020-01-31"
    )


def _follower(
    comparison: Comparison, difference: Sum, cells: Mapping[str, Cells], related: Related
) -> str:
    """The column that is to follow from the others: one with many holes, best alone on its side.

    Raises:
        DataError: Each of them follows from others already, or bounds these.
    """

    def depends(name: str, on: str) -> bool:
        relation = related.relations.get(name)
        return relation is not None and any(
            other == on or depends(other, on) for other in relation.others
        )

    free = [
        name
        for name in difference.factors
        if name not in related.relations
        and not any(depends(other, name) for other in difference.factors)
    ]
    if not free:
        raise DataError(
            f"constraint (--constraint) {shown(repr(comparison.text))} does not go with the "
            "others: each needs a column of its own that follows from the rest: leave one out"
        )

    def rank(name: str) -> tuple[int, int]:
        alone = [list(side.factors) == [name] for side in (comparison.left, comparison.right)]
        missing = int(np.isnan(cells[name].numbers).sum())
        return missing if comparison.sign != "==" else 0, 2 * alone[0] + alone[1]

    return max(free, key=rank)


def _step(distance: np.ndarray) -> float:
    """Of distances in seconds: days, hours or minutes, where all are whole ones of these."""
    observed = distance[~np.isnan(distance)]
    for step in (_DAY, 3_600.0, 60.0):
        if np.all(observed % step == 0):
            return step
    return 1.0


def _refuse_broken(text: str, broken: np.ndarray, names: Sequence[str], table: Table) -> None:
    """Refuses rows that break a constraint, in one line.

    Raises:
        ColumnError: There are some.
    """
    rows = np.flatnonzero(broken)
    if len(rows) == 0:
        return
    cells = ", ".join(f"{shown(name)} {shown(table.columns[name][int(rows[0])])}" for name in names)
    raise ColumnError(
        f"{table.source} breaks --constraint {shlex.quote(text)} {places(rows.tolist())}, of "
        f"{counted(table.rows, 'row')}: row {rows[0]:,} has {cells}; mend it, empty the cells, or "
        "leave the constraint out"
    )


def check(columns: Sequence[Column], numbers: Mapping[str, np.ndarray], table: Table) -> None:
    """Refuses other rows that break what the training rows kept to.

    Args:
        columns: What training knew of the columns.
        numbers: Their cells in own units.
        table: The table, for messages.

    Raises:
        ColumnError: One line with the rows.
    """
    for column in columns:
        if (relation := column.relation) is not None:
            names = [column.name, *relation.others]
            _refuse_broken(relation.text, relation.broken(numbers), names, table)


def deduce(columns: Sequence[Column], numbers: Mapping[str, np.ndarray]) -> Iterator[str]:
    """Cells that equations leave one value for, filled in place; yields the columns of these."""
    for column in columns:
        relation = column.relation
        if relation is None or relation.slack != 0:
            continue
        for factor, name in relation.terms:
            others = relation.sum({**numbers, name: np.zeros_like(numbers[name])})
            found = (numbers[column.name] - others) / factor
            holes = np.isnan(numbers[name]) & ~np.isnan(found)
            if holes.any():
                numbers[name][holes] = found[holes]
                yield name
