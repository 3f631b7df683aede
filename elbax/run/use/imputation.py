"""A table with holes in, a table without them out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from elbax.data import tables as data_tables
from elbax.data.columns import CODED
from elbax.data.errors import DataError
from elbax.data.formats import tables as files
from elbax.data.formats.files import read_path
from elbax.evaluate.imputation import Imputation, impute
from elbax.run import labels
from elbax.run.use import equations, tables
from elbax.util.keys import of_seed
from elbax.util.words import shown

if TYPE_CHECKING:
    import pyarrow as pa

    from elbax.data import Column
    from elbax.data.formats.tables import Table
    from elbax.model.latent_variable_model import LatentVariableModel

_FEW = 10.0  # effective draws of a row


@dataclass(frozen=True)
class Filled:
    """What was filled.

    Attributes:
        table: The table, its missing cells filled.
        holes: For each column of it which cells these are.
        intervals: One row for each filled cell.
        multiple: The same table with its missing cells drawn, as often as asked for.
        cells: How many were filled.
        rows: In how many rows.
        doubtful: How many of these had fewer than ten effective draws.
        unweighted: How many of these had none: by averages of q's draws, which count alike.
        notes: Observed cells far outside of what was trained on.
    """

    table: pa.Table
    holes: dict[str, np.ndarray]
    intervals: pa.Table
    multiple: list[pa.Table]
    cells: int
    rows: int
    doubtful: int
    unweighted: int
    notes: list[str]


def read(path: Path, config: Mapping[str, Any]) -> Table:
    """The table of a file, read as the run of `config` read its own.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is no table.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    asked = config["data"]
    if asked["kind"] == "vectors" and not files.is_table(path):
        raw = read_path(path)
        array = raw.parts["all"].x if len(raw.parts) == 1 else np.empty(0)
        if array.ndim != 2:
            raise DataError(f"{shown(path)} is no array (n, d), which the run was trained on")
        return files.from_array(array, raw.name, raw.source, raw.names)
    if not files.is_table(path):
        raise DataError(f"{shown(path)} is no table: give one of {files.KNOWN}")
    return files.read(path, header=asked.get("header"), missing=asked.get("missing_values", ()))


def fill(
    model: LatentVariableModel,
    table: Table,
    columns: tuple[Column, ...],
    *,
    draws: int,
    multiple: int,
    seed: int,
    unseen: Literal["refuse", "missing"] = "refuse",
) -> Filled:
    """Fills the missing cells of the columns that the model knows; others stay as they are.

    Args:
        model: A model trained on these columns.
        table: The table.
        columns: What training knew of them.
        draws: Importance draws a row.
        multiple: How many tables to draw beside.
        seed: Of the draws.
        unseen: Whether categories that training did not see are refused or filled.

    Raises:
        ValueError: A column is missing, or holds what training did not see.
    """
    labels.refuse(model, "impute")
    rows = data_tables.encode(table, columns, unseen)
    key = of_seed(seed, "impute")
    tied = equations.of_rows(columns, rows)
    found = impute(model, rows.x, key=key, samples=draws, multiple=max(1, multiple), equations=tied)
    return filled_by(found, table, columns, rows, draws=draws, multiple=multiple)


def filled_by(
    found: Imputation,
    table: Table,
    columns: tuple[Column, ...],
    rows: data_tables.Rows,
    *,
    draws: int,
    multiple: int = 0,
) -> Filled:
    """The table as the model's values fill it.

    Args:
        found: What `impute` gave for the rows.
        table: The table.
        columns: What training knew of its columns.
        rows: The rows of the table, encoded.
        draws: Importance draws a row.
        multiple: How many tables to draw beside.
    """
    x, missing = rows.x, rows.missing
    filled = missing.any(axis=1)
    few = (found.effective_sample_size < min(_FEW, draws)) & filled
    return Filled(
        table=put(table, columns, found.value, rows),
        holes={column.name: missing[:, i] for i, column in enumerate(columns)},
        intervals=_intervals(columns, found, rows),
        multiple=[put(table, columns, found.draws[:, m], rows) for m in range(multiple)],
        cells=int(missing.sum()),
        rows=int(filled.sum()),
        doubtful=int(few.sum()),
        unweighted=int((found.effective_sample_size == 0).sum()),
        notes=data_tables.far(columns, x),
    )


def write(filled: Filled, data: Path, out: Path, header: bool | None) -> list[Path]:
    """Writes the table, the intervals and the drawn tables; answers with the paths beside `out`.

    From text to text, an observed cell keeps its very characters.

    Args:
        filled: What `fill` gave.
        data: The file of the table that was filled.
        out: The file to write.
        header: Of text, whether the first line names the columns; None: judged.
    """
    written, delimiter = None, ","
    if files.is_text(data) and out.suffix.lower() in (".csv", ".tsv"):
        written, delimiter = files.read_as_written(data, header=header)
        if data.suffix.lower() == ".tsv" or out.suffix.lower() == ".tsv":
            delimiter = ","

    def finish(table: pa.Table) -> pa.Table:
        return table if written is None else _as_written(table, written, filled.holes)

    tables.write_table(out, finish(filled.table), delimiter)
    intervals = out.with_name(f"{out.stem}.intervals.csv")
    tables.write_table(intervals, filled.intervals)
    paths = [intervals]
    for number, table in enumerate(filled.multiple, start=1):
        paths.append(out.with_name(f"{out.stem}.{number}{out.suffix}"))
        tables.write_table(paths[-1], finish(table), delimiter)
    return paths


def _as_written(table: pa.Table, written: pa.Table, holes: Mapping[str, np.ndarray]) -> pa.Table:
    """The table as text: observed cells as they were written, the others as they were filled."""
    import pyarrow as pa

    columns = []
    for name in table.column_names:
        cells = np.array(written.column(name).to_pylist(), object)
        if name in holes and holes[name].any():
            made = table.column(name).to_pylist()
            for row in np.flatnonzero(holes[name]):
                cells[row] = str(made[row])
        columns.append(pa.array(cells, pa.string()))
    return pa.table(columns, names=table.column_names)


def put(
    table: Table, columns: tuple[Column, ...], x: np.ndarray, rows: data_tables.Rows
) -> pa.Table:
    """The table as it was read, with numbers of the model in its missing cells.

    Args:
        table: The table.
        columns: What training knew of its columns; others stay as they are.
        x: (n, d) modelled numbers.
        rows: The rows of the table, which say what cells are missing.
    """
    import pyarrow as pa

    missing, known = rows.missing, {column.name: i for i, column in enumerate(columns)}
    filled = data_tables.decode(columns, x, rows.own)
    arrays = []
    for name, array in table.columns.items():
        holes = missing[:, known[name]] if name in known else np.zeros(table.rows, bool)
        if not holes.any():
            arrays.append(array)
            continue
        kind = array.type if not pa.types.is_null(array.type) else None
        own = columns[known[name]].own
        if pa.types.is_integer(array.type) and not own.integral and own.kind not in CODED:
            kind = pa.float64()  # whole numbers by chance: what is filled need not be one
        decoded = filled.column(known[name]).filter(pa.array(holes))
        if pa.types.is_decimal(array.type):
            decoded = decoded.cast(kind, safe=False)
        made = iter(decoded.to_pylist())
        cells = [
            next(made) if hole else cell
            for cell, hole in zip(array.to_pylist(), holes, strict=True)
        ]
        if kind in (pa.string(), pa.large_string(), pa.string_view()):  # numbers written as text
            cells = [cell if cell is None else files.as_text(cell) for cell in cells]
        try:
            arrays.append(pa.array(cells, type=kind))
        except pa.ArrowException:  # unseen cells of another type, which were taken as missing
            text = [cell if cell is None else files.as_text(cell) for cell in cells]
            arrays.append(pa.array(text))
    return pa.table(arrays, names=list(table.columns))


def _intervals(
    columns: tuple[Column, ...], found: Imputation, filled: data_tables.Rows
) -> pa.Table:
    """One row a filled cell: where, the value, the ends of its interval, or its probability."""
    import pyarrow as pa

    missing = filled.missing
    value = data_tables.decode(columns, found.value, filled.own)
    lower, upper = data_tables.decode_ends(columns, found.lower, found.upper, filled.own)
    decoded = {"value": value, "lower": lower, "upper": upper}
    rows: list[int] = []
    names: list[str] = []
    cells: dict[str, list[Any]] = {"value": [], "lower": [], "upper": [], "probability": []}
    for i, column in enumerate(columns):
        holes = np.flatnonzero(missing[:, i])
        rows += holes.tolist()
        names += [column.name] * len(holes)
        ordered = column.own.kind not in ("binary", "categorical", "constant")
        made = {name: t.column(i).take(pa.array(holes)).to_pylist() for name, t in decoded.items()}
        if not ordered:
            made |= {"lower": [None] * len(holes), "upper": [None] * len(holes)}
        for name, found_cells in made.items():
            cells[name] += [None if cell is None else str(cell) for cell in found_cells]
        share = found.share[holes, i].astype(float).round(4).tolist()  # of some hundred draws
        cells["probability"] += share if column.categories else [None] * len(holes)
    order = sorted(range(len(rows)), key=lambda k: (rows[k], k))
    return pa.table(
        {
            "row": pa.array([rows[k] for k in order], pa.int64()),
            "column": pa.array([names[k] for k in order], pa.string()),
            **{
                name: pa.array(
                    [values[k] for k in order],
                    pa.float64() if name == "probability" else pa.string(),
                )
                for name, values in cells.items()
            },
        }
    )
