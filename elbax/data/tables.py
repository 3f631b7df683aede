"""Tables of mixed columns to numbers and back.

Kinds and categories are those of all rows; shifts and scales are fitted to the observed cells of
the training rows alone.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from elbax.data import columns as one
from elbax.data import constraints as constraint_tools
from elbax.data.cells import LARGEST, Cells, read_cells
from elbax.data.columns import CODED, Column
from elbax.data.errors import ColumnError, DataError, UnseenCategory, UnusableColumn
from elbax.data.formats.tables import Table
from elbax.data.kinds import IGNORE, check_kind, infer, infer_matrix, set_aside
from elbax.data.mends import Mends
from elbax.data.relations import fit_others, in_order
from elbax.data.splitting import Part
from elbax.util.words import counted, hint, listed, places, shown

if TYPE_CHECKING:
    import pyarrow as pa

_FEW_CELLS = 20  # tell nothing of a mark among numbers
_BEYOND = 3.0  # times the training cells' range beyond its ends is far outside
_FAR = 8.0  # standard deviations between such a mark and the others


@dataclass(frozen=True)
class Coded:
    """A table in numbers, before the training rows are known.

    Attributes:
        part: (n, d) float64 codes and numbers, neither shifted nor scaled; labels, if any.
        columns: what the d columns are, without shift and scale.
        ignored: the columns that are left out, and why.
        notes: what of the columns is worth a word, a line each.
        problems: what of them cannot be used as it is, a line each.
        missing: (n, d) bool, which cells the table lacks, where constraints tell it from NaN.
    """

    part: Part
    columns: tuple[Column, ...]
    ignored: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    missing: np.ndarray | None = None


# --- a new table: its columns are found --------------------------------------------------------


def find_columns(
    table: Table,
    kinds: Mapping[str, str],
    labels: str | None,
    constraints: Sequence[str] = (),
    *,
    check: bool,
) -> Coded:
    """What each column is, and the table in numbers.

    Args:
        table: the table.
        kinds: kinds to take instead of those found, by column; "ignore" leaves a column out.
        labels: the column that holds labels; it is left out of the rows.
        constraints: what all rows keep to (`elbax.data.constraints`).
        check: refuse columns that cannot be used; otherwise they are left out, with the reason.

    Raises:
        DataError: an unknown column or kind; a column that cannot be used; no column left; a
            constraint that is none, or that rows break.
    """
    for name in kinds:
        _check_known(table, name)
    kinds = {name: check_kind(name, kind) for name, kind in kinds.items()}
    label = None
    if labels is not None:
        _check_known(table, labels)
        label = _labels(table, labels)
    if table.matrix:
        if constraints:
            raise DataError(
                f"constraint (--constraint) names columns, and {table.source} is an array without "
                "names: give a table"
            )
        return _matrix(table, kinds, label, check=check)
    coded = Coded(Part(np.empty(0)), ())
    each: Iterable[tuple[Column, Cells]] = _each(table, kinds, labels, coded, check=check)
    missing = None
    if constraints:
        found = {column.name: (column, cells) for column, cells in each}
        missing = np.stack([np.isnan(cells.numbers) for _, cells in found.values()], axis=1)
        each = _constrained(table, found, kinds, constraints, coded, check=check)
    # Column after column into one array: of a large table there is no second copy.
    x, columns = np.empty((len(table.columns), table.rows)), []
    for column, cells in each:
        x[len(columns)] = one.encode(column, cells, table.source)
        columns.append(column)
    if not columns:
        whys = "; ".join(f"{shown(name)}: {why}" for name, why in list(coded.ignored.items())[:3])
        raise DataError(f"{table.source}: no column is left to be modelled ({whys})")
    part = Part(x[: len(columns)].T, label)
    return replace(coded, part=part, columns=tuple(columns), missing=missing)


def _each(
    table: Table, kinds: Mapping[str, str], labels: str | None, coded: Coded, *, check: bool
) -> Iterator[tuple[Column, Cells]]:
    """Each column by itself; what is left out, and what is worth a word, is added to `coded`."""
    for place, (name, array) in enumerate(table.columns.items()):
        asked = kinds.get(name)
        if name == labels or asked == IGNORE:
            coded.ignored[name] = "the labels" if name == labels else "as asked"
            continue
        try:
            as_text = (asked or "").startswith(("categorical", "ordinal", "binary"))
            cells = read_cells(array, name, table.missing, as_text=as_text)
            why = set_aside(name, place, cells) if asked is None else None
            if why is not None:
                coded.ignored[name] = why
                continue
            column = infer(name, cells, asked, table.mends)
        except UnusableColumn as problem:
            if asked is not None and check:
                raise ColumnError(f"{table.source}: {problem}") from None
            coded.ignored[name] = str(problem).removeprefix(f"column {shown(repr(name))} ")
        except ColumnError as problem:
            mend = f"{problem} (or leave it out: {table.mends.leave_out(name)})"
            if check:
                raise ColumnError(f"{table.source}: {mend}") from None
            coded.problems.append(mend)
            coded.ignored[name] = str(problem).removeprefix(f"column {shown(repr(name))} ")
        else:
            coded.notes.extend(_notes(name, cells, table.mends))
            yield column, cells


def _constrained(
    table: Table,
    found: Mapping[str, tuple[Column, Cells]],
    kinds: Mapping[str, str],
    constraints: Sequence[str],
    coded: Coded,
    *,
    check: bool,
) -> list[tuple[Column, Cells]]:
    """The columns with those that follow from others in relation to these; notes are added.

    Raises:
        DataError: a constraint that is none, that rows break, or that does not go with the others.
    """
    cells = {name: read for name, (_, read) in found.items()}
    try:
        related = constraint_tools.relate(constraints, table, cells)
    except DataError as problem:
        if check:
            raise
        coded.problems.append(str(problem))
        return [*found.values()]
    made = dict(found)
    for name, relation in related.relations.items():
        distance = related.distances[name]
        if relation.slack == 0:
            column = Column(name, "constant", "double", (0.0,))
        else:
            column = infer(name, distance, kinds.get(name))
        made[name] = replace(column, relation=relation), distance
        what = "follows" if relation.slack == 0 else "is modelled by its distance"
        others = listed(relation.others)
        coded.notes.append(f"{shown(name)}: {what} from {others} ({relation.text})")
    for name, ends in related.ranges.items():
        column, read = made[name]
        if column.relation is None:
            made[name] = constraint_tools.within(column, *ends), read
    columns = [column for column, _ in made.values()]
    numbers = {name: np.array(read.numbers) for name, read in cells.items() if read.levels is None}
    for name in constraint_tools.deduce(columns, numbers):
        holes = int(np.isnan(cells[name].numbers).sum() - np.isnan(numbers[name]).sum())
        made[name] = made[name][0], replace(cells[name], numbers=numbers[name])
        gone = counted(holes, "missing cell")
        coded.notes.append(f"{shown(name)}: {gone} follow from the others")
    return [*made.values()]


def _matrix(
    table: Table, kinds: Mapping[str, str], label: np.ndarray | None, *, check: bool
) -> Coded:
    """An array's columns: kinds by the rule of a feature matrix, or as asked."""
    ignored = {name: "as asked" for name, kind in kinds.items() if kind == IGNORE}
    by_column, left, notes = np.empty((len(table.columns), table.rows)), [], []
    for name, array in table.columns.items():
        cells = read_cells(array, name, table.missing)
        if len(cells.observed) == 0:
            ignored[name] = "no observed cell"
        elif name not in ignored:
            by_column[len(left)] = cells.numbers
            left.append(name)
            notes.extend(_notes(name, cells, table.mends))
    if not left:
        raise DataError(f"{table.source}: no column is left to be modelled")
    x = by_column[: len(left)].T
    problems: list[str] = []
    try:
        columns = infer_matrix(tuple(left), x, {n: k for n, k in kinds.items() if n in left})
    except ColumnError as problem:
        if check:
            raise ColumnError(f"{table.source}: {problem}") from None
        problems.append(str(problem))
        x = np.where(np.abs(x) <= LARGEST, x, np.nan)
        columns = infer_matrix(tuple(left), x)
    return Coded(Part(x, label), columns, ignored, notes, problems)


def _notes(name: str, cells: Cells, mends: Mends) -> Iterator[str]:
    """What was read in a special way, and numbers that may stand for missing cells."""
    if cells.marks:
        marks = ", ".join(f"{count} × {shown(repr(mark))}" for mark, count in cells.marks.items())
        yield f"{shown(name)}: {marks} taken as missing"
    if cells.notation is not None:
        yield f"{shown(name)}: {cells.notation.in_words()}"
    if cells.levels is None and (found := sentinel(cells.observed)) is not None:
        value, count, deviations = found
        side = "below" if value < 0 or value == cells.observed.min() else "above"
        yield (
            f"{shown(name)}: {counted(count, 'cell')} {'is' if count == 1 else 'are'} {value:g}, "
            f"{deviations:,.0f} standard deviations {side} the others: if that stands for missing "
            f"cells, {mends.sentinel.format(value=value)}"
        )


def sentinel(observed: np.ndarray) -> tuple[float, int, float] | None:
    """A number that may stand for missing cells: an end of the range, repeated, far from the rest.

    Args:
        observed: The observed cells.

    Returns:
        The number, how often it occurs, and how many standard deviations of the others it lies from
        the nearest of them; None where there is none.
    """
    if len(observed) < _FEW_CELLS:
        return None
    for value in (float(observed.min()), float(observed.max())):
        others = observed[observed != value]
        count = len(observed) - len(others)
        if count < 2 or len(others) < _FEW_CELLS:
            continue
        spread = float(np.std(others))
        gap = float(np.abs(others - value).min())
        if spread > 0 and gap > _FAR * spread:
            return value, count, gap / spread
    return None


def fit(columns: Sequence[Column], x: np.ndarray, train: np.ndarray | slice) -> tuple[Column, ...]:
    """The columns with the shift and the scale of the training rows.

    The resolution and the range are those of all rows, as the kinds are.

    Args:
        columns: what `find_columns` found.
        x: (n, d) all rows.
        train: which of them are training rows.

    Raises:
        ColumnError: a column of numbers has no observed training cell.
    """
    return tuple(
        one.fit(one.observe(column, x[:, i]), x[train, i]) for i, column in enumerate(columns)
    )


def scaled(columns: Sequence[Column], x: np.ndarray, rows: np.ndarray | slice) -> np.ndarray:
    """Some of the rows shifted and scaled, as float32.

    Args:
        columns: what `fit` gave.
        x: (n, d) all rows.
        rows: which.
    """
    found = [single((x[rows, i] - c.shift) / c.scale) for i, c in enumerate(columns)]
    return np.stack(found, axis=1)


def single(x: np.ndarray) -> np.ndarray:
    """As float32: what is beyond it, such as an error of typing, is its largest number."""
    largest = np.finfo(np.float32).max
    return np.clip(x, -largest, largest).astype(np.float32)


def _check_known(table: Table, name: str) -> None:
    if name not in table.columns:
        raise DataError(
            f"{table.source} has no column {shown(repr(name))}"
            f"{hint(name, table.columns)}: it has {listed(table.columns)}"
        )


def _labels(table: Table, name: str) -> np.ndarray:
    cells = read_cells(table.columns[name], name, table.missing, as_text=True)
    gone = np.isnan(cells.numbers)
    if gone.any():
        raise DataError(
            f"the labels ({shown(repr(name))}) of {table.source} are missing "
            f"{places(np.flatnonzero(gone).tolist())}: fill them, or drop those rows"
        )
    if cells.levels is None:
        return cells.numbers
    return np.array([str(cells.levels[int(code)]) for code in cells.numbers])


# --- other rows of known columns ---------------------------------------------------------------


class Rows(NamedTuple):
    """Rows of a table of known columns.

    Attributes:
        x: (n, d) float32 as they are modelled, NaN where not observed.
        missing: (n, d) bool, which cells the table lacks. (A cell that is not missing may yet be
            NaN in `x`: a distance from a cell that is.)
        own: The cells of columns that constraints relate, by name, in their own units.
    """

    x: np.ndarray
    missing: np.ndarray
    own: dict[str, np.ndarray]


def encode(
    table: Table, columns: Sequence[Column], unseen: Literal["refuse", "missing"] = "refuse"
) -> Rows:
    """The rows of a table as the numbers that the training rows' columns say.

    Columns are found by their names, in whatever order; others than those are passed over.

    Args:
        table: the table.
        columns: what training knew of them.
        unseen: what to do about categories that training did not see: refuse them all in one
            line, or take them as missing.

    Raises:
        DataError: a column is missing, holds what training did not see, or breaks a constraint.
    """
    lacking = [column.name for column in columns if column.name not in table.columns]
    if lacking:
        raise DataError(
            f"{table.source} lacks {'the column' if len(lacking) == 1 else 'the columns'} "
            f"{listed(map(repr, lacking))} that the model was trained on: add "
            f"{'it' if len(lacking) == 1 else 'them'} (empty cells are taken as missing)"
        )
    own = {name: _own_numbers(table, column) for name, column in _related(columns).items()}
    constraint_tools.check(columns, own, table)
    known = {name: np.array(numbers) for name, numbers in own.items()}
    list(constraint_tools.deduce(columns, known))
    encoded, missing, offences = [], [], []
    for column in columns:
        array, coded = table.columns[column.name], column.kind in CODED
        if column.relation is not None:
            cells = Cells(column.relation.modelled(known))
        elif column.name in known:
            cells = Cells(known[column.name], column.dtype)
        else:
            cells = read_cells(array, column.name, table.missing, as_text=coded)
        try:
            encoded.append(one.encode(column, cells, table.source, unseen))
            gone = own[column.name] if column.name in own else encoded[-1]
            missing.append(np.isnan(gone))
        except UnseenCategory as problem:
            offences.append(str(problem))
    if offences:
        raise UnseenCategory(
            f"{table.source} has categories that training did not see: {'; '.join(offences)} "
            f"(rows counted from 0): {table.mends.unseen}"
        )
    return Rows(single(np.stack(encoded, axis=1)), np.stack(missing, axis=1), own)


def _related(columns: Sequence[Column]) -> dict[str, Column]:
    """The columns that constraints relate, as they are written."""
    names = {
        name
        for column in columns
        if column.relation is not None
        for name in (column.name, *column.relation.others)
    }
    return {column.name: column.own for column in columns if column.name in names}


def _own_numbers(table: Table, column: Column) -> np.ndarray:
    """A column's cells as numbers in its own units."""
    cells = read_cells(table.columns[column.name], column.name, table.missing)
    plain = replace(column, kind="continuous", categories=(), shift=0.0, scale=1.0)
    return one.encode(plain, cells, table.source)


def decode(
    columns: Sequence[Column], x: np.ndarray, own: Mapping[str, np.ndarray] | None = None
) -> "pa.Table":
    """Rows of modelled numbers as a table: the same columns, types and categories.

    Args:
        columns: what the columns are.
        x: (n, d); NaN becomes a null.
        own: the cells that are known of columns that constraints relate (`Rows`): the others are
            made to keep to the constraints with these.
    """
    return _as_table(columns, x, written(columns, x, own or {}))


def decode_ends(
    columns: Sequence[Column], lower: np.ndarray, upper: np.ndarray, own: Mapping[str, np.ndarray]
) -> "tuple[pa.Table, pa.Table]":
    """Intervals' ends as two tables; of a cell that others bound, the nearer one may be the upper.

    Args:
        columns: what the columns are.
        lower: (n, d) as they are modelled.
        upper: (n, d) likewise.
        own: as of `decode`.
    """
    low, high = written(columns, lower, own), written(columns, upper, own)
    least = {name: np.minimum(low[name], high[name]) for name in low}
    most = {name: np.maximum(low[name], high[name]) for name in low}
    return _as_table(columns, lower, least), _as_table(columns, upper, most)


def _as_table(
    columns: Sequence[Column], x: np.ndarray, numbers: Mapping[str, np.ndarray]
) -> "pa.Table":
    """Modelled numbers, or where there are others those, as a table."""
    import pyarrow as pa

    arrays = [
        one.cells_of(column.own, numbers[column.name])
        if column.name in numbers and column.own.kind not in CODED
        else one.decode(column, x[:, i])
        for i, column in enumerate(columns)
    ]
    return pa.table(arrays, names=[column.name for column in columns])


def written(
    columns: Sequence[Column], x: np.ndarray, own: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The columns that constraints relate, as they are written, in their own units.

    Args:
        columns: what the columns are.
        x: (n, d) modelled numbers.
        own: the cells that are known.
    """
    places = {column.name: i for i, column in enumerate(columns)}
    known = {column.name: column for column in columns}
    related = [known[name] for name in _related(columns)]
    observed = {one.name: own.get(one.name, np.full(len(x), np.nan)) for one in related}
    numbers: dict[str, np.ndarray] = {}
    modelled: dict[str, np.ndarray] = {}
    for column in in_order(related, known):
        codes = np.asarray(x[:, places[column.name]], np.float64)
        made = one.as_written(column, np.rint(codes) if column.kind in CODED else codes)
        seen = observed[column.name]
        relation = column.relation
        modelled[column.name] = made
        if relation is not None:
            made = relation.complete(numbers, made, column.lower or 0.0)
            fit_others(column, seen, modelled, numbers, observed, known)
        numbers[column.name] = np.where(np.isnan(seen), made, seen)
    return numbers


def far(columns: Sequence[Column], x: np.ndarray) -> list[str]:
    """Cells that lie far outside of what was trained on, a line for each column that has any.

    Args:
        columns: What training knew of them.
        x: (n, d) as they are modelled; NaN where not observed.
    """
    lines = []
    for column, cells in zip(columns, x.T, strict=True):
        if column.lower is None or column.upper is None:
            continue
        reach = _BEYOND * max(column.upper - column.lower, column.scale)
        values = one.in_own_units(column, cells)
        with np.errstate(invalid="ignore"):
            outside = (values < column.lower - reach) | (values > column.upper + reach)
        if outside.any():
            rows = np.flatnonzero(outside)
            first = ", ".join(f"{values[row]:g} in row {row:,}" for row in rows[:3])
            more = ", …" if len(rows) > 3 else ""
            what = "" if column.relation is None else f" ({shown(column.relation.text)})"
            lines.append(
                f"{shown(column.name)}{what} is far outside of what was trained on "
                f"({column.lower:g} to {column.upper:g}): {first}{more}"
            )
    return lines


def discrete(columns: Sequence[Column]) -> np.ndarray:
    """(d,) whether a column's likelihood is a mass (else a density)."""
    return np.array([column.discrete for column in columns])


# --- in words ----------------------------------------------------------------------------------


def families_in_words(columns: Sequence[Column]) -> str:
    """``3 normal, 1 binary, 2 categorical``."""
    counts = Counter(
        column.likelihood.removesuffix(f"-{len(column.categories)}") for column in columns
    )
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def parse_kinds(text: str | None) -> dict[str, str]:
    """``age=count,sex=categorical`` by column.

    Raises:
        DataError: a piece is not NAME=KIND, or a name stands twice.
    """
    found: dict[str, str] = {}
    for piece in _pieces(text):
        name, equals, kind = (word.strip() for word in piece.rpartition("="))
        if not equals or not name:
            raise DataError(
                f"columns (--columns) has {shown(repr(piece))}: give NAME=KIND, separated by "
                "commas, as in age=count,sex=categorical"
            )
        if name in found:
            raise DataError(f"columns (--columns) names {shown(repr(name))} twice")
        found[name] = kind
    return found


def _pieces(text: str | None) -> Iterator[str]:
    return (piece.strip() for piece in (text or "").split(",") if piece.strip())


def with_reasons(source: str, ignored: Mapping[str, str]) -> str:
    """The source, and which columns are left out."""
    if not ignored:
        return source
    return f"{source}; left out: {listed(ignored)}"
