"""Tables of mixed columns: `.csv` and `.parquet` files, and tables in memory, to numbers and back.

Kinds and categories are those of all rows; shifts and scales are fitted to the observed cells of
the training rows alone.
"""

import csv as text_csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from elbax.data import columns as one
from elbax.data.cells import Cells, read_cells
from elbax.data.columns import Column
from elbax.data.errors import ColumnError, DataError, UnusableColumn
from elbax.data.kinds import IGNORE, check_kind, infer, infer_matrix
from elbax.data.splitting import Part
from elbax.util.words import counted, hint, listed, reason, shown

if TYPE_CHECKING:
    import pyarrow as pa

PARQUET_MAGIC = b"PAR1"
TEXT_SUFFIXES = (".csv", ".tsv")
# What stands for a cell that was not observed in a file of text, besides pyarrow's own list (the
# empty cell, NA, N/A, NaN, null, …).
_MISSING = ("None", "none", "?")
_LIBRARIES = ("pandas", "polars", "pyarrow", "narwhals", "modin", "cudf")


@dataclass(frozen=True)
class Table:
    """A table as it was read.

    Attributes:
        name: the stem of its path.
        source: its path, or what holds it in memory.
        columns: pyarrow's columns by their names, in order.
        rows: how many rows.
    """

    name: str
    source: str
    columns: "Mapping[str, pa.ChunkedArray | pa.Array]"
    rows: int


@dataclass(frozen=True)
class Coded:
    """A table in numbers, before the training rows are known.

    Attributes:
        part: (n, d) float64 codes and numbers, neither shifted nor scaled; labels, if any.
        columns: what the d columns are, without shift and scale.
        ignored: the columns that are left out, and why.
    """

    part: Part
    columns: tuple[Column, ...]
    ignored: dict[str, str]


# --- reading -----------------------------------------------------------------------------------


def is_table(data: Any) -> bool:
    """Whether this is a table in memory, or the path of a file of one."""
    if isinstance(data, str | Path):
        try:
            path = Path(data).expanduser()
            if not path.is_file():
                return False
            with path.open("rb") as file:
                return path.suffix.lower() in TEXT_SUFFIXES or file.read(4) == PARQUET_MAGIC
        except (OSError, RuntimeError, ValueError):  # said by whoever reads it
            return False
    home = type(data).__module__.partition(".")[0]
    return home in _LIBRARIES and type(data).__name__ in ("DataFrame", "Table", "LazyFrame")


def read(data: Any) -> Table:
    """The table of a path, or of a pandas, polars or pyarrow table.

    Raises:
        DataError: it cannot be read, has no rows or columns, or its columns have no proper names.
    """
    if not isinstance(data, str | Path):
        return _checked(_from_memory(data))
    path = Path(data).expanduser()
    where = shown(path)
    try:
        if path.suffix.lower() in TEXT_SUFFIXES:
            table = _read_text(path, where)
        else:
            table = _read_parquet(path, where)
    except OSError as error:
        raise DataError(f"cannot read {where}: {shown(error.strerror or error)}") from None
    pairs = list(zip(table.column_names, table.columns, strict=True))
    _check_names([name for name, _ in pairs], where)
    return _checked(Table(shown(path.stem), where, dict(pairs), table.num_rows))


def _from_memory(data: Any) -> Table:
    import narwhals as nw
    import pyarrow as pa

    if type(data).__name__ == "LazyFrame":
        raise DataError("the table is lazy: collect() it first")
    name = f"{type(data).__module__.partition('.')[0]} table"
    names = [str(column) for column in getattr(data, "columns", ())]
    if name.startswith("pyarrow"):
        names = list(data.column_names)
    _check_names(names, f"the {name}")
    columns: dict[str, Any] = {}
    frame = nw.from_native(data, eager_only=True)
    for series in frame.iter_columns():
        try:
            columns[str(series.name)] = series.to_arrow()
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise DataError(
                f"column {shown(repr(str(series.name)))} of the {name} holds mixed objects "
                f"({reason(error, 80)}): make it numbers or text"
            ) from None
    return Table("table", f"{name} in memory", columns, len(frame))


def _checked(table: Table) -> Table:
    if not table.columns:
        raise DataError(f"{table.source} has no columns")
    if table.rows == 0:
        raise DataError(f"{table.source} has column names but no rows: there is nothing to read")
    return table


def _check_names(names: Sequence[str], where: str) -> None:
    for i, name in enumerate(names):
        if not name.strip():
            raise DataError(
                f"{where}: column {i} (counted from 0) has no name; name it, or leave it out when "
                "the file is written (pandas: index=False)"
            )
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise DataError(f"{where} has two columns called {shown(repr(twice))}: rename one")


def _read_parquet(path: Path, where: str) -> "pa.Table":
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read()
    except (pa.ArrowException, ValueError) as error:
        raise DataError(f"{where} is a damaged .parquet file ({reason(error, 160)})") from None
    # What pandas keeps of its own index.
    index = [name for name in table.column_names if name.startswith("__index_level_")]
    return table.drop_columns(index) if index else table


def read_as_written(path: Path) -> "Mapping[str, pa.ChunkedArray]":
    """The cells of a file of text by column, each as it stands there.

    Raises:
        DataError: it cannot be read.
    """
    table = _read_text(path, shown(path), as_written=True)
    return dict(zip(table.column_names, table.columns, strict=True))


def _read_text(path: Path, where: str, *, as_written: bool = False) -> "pa.Table":
    """A file of comma-, semicolon- or tab-separated text, whichever its first line has most of."""
    import pyarrow as pa
    from pyarrow import csv

    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    if not content.strip():
        raise DataError(f"{where} is an empty file")
    try:
        content.decode()
    except UnicodeDecodeError as error:
        place = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{where} is not UTF-8 (line {place:,}): save it as UTF-8") from None
    header = content.splitlines()[0]
    delimiter = max((b",", b";", b"\t"), key=header.count).decode()
    missing = [] if as_written else [*csv.ConvertOptions().null_values, *_MISSING]
    names = next(text_csv.reader([header.decode()], delimiter=delimiter)) if as_written else []
    try:
        table = csv.read_csv(
            io.BytesIO(content),
            # One block: a column's type is then that of all its rows.
            csv.ReadOptions(use_threads=False, block_size=min(len(content) + 1, 1 << 30)),
            csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            csv.ConvertOptions(
                null_values=missing,
                strings_can_be_null=not as_written,
                column_types=dict.fromkeys(names, pa.string()),
            ),
        )
    except pa.ArrowException as error:
        raise DataError(_text_problem(where, reason(error, 160))) from None
    if table.num_rows and all(_is_number(name) for name in table.column_names):
        raise DataError(
            f"{where} begins with numbers ({shown(table.column_names[0])}, …), not with the names "
            "of its columns: add a first line of names"
        )
    return table


def _text_problem(where: str, reason: str) -> str:
    ragged = re.search(r"(?:Row #(\d+): )?Expected (\d+) columns, got (\d+)", reason)
    if ragged is not None:
        row, expected, found = ragged.groups()
        line = f"row {row}" if row else "a row"
        return (
            f"{where}: {line} has {counted(int(found), 'cell')}, and the first line names "
            f"{counted(int(expected), 'column')}: mend it"
        )
    return f"{where} cannot be read as a table: {reason}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


# --- a new table: its columns are found --------------------------------------------------------


def find_columns(
    table: Table, kinds: Mapping[str, str], labels: str | None, *, check: bool
) -> Coded:
    """What each column is, and the table in numbers.

    Args:
        table: the table.
        kinds: kinds to take instead of those found, by column; "ignore" leaves a column out.
        labels: the column that holds labels; it is left out of the rows.
        check: refuse columns that cannot be used; otherwise they are left out, with the reason.

    Raises:
        DataError: an unknown column or kind; a column that cannot be used; no column left.
    """
    for name in kinds:
        _check_known(table, name)
    kinds = {name: check_kind(name, kind) for name, kind in kinds.items()}
    label = None
    if labels is not None:
        _check_known(table, labels)
        label = _labels(table, labels)
    found: dict[str, tuple[Column, Cells]] = {}
    ignored: dict[str, str] = {}
    for name, array in table.columns.items():
        asked = kinds.get(name)
        if name == labels or asked == IGNORE:
            ignored[name] = "the labels" if name == labels else "as asked"
            continue
        try:
            cells = read_cells(array, name)
            found[name] = infer(name, cells, asked), cells
        except ColumnError as problem:
            hint = f" ({name}={IGNORE})" if isinstance(problem, UnusableColumn) else ""
            if check:
                raise ColumnError(f"{table.source}: {problem}{hint}") from None
            ignored[name] = f"{problem}{hint}"
    if not found:
        raise DataError(f"{table.source}: no column is left to be modelled")
    x = [one.encode(column, cells, table.source) for column, cells in found.values()]
    columns = tuple(column for column, _ in found.values())
    return Coded(Part(np.stack(x, axis=1), label), columns, ignored)


def fit(
    columns: Sequence[Column], parts: Mapping[str, Part]
) -> tuple[tuple[Column, ...], dict[str, Part]]:
    """Shift and scale by the training rows, and all parts shifted and scaled, as float32.

    Raises:
        ColumnError: a column of numbers has no observed training cell.
    """
    train = parts["train"].x
    fitted = tuple(one.fit(column, train[:, i]) for i, column in enumerate(columns))
    shift = np.array([column.shift for column in fitted])
    scale = np.array([column.scale for column in fitted])
    scaled = {
        name: part._replace(x=_single((part.x - shift) / scale)) for name, part in parts.items()
    }
    return fitted, scaled


def _single(x: np.ndarray) -> np.ndarray:
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
    cells = read_cells(table.columns[name], name)
    gone = np.isnan(cells.numbers)
    if gone.any():
        raise DataError(
            f"the labels ({shown(repr(name))}) of {table.source} have "
            f"{counted(int(gone.sum()), 'missing cell')}, the first in row "
            f"{int(np.argmax(gone)):,} (counted from 0): fill them, or drop those rows"
        )
    if cells.levels is None:
        return cells.numbers
    return np.array([str(cells.levels[int(code)]) for code in cells.numbers])


# --- other rows of known columns ---------------------------------------------------------------


def encode(table: Table, columns: Sequence[Column]) -> np.ndarray:
    """The rows of a table as the numbers that the training rows' columns say.

    Columns are found by their names, in whatever order; others than those are passed over.

    Returns:
        (n, d) float32, NaN where not observed.

    Raises:
        DataError: a column is missing, or holds what training did not see.
    """
    lacking = [column.name for column in columns if column.name not in table.columns]
    if lacking:
        raise DataError(
            f"{table.source} lacks {'the column' if len(lacking) == 1 else 'the columns'} "
            f"{listed(map(repr, lacking))} that the model was trained on: add "
            f"{'it' if len(lacking) == 1 else 'them'} (empty cells are taken as missing)"
        )
    encoded = [
        one.encode(column, read_cells(table.columns[column.name], column.name), table.source)
        for column in columns
    ]
    return _single(np.stack(encoded, axis=1))


def decode(columns: Sequence[Column], x: np.ndarray) -> "pa.Table":
    """Rows of modelled numbers as a table: the same columns, types and categories.

    Args:
        columns: what the columns are.
        x: (n, d); NaN becomes a null.
    """
    import pyarrow as pa

    arrays = [one.decode(column, x[:, i]) for i, column in enumerate(columns)]
    return pa.table(arrays, names=[column.name for column in columns])


def log_jacobian(columns: Sequence[Column], x: np.ndarray) -> np.ndarray:
    """What turns each row's log p(x) in nats into one of the table's own units.

    Args:
        columns: what the columns are.
        x: (n, d) as `encode` gives it; cells that are NaN count nothing.

    Returns:
        (n,) Σ log |d modelled number / d number| over the observed cells.
    """
    each = np.array([column.log_jacobian for column in columns])
    return (~np.isnan(x)).astype(np.float64) @ each


def discrete(columns: Sequence[Column]) -> np.ndarray:
    """(d,) whether a column's likelihood is a mass (else a density)."""
    return np.array([column.discrete for column in columns])


# --- a feature matrix --------------------------------------------------------------------------


def find_matrix_columns(
    names: Sequence[str], x: np.ndarray, kinds: str | Sequence[str] | None
) -> tuple[Column, ...]:
    """What the columns of a feature matrix are, shift and scale included.

    Args:
        names: what messages call them.
        x: the training rows, (n, d); NaN where not observed.
        kinds: a kind (or the likelihood's name) for all columns or one for each; "mixed" finds them
            as a table's are found (`elbax.data.kinds.infer`), None as `infer_matrix` says.

    Raises:
        DataError: an unknown kind, one that a column's numbers are not of, or a column that cannot
            be used.
    """
    x = np.asarray(x, np.float64)
    if kinds == "mixed":
        columns = [infer(name, Cells(cells)) for name, cells in zip(names, x.T, strict=True)]
    else:
        if isinstance(kinds, str):
            kinds = [kinds] * len(names)
        if kinds is not None:
            kinds = [check_kind(name, str(kind)) for name, kind in zip(names, kinds, strict=True)]
        columns = infer_matrix(names, x, kinds)
    pairs = zip(columns, x.T, strict=True)
    return tuple(one.fit(column, one.encode(column, Cells(cells), "X")) for column, cells in pairs)


def encode_matrix(columns: Sequence[Column], x: np.ndarray) -> np.ndarray:
    """Rows of a feature matrix as they are modelled: (n, d) float32, NaN where not observed.

    Raises:
        ColumnError: a number that its column's kind does not have.
    """
    pairs = zip(columns, np.asarray(x, np.float64).T, strict=True)
    return _single(np.stack([one.encode(c, Cells(cells), "X") for c, cells in pairs], axis=1))


def decode_matrix(columns: Sequence[Column], rows: np.ndarray) -> np.ndarray:
    """Modelled numbers in the columns' own units, (n, d) float64."""
    pairs = zip(columns, rows.T, strict=True)
    return np.stack([one.in_own_units(column, numbers) for column, numbers in pairs], axis=1)


def families_in_words(columns: Sequence[Column]) -> str:
    """``3 normal, 1 binary, 2 categorical``."""
    counts = Counter(
        column.likelihood.removesuffix(f"-{len(column.categories)}") for column in columns
    )
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def write(path: Path, table: "pa.Table", suffix: str) -> None:
    """A table as .csv or .parquet, as the suffix says."""
    import pyarrow as pa
    from pyarrow import parquet as pq

    if suffix == ".parquet":
        pq.write_table(table, path)
        return
    columns = [
        column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        for column in table.columns
    ]
    # (pyarrow's own writer puts every text in quotes, and every name.)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = text_csv.writer(file, lineterminator="\n")
        writer.writerow(table.column_names)
        writer.writerows(zip(*(column.to_pylist() for column in columns), strict=True))


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
