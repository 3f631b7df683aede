"""The cells of one column as they were read: numbers, or codes into levels; NaN where missing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from elbax.data import notation as notations
from elbax.data.errors import ColumnError, UnusableColumn
from elbax.data.notation import Notation
from elbax.util.words import places, shown

if TYPE_CHECKING:
    import pyarrow as pa

Category = bool | int | float | str

LARGEST = 1e100  # squares of larger numbers leave the range of floats
EXACT = 1 << 53  # whole numbers beyond it are not all float64


@dataclass(frozen=True)
class Cells:
    """The cells of a column.

    Attributes:
        numbers: (n,) float64, NaN where not observed; of text, codes into levels; of dates days
            since 1970, of times and moments seconds.
        dtype: as `Column.dtype`.
        levels: what the codes mean, for text, truth values and dictionaries; else None.
        ordered: whether the levels were declared to have an order.
        notation: how the numbers or dates were written, where they are text.
        odd: of text that is nearly all numbers, the few others and how often each occurs.
        marks: the marks that were taken for a missing cell, and how often.
    """

    numbers: np.ndarray
    dtype: str = "double"
    levels: tuple[Category, ...] | None = None
    ordered: bool = False
    notation: Notation | None = None
    odd: Mapping[str, int] = field(default_factory=dict)
    marks: Mapping[str, int] = field(default_factory=dict)

    @property
    def observed(self) -> np.ndarray:
        """The observed cells alone."""
        return self.numbers[~np.isnan(self.numbers)]

    @property
    def sort(self) -> str:
        """What they are, in words."""
        if self.levels is None:
            return "numbers"
        return {"bool": "truth values", "large_string": "text"}.get(self.dtype, "categories")

    def value(self, row: int) -> Category:
        """The cell of a row, which is observed, as the table has it."""
        return self.levels[int(self.numbers[row])] if self.levels else float(self.numbers[row])


def read_cells(
    array: "pa.ChunkedArray | pa.Array",
    name: str,
    missing: Sequence[str] = (),
    *,
    as_text: bool = False,
) -> Cells:
    """The cells of one pyarrow column.

    Args:
        array: the column.
        name: its name, for messages.
        missing: what stands for a cell that was not observed, besides the usual marks.
        as_text: leave text as it is, though it be numbers or dates.

    Raises:
        ColumnError: lists and whatever else is neither number, date, truth value nor text.
    """
    import pyarrow as pa

    kind = array.type
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
        if isinstance(array, pa.ChunkedArray):  # of no chunks, or of dictionaries
            array = pa.concat_arrays(array.unify_dictionaries().chunks)
    if pa.types.is_null(kind):
        return Cells(np.full(len(array), np.nan), "null")
    if pa.types.is_boolean(kind):
        return Cells(_floats(array.cast(pa.uint8())), "bool", (False, True))
    if pa.types.is_dictionary(kind):
        return _dictionary(array, name, missing)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or str(kind) == "string_view":
        return _text(array, missing, as_text=as_text)
    if pa.types.is_temporal(kind) and not str(kind).startswith("month"):
        return Cells(_moments(array), str(kind))
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise UnusableColumn(
            f"column {shown(repr(name))} holds values of type {shown(kind)}, which are not "
            "modelled: turn it into numbers, or leave it out"
        )
    dtype = "double" if pa.types.is_decimal(kind) else str(kind)
    numbers = _floats(array if pa.types.is_integer(kind) else array.cast(pa.float64()))
    if pa.types.is_integer(kind) and np.nanmax(np.abs(numbers), initial=0.0) >= EXACT:
        raise UnusableColumn(
            f"column {shown(repr(name))} holds whole numbers beyond 2^53, as identifiers do: "
            "leave it out"
        )
    marks: dict[str, int] = {}
    for mark in missing:
        if (number := _number(mark)) is not None and (count := int((numbers == number).sum())):
            numbers[numbers == number], marks[mark] = np.nan, count
    return Cells(numbers, dtype, marks=marks)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _text(array: "pa.Array", missing: Sequence[str], *, as_text: bool) -> Cells:
    """Text: levels in order, or the numbers or dates that it writes; marks are missing cells."""
    import pyarrow as pa

    coded = array.cast(pa.large_string()).dictionary_encode()
    texts = coded.dictionary.to_pylist()
    codes = _floats(coded.indices)
    seen = ~np.isnan(codes)
    counts = np.bincount(codes[seen].astype(int), minlength=len(texts))
    asked = frozenset(mark.strip().casefold() for mark in missing)
    gone = np.array([notations.is_mark(text, asked) for text in texts], bool)
    marks = {texts[i]: int(counts[i]) for i in np.flatnonzero(gone)}
    order = sorted(np.flatnonzero(~gone), key=lambda i: texts[i])
    place = np.full(len(texts) + 1, np.nan)
    place[order] = np.arange(len(order))
    levels, counts = tuple(texts[i] for i in order), counts[order]
    numbers = place[np.where(seen, codes, -1).astype(int)]
    found = None if as_text or not levels else notations.find(levels, counts)
    if found is None:
        return Cells(numbers, "large_string", levels, marks=marks)
    if found.odd:
        odd = {text: int(counts[levels.index(text)]) for text in found.odd}
        return Cells(numbers, "large_string", levels, odd=odd, marks=marks)
    observed = ~np.isnan(numbers)
    numbers[observed] = found.values[numbers[observed].astype(int)]
    if found.notation.plain:
        return Cells(numbers, marks=marks)
    return Cells(numbers, "large_string", notation=found.notation, marks=marks)


def _moments(array: "pa.Array") -> np.ndarray:
    """Dates as days since 1970; moments, times and spans as seconds; null as NaN."""
    import pyarrow as pa

    if pa.types.is_date(array.type):
        return _floats(array.cast(pa.date32()).cast(pa.int32()))
    unit = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[array.type.unit]
    return _floats(array.cast(pa.int32() if array.type.bit_width == 32 else pa.int64())) / unit


def _dictionary(array: "pa.DictionaryArray", name: str, missing: Sequence[str]) -> Cells:
    """Codes into the dictionary's values, in its order; marks among these are missing cells."""
    values = read_cells(array.dictionary, name, missing, as_text=True)
    if is_temporal(values.dtype):
        raise UnusableColumn(
            f"column {shown(repr(name))} holds categories that are dates or times: "
            "turn it into these, or into text"
        )
    known = ~np.isnan(values.numbers)
    levels: list[Category] = [plain(value, values.dtype) for value in values.numbers[known]]
    if values.levels is not None:
        levels = [values.levels[int(code)] for code in values.numbers[known]]
    codes = _floats(array.indices)
    seen = ~np.isnan(codes)
    counts = np.bincount(codes[seen].astype(int), minlength=len(known))
    texts = array.dictionary.to_pylist()
    marks = {str(texts[i]): int(counts[i]) for i in np.flatnonzero(~known) if counts[i]}
    place = np.where(known, np.cumsum(known) - 1.0, np.nan)
    codes[seen] = place[codes[seen].astype(int)]
    ordered = bool(array.type.ordered)
    dtype = f"{'ordered ' * ordered}dictionary"
    return Cells(codes, dtype, tuple(levels), ordered, marks=marks)


def _floats(array: "pa.Array") -> np.ndarray:
    """Numbers as float64, null as NaN; a copy."""
    import pyarrow as pa

    return np.array(array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)


def plain(value: float, dtype: str) -> int | float:
    """A number as a column of this type holds it."""
    return int(value) if is_integral(dtype) else float(value)


def is_temporal(dtype: str) -> bool:
    """Whether a type is one of dates, moments, times or spans."""
    return dtype.startswith(("date", "time", "duration"))


def is_integral(dtype: str) -> bool:
    """Whether a type is one of whole numbers."""
    return dtype.startswith(("int", "uint"))


def check_numbers(name: str, cells: Cells) -> None:
    """Refuses infinity and what is as good as infinite.

    Raises:
        ColumnError: one line, with the rows.
    """
    if cells.levels is not None:
        return
    for test, what in ((np.isinf, "infinite"), (lambda x: np.abs(x) > LARGEST, "beyond 1e100")):
        bad = test(cells.numbers)
        if bad.any():
            raise ColumnError(
                f"column {shown(repr(name))} is {what} {places(np.flatnonzero(bad).tolist())}: "
                "mend it, or leave the cell empty"
            )
