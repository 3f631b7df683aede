"""From the body of a request to rows as a run's model takes them: JSON, Arrow and PNG."""

# pyright: reportMissingImports=false
# (Packages of an extra, which not every checkout has.)

from __future__ import annotations

import dataclasses
import functools
import io
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import TypeAdapter, ValidationError

from elbax.data import columns as one
from elbax.data import tables as data_tables
from elbax.data.arrays import check_finite
from elbax.data.cells import Cells
from elbax.data.columns import CODED
from elbax.data.errors import DataError
from elbax.data.formats import images
from elbax.data.formats import tables as files
from elbax.data.formats.tables import Table
from elbax.data.mends import Mends
from elbax.data.source import Split
from elbax.data.splitting import binarise, check_probabilities
from elbax.model.latent_variable_model import ClassifyingEncoder, Decoder
from elbax.model.support import REAL, check_support
from elbax.run import labels
from elbax.run.use import other_data, tables
from elbax.serve import schemas
from elbax.serve.limits import Refused
from elbax.util.mosaic import is_image
from elbax.util.words import counted, listed, shown

if TYPE_CHECKING:
    import pyarrow as pa

    from elbax.data import Column
    from elbax.run.run import Run
    from elbax.serve.batching import Parts
    from elbax.serve.limits import Limits

JSON = "application/json"
ARROW = "application/vnd.apache.arrow.stream"
PNG = "image/png"

WHERE = "the request"
_MENDS = Mends(unseen="?unseen=missing takes these cells as empty")

Unseen = Literal["refuse", "missing"]


@dataclass(frozen=True)
class Cellwise:
    """Rows of a table as they came.

    Attributes:
        cells: For each column the cells of all rows, None where not observed.
        count: How many rows.
        read: The table, where it came as one.
        missing: What stands for a cell that was not observed, besides the usual marks.
    """

    cells: Mapping[str, Sequence[Any]]
    count: int
    read: Table | None = None
    missing: tuple[str, ...] = ()

    @functools.cached_property
    def table(self) -> Table:
        """The rows as a table of pyarrow's columns."""
        if self.read is not None:
            return self.read
        made = files.of_python(list(self.cells), list(self.cells.values()))
        columns = dict(zip(made.column_names, made.columns, strict=True))
        return Table(WHERE, WHERE, columns, self.count, missing=self.missing, mends=_MENDS)

    def encoded(self, columns: Sequence[Column], unseen: Unseen) -> data_tables.Rows:
        """The rows as they are modelled, by the same rule as files (`elbax.data.tables.encode`).

        Raises:
            ValueError: A column is missing, or holds what training did not see; one line.
        """
        x = None if self.read is not None else self._plainly(columns)
        if x is None:
            return data_tables.encode(self.table, columns, unseen)
        return data_tables.Rows(data_tables.single(x), np.isnan(x), {})

    def _plainly(self, columns: Sequence[Column]) -> np.ndarray | None:
        """The same where all cells are numbers of columns of numbers, or known categories.

        None elsewhere. It takes a tenth of the time, which is what one row waits for.
        """
        if any(column.relation is not None for column in columns) or self.missing:
            return None
        x = np.empty((self.count, len(columns)))
        for i, column in enumerate(columns):
            cells = self.cells[column.name]
            if column.kind in CODED:
                codes = _codes(column)
                found = [codes.get((type(cell), cell)) for cell in cells]
                if None in found:
                    return None
                x[:, i] = found  # pyright: ignore[reportArgumentType]
            elif column.notation is None and not column.temporal and _are_numbers(cells):
                numbers = np.array([np.nan if cell is None else cell for cell in cells], float)
                x[:, i] = one.encode(column, Cells(numbers), WHERE)
            else:
                return None
        return x


@dataclass(frozen=True)
class Given:
    """The rows of a request.

    Attributes:
        array: Rows as they came, (n, …); of a table's columns they are in `cells`.
        cells: Rows of a table.
        label: The label of each, by number or name, where they were given.
    """

    array: np.ndarray | None = None
    cells: Cellwise | None = None
    label: Sequence[int | str] | None = None

    def __len__(self) -> int:
        if self.cells is not None:
            return self.cells.count
        assert self.array is not None
        return len(self.array)


class Reader:
    """How the rows of one run are read.

    Args:
        run: The run.
        limits: How many rows there may be.

    Attributes:
        columns: Of a table, or of vectors that are read by their columns; else none.
        shape: Of one datum.
        image: Whether data are images, so that PNGs are read and written.
        rows: The type of a body with rows.
        latents: The type of a body with latents.
    """

    def __init__(self, run: Run, limits: Limits) -> None:
        self._run, self._limits = run, limits
        known = run.config["data"]
        self.columns = tables.columns_of(run.config)
        self.shape = tuple(known["shape"])
        self.table = known["kind"] == "table"
        self.image = not self.columns and is_image(self.shape)
        self._bytes = known["dtype"] == "uint8"
        self._missing = tuple(known.get("missing_values", ()))
        self.holes = bool(self.columns) or other_data.knows_holes(run.model)
        self._names = list(known.get("label_names") or ())
        classifies = isinstance(run.model.encoder, ClassifyingEncoder)
        self._labelled = bool(run.model.condition_dim) and not classifies
        if self.table:
            row = schemas.row_of_table(self.columns)
        else:
            grey = run.model.preprocessing.scale != 1.0 or run.binarize == "static"
            shares = self._bytes and grey
            row = schemas.row_of_array(self.shape, holes=self.holes, shares=shares)
        self.rows = schemas.data(row, limits, labels=self._labelled)
        self.latents = schemas.latents(run.model.latent_dim, limits)

    # --- bodies ---------------------------------------------------------------------------------

    def read(self, body: bytes, kind: str) -> Given:
        """The rows of a body.

        Args:
            body: Its bytes.
            kind: Its media type.

        Raises:
            Refused: It is of a type that is not read here (415).
            ValueError: It is not what its type says, or not of this run's data; one line.
        """
        if kind == JSON:
            return self.of_python(checked(self.rows, body))
        if kind == ARROW:
            return self._of_arrow(_arrow(body))
        if kind == PNG and self.image:
            x = images.read_png(io.BytesIO(body), WHERE, self.shape)[None]
            if x.dtype == np.uint8 and not self._bytes:
                raise DataError(
                    "the model was trained on numbers of its own, not on pictures of 8 bits: send "
                    f"{JSON} or {ARROW}"
                )
            return Given(array=x if x.dtype == np.uint8 else data_tables.single(x))
        raise Refused(415, f"the body is {shown(kind)}, and what is read is {listed(self.types)}")

    @property
    def dtypes(self) -> list[Any]:
        """What rows may be stored as."""
        if self._run.binarize == "static":
            return [np.uint8]
        return [np.float32, *([np.uint8] if self._bytes and not self.columns else [])]

    @property
    def types(self) -> list[str]:
        """The media types that are read."""
        return [JSON, ARROW, *([PNG] if self.image else [])]

    def of_python(self, found: Mapping[str, Any]) -> Given:
        """The rows of a body that has been checked."""
        rows, label = found["rows"], found.get("labels")
        if self.table:
            names = {name: None for row in rows for name in row}
            cells = {name: [_scalar(name, row.get(name)) for row in rows] for name in names}
            return Given(cells=Cellwise(cells, len(rows), missing=self._missing), label=label)
        return self._of_array(np.array(rows, np.float64), label)  # null becomes NaN

    def read_latents(self, body: bytes, kind: str) -> np.ndarray:
        """The latents of a body, (n, latent_dim).

        Raises:
            Refused: It is of a type that is not read here (415).
            ValueError: It is not what its type says, or of another length; one line.
        """
        if kind == JSON:
            return data_tables.single(np.array(checked(self.latents, body)["z"], float))
        if kind != ARROW:
            known = listed([JSON, ARROW])
            raise Refused(415, f"the body is {shown(kind)}, and what is read is {known}")
        table = self._bounded(_arrow(body))
        for prefix in ("z_", "mean_"):
            names = [name for name in table.column_names if name.startswith(prefix)]
            if names:
                columns = [_numbers(table[name]) for name in names]
                return data_tables.single(np.stack(columns, axis=1))
        name = next((name for name in ("z", "mean") if name in table.column_names), None)
        if name is None:
            raise DataError(f"{WHERE} has no column z, nor z_0, z_1, …: call the latents so")
        return data_tables.single(_array(table[name], (self._run.model.latent_dim,)))

    def _of_arrow(self, table: pa.Table) -> Given:
        table = self._bounded(table)
        label = None
        if self._labelled:
            if "labels" not in table.column_names:
                raise DataError(f"{WHERE} has no column labels, and the model needs each row's")
            label = table["labels"].to_pylist()
            table = table.drop_columns("labels")
        if self.table:
            read = files.read(table, missing=self._missing)
            read = dataclasses.replace(read, source=WHERE, mends=_MENDS)
            return Given(cells=Cellwise({}, read.rows, read), label=label)
        if table.num_columns != 1:
            raise DataError(
                f"{WHERE} has {counted(table.num_columns, 'column')}, and one is wanted, of lists "
                f"of numbers with the shape {self.shape}"
            )
        return self._of_array(_array(table.column(0), self.shape), label)

    def _of_array(self, x: np.ndarray, label: Sequence[int | str] | None) -> Given:
        """Rows of an array; vectors that are read by their columns are cells of a table."""
        if not self.columns:
            kept = x if x.dtype == np.uint8 else data_tables.single(x)
            return Given(array=kept, label=label)
        read = dataclasses.replace(files.from_array(x, WHERE, WHERE), missing=self._missing)
        return Given(cells=Cellwise({}, len(x), read), label=label)

    def _bounded(self, table: pa.Table) -> pa.Table:
        if not 1 <= table.num_rows <= self._limits.rows:
            raise DataError(
                f"{WHERE} has {counted(table.num_rows, 'row')}: give 1 to {self._limits.rows:,}"
            )
        return table

    # --- rows -----------------------------------------------------------------------------------

    def stored(
        self, given: Given, unseen: Unseen, scale: float = 1.0
    ) -> tuple[Parts, data_tables.Rows | None]:
        """Rows as the model takes them, with their condition; of a table also what is missing.

        Args:
            given: The rows.
            unseen: Whether categories that training did not see are refused or taken as missing.
            scale: What a number of an array is multiplied by before it meets the likelihood.

        Raises:
            ValueError: They hold what the likelihood is not of, or what training did not see; one
                line.
        """
        encoded = None
        if given.cells is not None:
            encoded = given.cells.encoded(self.columns, unseen)
            x = encoded.x
        else:
            x = self._checked(given.array, scale)
        rows = labels.conditioned(self._run.model, Split(x, self._numbered(given.label, len(x))))
        return (x, getattr(rows, "condition", None)), encoded

    def _checked(self, x: np.ndarray | None, scale: float) -> np.ndarray:
        """Rows of an array, refused where they are not of the likelihood."""
        assert x is not None
        run = self._run
        if not self.holes and np.isnan(x).any():
            raise DataError(f"{WHERE} has missing values (NaN), and the model knows of none")
        check_finite(x, WHERE)
        if run.binarize == "static":
            return binarise(x, 1.0 if x.dtype != np.uint8 else 1 / 255, 0, WHERE)
        if run.binarize == "dynamic":
            check_probabilities(x, scale, WHERE)
            return x
        decoder = run.model.decoder
        support = decoder.likelihood.support if isinstance(decoder, Decoder) else REAL
        if support != REAL:
            check_support(support, x, run.likelihood.name, scale=scale, where=WHERE)
        return x

    def _numbered(self, label: Sequence[int | str] | None, count: int) -> np.ndarray | None:
        """Labels as their numbers.

        Raises:
            ValueError: There is no such label, or not one for each row.
        """
        if label is None:
            return None
        if len(label) != count:
            raise DataError(f"there are {counted(len(label), 'label')} of {counted(count, 'row')}")
        known = {name: number for number, name in enumerate(self._names)}
        strange = [one for one in label if isinstance(one, str) and one not in known]
        if strange or None in label:
            mend = f"there are {listed(self._names)}" if known else "give numbers"
            raise DataError(
                f"there is no label {shown(repr(strange[0] if strange else None))}: {mend}"
            )
        return np.array([known.get(one, one) for one in label], np.int64)  # pyright: ignore[reportArgumentType, reportCallIssue]


def checked(kind: TypeAdapter, body: bytes) -> Any:
    """A body of JSON, checked against a type.

    Raises:
        DataError: It is something else; the first place of it, in one line.
    """
    try:
        return kind.validate_json(body)
    except ValidationError as error:
        raise DataError(problem(error)) from None


def problem(error: ValidationError) -> str:
    """The first thing that is wrong, in one line."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    place = ".".join(str(part) for part in found[0]["loc"])
    more = f" (and {len(found) - 1:,} more)" if len(found) > 1 else ""
    return shown(f"{place or WHERE}: {found[0]['msg']}{more}")


def _scalar(name: str, cell: Any) -> Any:
    """A cell as it came, of a column that the model knows or not."""
    if isinstance(cell, list | dict):
        what = "a list" if isinstance(cell, list) else "an object"
    elif isinstance(cell, int) and cell.bit_length() >= sys.float_info.max_exp:
        what = "a whole number beyond every float"
    else:
        return cell
    raise DataError(
        f"{WHERE} has {what} in column {shown(repr(name))}: a cell is a number, a text, true, "
        "false or null"
    )


def _arrow(body: bytes) -> pa.Table:
    """The table of a stream of Arrow's, each of its buffers checked.

    Raises:
        DataError: It is none.
    """
    import pyarrow as pa

    try:
        with pa.ipc.open_stream(body) as stream:
            table = stream.read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{WHERE} is no stream of Arrow's ({shown(error)[:200]})") from None
    return table


def _array(column: pa.ChunkedArray, shape: tuple[int, ...]) -> np.ndarray:
    """A column of lists as an array (n, *shape): bytes stay bytes, all else is float32.

    Raises:
        DataError: It holds something else.
    """
    import pyarrow as pa

    whole = column.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = pa.concat_arrays(whole.chunks)
    if isinstance(whole, pa.ExtensionArray):
        whole = whole.storage
    size = int(np.prod(shape))
    if whole.null_count or not isinstance(whole, pa.FixedSizeListArray | pa.ListArray):
        raise DataError(
            f"{WHERE} holds {shown(column.type)}, and lists of {size} numbers are wanted"
        )
    flat = whole.flatten()
    lengths = {size} if len(flat) == size * len(whole) else set()
    if isinstance(whole, pa.ListArray):
        lengths = set(np.diff(whole.offsets.to_numpy()).tolist())
    if lengths != {size}:
        raise DataError(f"{WHERE} holds lists of other lengths than {size}, which is {shape}")
    return _numbers(flat).reshape(len(whole), *shape)


def _numbers(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    import pyarrow as pa

    kind = column.type
    if kind == pa.uint8() and not column.null_count:
        return np.asarray(column)
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise DataError(f"{WHERE} holds {shown(kind)}, and numbers are wanted")
    return np.asarray(column.cast(pa.float64(), safe=False))


@functools.cache
def _codes(column: Column) -> dict[tuple[type, Any], float]:
    """The codes of a column's categories, by their type and value."""
    known = {(type(value), value): float(code) for code, value in enumerate(column.categories)}
    return known | {(type(None), None): np.nan}


def _are_numbers(cells: Sequence[Any]) -> bool:
    return all(cell is None or type(cell) in (int, float) for cell in cells)
