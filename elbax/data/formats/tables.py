"""Tables of mixed columns as they are stored: text, Parquet, Feather, workbooks; or in memory."""

import csv as text_csv
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from elbax.data.arrays import require_room
from elbax.data.errors import DAMAGED_ZIP, DataError
from elbax.data.formats import arrow, parquet, text
from elbax.data.mends import FLAGS, Mends
from elbax.util.words import counted, reason, shown

if TYPE_CHECKING:
    import pyarrow as pa

_PARQUET_MAGIC = b"PAR1"
_ARROW_MAGIC = b"ARROW1"
_WORKBOOKS = (".xlsx", ".xls", ".xlsb", ".ods")
_LIBRARIES = ("pandas", "polars", "pyarrow", "narwhals", "modin", "cudf")
KNOWN = ".csv, .tsv, .parquet, .feather or .xlsx"


@dataclass(frozen=True)
class Table:
    """A table as it was read.

    Attributes:
        name: the stem of its path.
        source: its path, or what holds it in memory.
        columns: pyarrow's columns by their names, in order.
        rows: how many rows.
        missing: what stands for a cell that was not observed, besides the usual marks.
        remarks: what of its reading is worth a word.
        matrix: whether it is an array of numbers, which has neither names nor types.
        mends: how messages say what mends it.
    """

    name: str
    source: str
    columns: "Mapping[str, pa.ChunkedArray | pa.Array]"
    rows: int
    missing: tuple[str, ...] = ()
    remarks: list[str] = field(default_factory=list)
    matrix: bool = False
    mends: Mends = FLAGS


def is_table(data: Any) -> bool:
    """Whether this is a table in memory, or the path of a file of one."""
    if isinstance(data, str | Path):
        try:
            if parquet.is_url(data):
                return True
            path = Path(data).expanduser()
            if path.is_dir():
                return arrow.is_saved(path) or parquet.is_parquet(path)
            if not path.is_file():
                return False
            with path.open("rb") as file:
                start = file.read(6)
        except (OSError, RuntimeError, ValueError):  # said by whoever reads it
            return False
        suffix = text.stem(path)[1]
        return suffix in (*text.SUFFIXES, *_WORKBOOKS) or start.startswith(
            (_PARQUET_MAGIC, _ARROW_MAGIC)
        )
    home = type(data).__module__.partition(".")[0]
    return home in _LIBRARIES and type(data).__name__ in ("DataFrame", "Table", "LazyFrame")


def is_text(path: Path) -> bool:
    """Whether a path names a file of text, compressed or not."""
    return text.stem(path)[1] in text.SUFFIXES


def read(data: Any, *, header: bool | None = None, missing: Sequence[str] = ()) -> Table:
    """The table of a path, or of a pandas, polars or pyarrow table.

    Args:
        data: the path or the table.
        header: of text, whether the first line names the columns; None: judged.
        missing: what stands for a cell that was not observed, besides the usual marks.

    Raises:
        DataError: it cannot be read, has no rows or columns, or its columns have no proper names.
    """
    missing = tuple(missing)
    if not isinstance(data, str | Path):
        return _checked(_from_memory(data, missing))
    path = Path(data).expanduser()
    if parquet.is_url(data) or path.is_dir():
        return _checked(_read_whole(data, path, missing))
    where = shown(path)
    remarks: list[str] = []
    try:
        if is_text(path):
            table, remarks, _ = text.read(path, where, header=header)
        elif path.suffix.lower() in _WORKBOOKS:
            table, remarks = _read_workbook(path, where)
        else:
            table = _read_binary(path, where)
    except MemoryError:
        raise DataError(f"{where} does not fit into memory: use fewer rows") from None
    except OSError as error:
        raise DataError(f"cannot read {where}: {shown(error.strerror or error)}") from None
    names = _named(table.column_names, where)
    columns = dict(zip(names, table.columns, strict=True))
    name = shown(text.stem(path)[0])
    return _checked(Table(name, where, columns, table.num_rows, missing, remarks))


def _read_whole(data: str | Path, path: Path, missing: tuple[str, ...]) -> Table:
    """A table of many files, or one that is elsewhere."""
    remote = parquet.is_url(data)
    source = arrow.open_saved(path) if not remote and arrow.is_saved(path) else None
    source = source or parquet.open_table(data)
    table = source.table()
    columns = dict(zip(_named(table.column_names, source.source), table.columns, strict=True))
    return Table(source.name, source.source, columns, table.num_rows, missing)


def from_array(x: np.ndarray, name: str, source: str, names: Sequence[str] = ()) -> Table:
    """An array (n, d) as a table; without names its columns are called by their numbers from 0."""
    import pyarrow as pa

    x = x.astype(x.dtype.newbyteorder("="), copy=False)
    names = names or [str(i) for i in range(x.shape[1])]
    columns = {called: pa.array(x[:, i], from_pandas=True) for i, called in enumerate(names)}
    return Table(name, source, columns, len(x), matrix=True)


def _from_memory(data: Any, missing: tuple[str, ...]) -> Table:
    import narwhals as nw
    import pyarrow as pa

    if type(data).__name__ == "LazyFrame":
        raise DataError("the table is lazy: collect() it first")
    name = f"{type(data).__module__.partition('.')[0]} table"
    names = [str(column) for column in getattr(data, "columns", ())]
    if name.startswith("pyarrow"):
        names = list(data.column_names)
    _named(names, f"the {name}")
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
    return Table("table", f"{name} in memory", columns, len(frame), missing)


def _checked(table: Table) -> Table:
    if not table.columns:
        raise DataError(f"{table.source} has no columns")
    if table.rows == 0:
        raise DataError(f"{table.source} has column names but no rows: there is nothing to read")
    return table


def _named(names: Sequence[str], where: str) -> list[str]:
    """The names of the columns; the first may be nameless, as an index is when it is saved.

    Raises:
        DataError: another has no name, or two have the same.
    """
    for i, name in enumerate(names[1:], start=1):
        if not name.strip():
            raise DataError(
                f"{where}: column {i} (counted from 0) has no name: name it, or give --no-header "
                "(header=False) if the first line is data"
            )
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise DataError(f"{where} has two columns called {shown(repr(twice))}: rename one")
    return list(names)


def _read_binary(path: Path, where: str) -> "pa.Table":
    import pyarrow as pa
    import pyarrow.feather
    import pyarrow.parquet as pq

    with path.open("rb") as file:
        parquet = file.read(4) == _PARQUET_MAGIC
    read: Callable[[], Any] = (
        (lambda: pq.ParquetFile(path).read())
        if parquet
        else (lambda: pyarrow.feather.read_table(path))
    )
    try:
        table = read()
        table.validate(full=True)  # pyarrow believes offsets, and would read beyond the file
    except (pa.ArrowException, ValueError, OSError) as error:
        kind = ".parquet" if parquet else ".feather"
        raise DataError(f"{where} is a damaged {kind} file ({reason(error, 160)})") from None
    # What pandas keeps of its own index.
    index = [name for name in table.column_names if name.startswith("__index_level_")]
    return table.drop_columns(index) if index else table


def _read_workbook(path: Path, where: str) -> "tuple[pa.Table, list[str]]":
    """The first sheet of a workbook, its first row the names."""
    import python_calamine as calamine

    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                require_room(10 * sum(info.file_size for info in archive.infolist()), where)
        book = calamine.load_workbook(str(path))
        sheet = book.get_sheet_by_index(0)
        rows = sheet.to_python()
    except DataError:
        raise
    except (calamine.CalamineError, ValueError, IndexError, *DAMAGED_ZIP) as error:
        raise DataError(f"{where} is a damaged workbook ({reason(error, 160)})") from None
    if not rows:
        raise DataError(f"{where} is empty")
    others = book.sheet_names[1:]
    remarks = [f"sheet {shown(repr(book.sheet_names[0]))} of {counted(len(others) + 1, 'sheet')}"]
    names = [str(name).strip() for name in rows[0]]
    cells = [[row[i] if row[i] != "" else None for row in rows[1:]] for i in range(len(names))]
    return of_python(names, cells), remarks if others else []


def of_python(names: Sequence[str], cells: Sequence[Sequence[Any]]) -> "pa.Table":
    """Columns of Python's values, None where not observed; one of several types is text."""
    import pyarrow as pa

    arrays = []
    for column in cells:
        kinds = {type(cell) for cell in column if cell is not None}
        if kinds <= {int, float}:
            whole = all(cell is None or float(cell).is_integer() for cell in column)
            arrays.append(pa.array([cell if cell is None else float(cell) for cell in column]))
            if whole and arrays[-1].null_count < len(column):
                arrays[-1] = arrays[-1].cast(pa.int64(), safe=False)
        elif len(kinds) == 1:
            arrays.append(pa.array(column))
        else:
            arrays.append(pa.array([None if cell is None else as_text(cell) for cell in column]))
    return pa.table(arrays, names=list(names))


def as_text(cell: Any) -> str:
    """A cell as a file of text has it: a whole number without decimals."""
    whole = isinstance(cell, float) and cell.is_integer()
    return str(int(cell)) if whole else str(cell)


def read_as_written(path: Path, *, header: bool | None) -> "tuple[pa.Table, str]":
    """The cells of a file of text, each as it stands there, and what separates them.

    Raises:
        DataError: it cannot be read.
    """
    found = text.read(path, shown(path), header=header, as_written=True)
    return found.table, found.delimiter


def write(path: Path, table: "pa.Table", suffix: str, delimiter: str = ",") -> None:
    """A table as .csv, .tsv, .parquet or .feather, as the suffix says; of numbers also as .npy."""
    import pyarrow as pa
    import pyarrow.feather
    from pyarrow import parquet as pq

    if suffix == ".parquet":
        pq.write_table(table, path)
        return
    if suffix == ".npy":
        with open(path, "wb") as file:
            np.save(file, np.column_stack([c.to_numpy() for c in table.columns]), False)
        return
    if suffix == ".feather":
        pyarrow.feather.write_feather(table, str(path))
        return
    columns = [
        column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        for column in table.columns
    ]
    # (pyarrow's own writer puts every text in quotes, and every name.)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = text_csv.writer(
            file, lineterminator="\n", delimiter="\t" if suffix == ".tsv" else delimiter
        )
        writer.writerow(table.column_names)
        writer.writerows(zip(*(column.to_pylist() for column in columns), strict=True))
