"""One pass over a table in a stream: what its columns are, and the rows that are kept in memory."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from elbax.data.cells import Cells, read_cells
from elbax.data.columns import Column
from elbax.data.errors import ColumnError, DataError, UnusableColumn
from elbax.data.kinds import IGNORE, MOST_CATEGORIES, check_kind, infer, set_aside
from elbax.data.mends import FLAGS
from elbax.data.streams.stream import Kept, distinct
from elbax.data.streams.tally import Tally
from elbax.util.words import hint, listed, shown

if TYPE_CHECKING:
    import pyarrow as pa

_PIECE = 8_000_000  # bytes of float64 that are read at once
_FEW_ROWS = 10  # all different by chance
_JUDGED = 5_000  # rows that show how numbers are distributed


@runtime_checkable
class TableSource(Protocol):
    """A table whose rows are read in units (`elbax.data.formats.parquet.ParquetTable`)."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def source(self) -> str:
        """Where it is, in words."""
        ...

    @property
    def schema(self) -> "pa.Schema":
        """Names and types of its columns."""
        ...

    @property
    def lengths(self) -> np.ndarray:
        """(units,) how many rows each unit has."""
        ...

    @property
    def size(self) -> int:
        """Bytes of all its values."""
        ...

    @property
    def identity(self) -> str:
        """What another content would change."""
        ...

    def batches(
        self, unit: int, columns: Sequence[str] | None = None, rows: int = 1 << 16
    ) -> "Iterator[pa.RecordBatch]":
        """The rows of a unit in order, some of the columns, so many at once."""
        ...

    def table(self) -> "pa.Table":
        """All rows."""
        ...


@dataclass
class Survey:
    """What one pass found.

    Attributes:
        tallies: of each column that was read, by name, the labels' too.
        kept: the rows that are kept, in order.
        judged: those by which distributions are judged, in order.
        unusable: columns that cannot be modelled, and why.
    """

    tallies: dict[str, Tally]
    kept: "pa.Table"
    judged: "pa.Table"
    unusable: dict[str, str] = field(default_factory=dict)


def piece_rows(columns: int) -> int:
    """How many rows of a table are read at once."""
    return max(256, min(1 << 16, _PIECE // (8 * max(1, columns))))


def survey(
    source: TableSource,
    columns: Sequence[str],
    kept: Kept,
    missing: Sequence[str],
    seed: int,
) -> Survey:
    """Reads all rows once.

    Args:
        source: the table.
        columns: which columns.
        kept: the rows to keep.
        missing: what stands for a cell that was not observed, besides the usual marks.
        seed: of the choice of rows by which distributions are judged.

    Raises:
        DataError: it cannot be read, or holds infinite numbers.
    """
    import pyarrow as pa

    unusable: dict[str, str] = {}
    read = []
    for name in columns:
        try:
            read_cells(pa.array([], source.schema.field(name).type), name, missing, as_text=True)
        except UnusableColumn as problem:
            unusable[name] = str(problem).removeprefix(f"column {shown(repr(name))} ")
        else:
            read.append(name)
    rows, held = int(source.lengths.sum()), kept.held
    judged = np.sort(distinct(rows, min(rows, _JUDGED), seed + 1))
    chosen = np.union1d(kept.all, judged)
    tallies, pieces, first = {name: Tally(name) for name in read}, [], 0
    for unit in range(len(source.lengths)):
        for batch in source.batches(unit, read, piece_rows(len(read))):
            end = first + batch.num_rows
            ends = np.searchsorted(chosen, [first, end])
            here = chosen[ends[0] : ends[1]] - first
            if len(here):
                pieces.append(batch.take(pa.array(here)))
            out = held[np.searchsorted(held, first) : np.searchsorted(held, end)] - first
            untrained = np.zeros(batch.num_rows, bool)
            untrained[out] = True
            for name in list(tallies):
                try:
                    cells = read_cells(batch.column(name), name, missing, as_text=True)
                    tallies[name].add(cells, untrained if len(out) else None)
                except UnusableColumn as problem:
                    unusable[name] = str(problem).removeprefix(f"column {shown(repr(name))} ")
                    del tallies[name]
                except ColumnError as problem:
                    raise ColumnError(f"{source.source}: {problem}") from None
            first = end
    table = pa.Table.from_batches(pieces)
    return Survey(
        tallies,
        table.take(pa.array(np.searchsorted(chosen, kept.all))),
        table.take(pa.array(np.searchsorted(chosen, judged))),
        unusable,
    )


@dataclass
class Found:
    """What the columns of a stream are.

    Attributes:
        columns: those that are modelled.
        ignored: the others, and why.
        notes: what is worth a word, a line each.
    """

    columns: tuple[Column, ...]
    ignored: dict[str, str]
    notes: list[str]


def find_columns(
    source: TableSource, found: Survey, kinds: Mapping[str, str], labels: str | None
) -> Found:
    """What each column is, by the rule of tables in memory (`elbax.data.kinds.infer`).

    What the rule asks of all cells (their range, whether they are whole, which there are) is that
    of all; what it asks of a distribution (variance, skewness, fit) is that of 5,000 random rows.
    Numbers and dates that are written as text stay text.

    Args:
        source: the table.
        found: what the pass gave.
        kinds: kinds to take instead of those found, by column.
        labels: the column that holds labels.

    Raises:
        DataError: a column that cannot be used, or none is left.
    """
    columns, ignored, notes = [], {}, []
    for place, name in enumerate(source.schema.names):
        asked = kinds.get(name)
        if name == labels or asked == IGNORE:
            ignored[name] = "the labels" if name == labels else "as asked"
            continue
        if name in found.unusable:
            if asked is not None:
                problem = f"column {shown(repr(name))} {found.unusable[name]}"
                raise ColumnError(f"{source.source}: {problem}")
            ignored[name] = found.unusable[name]
            continue
        tally = found.tallies[name]
        cells = _cells(tally, found.judged.column(name))
        why = None if asked is not None else _set_aside(name, place, tally, cells)
        if why is not None:
            ignored[name] = why
            continue
        try:
            columns.append(tally.fitted(infer(name, cells, asked)))
        except UnusableColumn as problem:
            if asked is not None:
                raise ColumnError(f"{source.source}: {problem}") from None
            ignored[name] = str(problem).removeprefix(f"column {shown(repr(name))} ")
            continue
        except ColumnError as problem:
            mend = f"{problem} (or leave it out: {FLAGS.leave_out(name)})"
            raise ColumnError(f"{source.source}: {mend}") from None
        if tally.marks:
            marks = ", ".join(
                f"{count:,} × {shown(repr(mark))}" for mark, count in tally.marks.items()
            )
            notes.append(f"{shown(name)}: {marks} taken as missing")
    if not columns:
        whys = "; ".join(f"{shown(name)}: {why}" for name, why in list(ignored.items())[:3])
        raise DataError(f"{source.source}: no column is left to be modelled ({whys})")
    return Found(tuple(columns), ignored, notes)


def checked_kinds(
    source: TableSource, kinds: Mapping[str, str], labels: str | None
) -> dict[str, str]:
    """The kinds that were asked for, and refuses columns that there are not.

    Raises:
        DataError: with the nearest name.
    """
    names = source.schema.names
    for name in [*kinds, *([] if labels is None else [labels])]:
        if name not in names:
            raise DataError(
                f"{source.source} has no column {shown(repr(name))}{hint(name, names)}: it has "
                f"{listed(names)}"
            )
    return {name: check_kind(name, kind) for name, kind in kinds.items()}


def _cells(tally: Tally, judged: "pa.ChunkedArray") -> Cells:
    """Cells that the rule of kinds finds the same in as in all of them."""
    if tally.levels is not None:
        levels = tally.used()
        seen = [code for code, level in enumerate(levels) if tally.counts[level]]
        return Cells(np.array(seen, np.float64), tally.dtype, levels, tally.ordered)
    if not tally.many:
        values = np.array(list(tally.counts), np.float64)
        shares = np.array(list(tally.counts.values())) * (_JUDGED / max(1, tally.observed))
        return Cells(np.repeat(values, np.maximum(1, np.rint(shares)).astype(int)), tally.dtype)
    some = read_cells(judged, tally.name, tuple(tally.marks), as_text=True)
    return Cells(np.concatenate([some.numbers, tally.ends()]), tally.dtype)


def _set_aside(name: str, place: int, tally: Tally, cells: Cells) -> str | None:
    """Why a column is no property of its row and is kept out of the model, or None."""
    if tally.levels is None:
        if tally.counts_rows:
            return "an index: it counts the rows"
        if not (tally.whole and tally.many):
            return None
        some = Cells(cells.numbers[: -len(tally.ends())], tally.dtype)
        return set_aside(name, place, some) if len(some.observed) > _FEW_ROWS else None
    count = len(tally.used())
    unique = tally.dtype == "large_string" and _FEW_ROWS < count == tally.observed
    if not (tally.many or unique or count > MOST_CATEGORIES):
        return None
    what = f"more than {MOST_CATEGORIES}"
    if tally.many or count > 0.5 * tally.observed:
        what = "an identifier or free text"
    least = f"more than {count:,}" if tally.many else f"{count:,}"
    return f"{least} different texts, {what}: merge them to have it modelled"
