"""The rows of tables and of arrays as a model sees them, unit after unit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from elbax.data import tables
from elbax.data.cells import Category, read_cells
from elbax.data.columns import CODED, RANGES, Column, text_of
from elbax.data.errors import DataError
from elbax.data.formats.tables import Table
from elbax.data.splitting import Part
from elbax.data.streams.survey import TableSource, piece_rows
from elbax.util.words import shown

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, eq=False)
class TableRows:
    """A table's rows as numbers.

    Attributes:
        source: the table.
        columns: what its columns are.
        missing: what stands for a cell that was not observed, besides the usual marks.
        labels: the column that holds labels, and the codes of these; None without.
    """

    source: TableSource
    columns: tuple[Column, ...]
    missing: tuple[str, ...] = ()
    labels: tuple[str, dict[Category, int]] | None = None

    @property
    def lengths(self) -> np.ndarray:
        """(units,) how many rows each unit has."""
        return self.source.lengths

    def pieces(self, unit: int) -> Iterator[Part]:
        """The rows of a unit in their order, a piece at a time.

        Raises:
            DataError: they cannot be read, or hold what the first pass did not find.
        """
        names = [column.name for column in self.columns]
        names += [] if self.labels is None else [self.labels[0]]
        for batch in self.source.batches(unit, names, piece_rows(len(names))):
            yield self.encode(batch)

    def encode(self, batch: "pa.RecordBatch | pa.Table") -> Part:
        """Some rows of the table: float32, NaN where not observed; and their labels.

        Raises:
            DataError: cells are not what the columns are.
        """
        x = np.empty((batch.num_rows, len(self.columns)), np.float32)
        slow = [
            (i, column)
            for i, column in enumerate(self.columns)
            if self.missing or not _plain(column, batch.column(column.name), x[:, i])
        ]
        if slow:
            left = [column for _, column in slow]
            arrays = {column.name: batch.column(column.name) for column in left}
            table = Table("", self.source.source, arrays, batch.num_rows, self.missing)
            x[:, [i for i, _ in slow]] = tables.encode(table, left).x
        if self.labels is None:
            return Part(x)
        name, codes = self.labels
        return Part(x, label_codes(batch.column(name), name, codes, self.source.source))


def _plain(column: Column, array: "pa.Array | pa.ChunkedArray", out: np.ndarray) -> bool:
    """Writes a column of numbers that are all observed and finite; False of any other.

    It is `elbax.data.tables.encode` without the questions that such a column need not be asked.
    """
    import pyarrow as pa

    if column.kind in CODED or array.null_count or column.notation is not None:
        return False
    if not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type)):
        return False
    numbers = array.to_numpy().astype(np.float64)
    if column.kind in RANGES and not RANGES[column.kind].contains(numbers).all():
        return False
    numbers -= column.shift
    numbers /= column.scale
    with np.errstate(over="ignore", invalid="ignore"):
        out[:] = numbers
    return bool(np.isfinite(out).all())


def label_codes(
    array: "pa.Array | pa.ChunkedArray", name: str, codes: dict[Category, int], where: str
) -> np.ndarray:
    """Labels as codes, (rows,) int64.

    Raises:
        DataError: one is missing, or was not there before.
    """
    cells = read_cells(array, name, as_text=True)
    gone = np.isnan(cells.numbers)
    if gone.any():
        raise DataError(
            f"the labels ({shown(repr(name))}) of {where} are missing in some rows: fill them, or "
            "drop those rows"
        )
    if cells.levels is None:
        values, places = np.unique(cells.numbers, return_inverse=True)
        known: Sequence[Category] = [text_of(float(value)) for value in values]
    else:
        known, places = [text_of(level) for level in cells.levels], cells.numbers.astype(int)
    found = np.array([codes.get(value, -1) for value in known] or [0])[places]
    if np.any(found < 0):
        value = known[int(places[int(np.argmax(found < 0))])]
        raise DataError(
            f"the labels ({shown(repr(name))}) of {where} hold {shown(repr(value))}, which was not "
            "there before: bring the old data back, or train a new run"
        )
    return found.astype(np.int64)
