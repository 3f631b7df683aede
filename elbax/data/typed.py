"""Cells that somebody typed: as values of a column, as numbers that are modelled, as cells."""

import math
from typing import TYPE_CHECKING

import numpy as np

from elbax.data.cells import LARGEST, Category, plain, read_cells
from elbax.data.columns import CODED, RANGES, Column, from_moments, shortest, text_of, type_of
from elbax.data.errors import ColumnError
from elbax.util.words import hint, listed, shown

if TYPE_CHECKING:
    import pyarrow as pa


def parse(column: Column, text: str) -> Category:
    """A cell that somebody typed, as a value of the column.

    Raises:
        ColumnError: a category that training did not see, or what is no number of the kind.
    """
    name = f"column {shown(repr(column.name))}"
    if column.kind in CODED:
        known = {text_of(category): category for category in column.categories}
        # True and true, 1 and 1.0, are one category.
        loose = {word.casefold(): category for word, category in known.items()}
        for words, word in ((known, text), (loose, text.casefold()), (known, shortest(text))):
            if word in words:
                return words[word]
        raise ColumnError(
            f"{name} has no category {shown(repr(text))}{hint(text, known)}: it has {listed(known)}"
        )
    if column.temporal:
        return _moment(column, text)
    value = math.nan if column.notation is None else column.notation.parse(text)
    if math.isnan(value) and not (column.notation and column.notation.date):
        try:
            value = float(text)
        except ValueError:
            value = math.nan
    if not abs(value) <= LARGEST:
        held = "numbers" if column.notation is None else column.notation.in_words()
        raise ColumnError(f"{name} holds {held}, and {shown(repr(text))} is none")
    if column.kind in RANGES and not RANGES[column.kind].contains(np.array(value)):
        raise ColumnError(
            f"{name} is {column.kind}: it holds {RANGES[column.kind].words}, not {text}"
        )
    if column.integral and value != round(value):
        raise ColumnError(f"{name} holds whole numbers, and {text} is none")
    return plain(value, column.dtype)


def _moment(column: Column, text: str) -> float:
    """A date or time that somebody typed, as days or seconds.

    Raises:
        ColumnError: it is none.
    """
    import pyarrow as pa

    kind = type_of(column)
    plain = pa.timestamp(kind.unit) if pa.types.is_timestamp(kind) else kind
    try:
        moment = pa.array([text]).cast(plain).cast(kind)
    except pa.ArrowException:
        raise ColumnError(
            f"column {shown(repr(column.name))} holds dates or times, and {shown(repr(text))} is "
            "none: write it as 2025-07-30, or 2025-07-30 12:00:00"
        ) from None
    return float(read_cells(moment, column.name).numbers[0])


def number_of(column: Column, value: Category) -> float:
    """A value that `parse` gave as the number that is modelled."""
    if column.kind in CODED:
        return float(column.categories.index(value))
    return (float(value) - column.shift) / column.scale


def exactly(column: Column, value: Category, count: int) -> "pa.Array":
    """So many cells of one value that `parse` gave, not rounded."""
    import pyarrow as pa

    if column.notation is not None:
        return pa.array(column.notation.write(np.full(count, float(value))))
    if column.temporal:
        return from_moments(column, np.full(count, float(value)), np.zeros(count, bool))
    return pa.array([value] * count).cast(type_of(column), safe=False)
