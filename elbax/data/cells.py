"""The cells of one column as they were read: numbers, or codes into levels; NaN where missing."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from elbax.data.errors import ColumnError, UnusableColumn
from elbax.util.words import counted, shown

if TYPE_CHECKING:
    import pyarrow as pa

Category = bool | int | float | str

LARGEST = 1e100  # squares of larger numbers leave the range of floats
EXACT = 1 << 53  # whole numbers beyond it are not all float64


@dataclass(frozen=True)
class Cells:
    """The cells of a column.

    Attributes:
        numbers: (n,) float64, NaN where not observed; of text, codes into levels.
        dtype: as `Column.dtype`.
        levels: what the codes mean, for text, truth values and dictionaries; else None.
        ordered: whether the levels were declared to have an order.
    """

    numbers: np.ndarray
    dtype: str = "double"
    levels: tuple[Category, ...] | None = None
    ordered: bool = False

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


def read_cells(array: "pa.ChunkedArray | pa.Array", name: str) -> Cells:
    """The cells of one pyarrow column.

    Raises:
        ColumnError: dates, lists and whatever else is neither number, truth value nor text.
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
    if pa.types.is_integer(kind):
        numbers = _floats(array)
        if np.nanmax(np.abs(numbers), initial=0.0) >= EXACT:
            raise UnusableColumn(
                f"column {shown(repr(name))} holds whole numbers beyond 2^53, as identifiers do: "
                "leave it out"
            )
        return Cells(numbers, str(kind))
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        dtype = "double" if pa.types.is_decimal(kind) else str(kind)
        return Cells(_floats(array.cast(pa.float64())), dtype)
    if pa.types.is_dictionary(kind):
        return _dictionary(array, name)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or str(kind) == "string_view":
        coded = array.cast(pa.large_string()).dictionary_encode()
        levels = coded.dictionary.to_pylist()
        codes = _floats(coded.indices)
        order = sorted(range(len(levels)), key=levels.__getitem__)
        place = np.argsort(np.asarray(order, int)) if order else np.empty(0, int)
        seen = ~np.isnan(codes)
        codes[seen] = place[codes[seen].astype(int)]
        return Cells(codes, "large_string", tuple(levels[i] for i in order))
    what = "dates or times" if pa.types.is_temporal(kind) else f"values of type {shown(kind)}"
    raise UnusableColumn(
        f"column {shown(repr(name))} holds {what}, which are not modelled: turn it into numbers, "
        "or leave it out"
    )


def _dictionary(array: "pa.DictionaryArray", name: str) -> Cells:
    values = read_cells(array.dictionary, name)
    levels = values.levels
    if levels is None:
        levels = tuple(plain(value, values.dtype) for value in values.numbers)
    else:
        levels = tuple(levels[int(code)] for code in values.numbers)
    ordered = bool(array.type.ordered)
    return Cells(_floats(array.indices), f"{'ordered ' * ordered}dictionary", levels, ordered)


def _floats(array: "pa.Array") -> np.ndarray:
    """Numbers as float64, null as NaN; a copy."""
    import pyarrow as pa

    return np.array(array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)


def plain(value: float, dtype: str) -> int | float:
    """A number as a column of this type holds it."""
    return int(value) if is_integral(dtype) else float(value)


def is_integral(dtype: str) -> bool:
    """Whether a type is one of whole numbers."""
    return dtype.startswith(("int", "uint"))


def check_numbers(name: str, cells: Cells) -> None:
    """Refuses infinity and what is as good as infinite.

    Raises:
        ColumnError: one line, with the first row.
    """
    if cells.levels is not None:
        return
    for test, what in ((np.isinf, "infinite"), (lambda x: np.abs(x) > LARGEST, "beyond 1e100")):
        bad = test(cells.numbers)
        if bad.any():
            raise ColumnError(
                f"column {shown(repr(name))} has {counted(int(bad.sum()), 'cell')} that "
                f"{'is' if bad.sum() == 1 else 'are'} {what}, the first in row "
                f"{int(np.argmax(bad)):,} (counted from 0): mend it, or leave it empty"
            )
