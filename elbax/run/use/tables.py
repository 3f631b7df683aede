"""The table that a run was trained on: its columns, to its own units, and written as a table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from elbax.data import Column, load, matrix, tables
from elbax.data.formats import tables as files
from elbax.data.formats.tables import is_table
from elbax.data.kinds import IGNORE
from elbax.util.files import atomic

if TYPE_CHECKING:
    from elbax.data import Dataset
    from elbax.model import ColumnFeatures
    from elbax.run.run import Run

FORMATS = (".csv", ".tsv", ".parquet", ".feather")


def features(dataset: Dataset) -> ColumnFeatures | None:
    """What the encoder sees of the columns, and what the decoder's families are; None elsewhere."""
    if not dataset.columns:
        return None
    from elbax.model import ColumnFeatures

    return ColumnFeatures([column.likelihood for column in dataset.columns], dataset.train.x)


def to_config(dataset: Dataset) -> dict[str, Any] | None:
    """What ``config.json`` says of a table; None of other data."""
    if not dataset.columns:
        return None
    columns = [column.to_json() for column in dataset.columns]
    return {"columns": columns, "ignored": dict(dataset.ignored)}


def columns_of(config: Mapping[str, Any]) -> tuple[Column, ...]:
    """The columns of the table that a run was trained on; none where it was no table.

    Raises:
        ValueError: The description is damaged.
    """
    table = config["data"].get("table")
    if table is None:
        return ()
    return tuple(Column.from_json(values) for values in table["columns"])


def kinds_of(config: Mapping[str, Any], labels: str | None) -> dict[str, str]:
    """What the columns of a run's table were taken for, so that they are read so again."""
    table = config["data"].get("table") or {"columns": (), "ignored": {}}
    kinds = {
        values["name"]: values["kind"]
        for values in table["columns"]
        if values["kind"] != "constant"
    }
    return kinds | {name: IGNORE for name in table["ignored"] if name != labels}


def in_own_units(run: Run, x: np.ndarray, *, drawn: bool = False) -> np.ndarray:
    """Modelled numbers of data that are no table in these data's own units.

    Bytes and grey levels stay shares of the brightest one.

    Args:
        run: The run.
        x: (n, …) what its model gave.
        drawn: Whether they are draws: these are rounded as the training values are.
    """
    columns = columns_of(run.config)
    if columns:
        if run.config["data"]["kind"] == "table":
            return x
        return matrix.decode(columns, x, rounded=drawn)
    own = run.model.preprocessing
    return x / own.scale + own.shift if own.shift else x


def load_other(
    data: Any,
    config: Mapping[str, Any],
    run: Path,
    unseen: Literal["refuse", "missing"] = "refuse",
) -> Dataset:
    """Other rows of the columns that a run was trained on.

    Args:
        data: The path of a table, or one in memory; of a run that was trained on an array or on an
            AnnData also such.
        config: The run's ``config.json``.
        run: Its folder, for messages.
        unseen: Whether categories that training did not see are refused or taken as missing.

    Raises:
        ValueError: It is no table, lacks a column, or holds what training did not see.
    """
    if not is_table(data) and config["data"]["kind"] == "table":
        if not isinstance(data, str | Path):
            raise ValueError(
                f"{run} was trained on a table, and the {type(data).__name__} is none: give a "
                "pandas, polars or pyarrow table"
            )
        if Path(data).exists():
            raise ValueError(
                f"{run} was trained on a table, and {data} is none: give a .csv or .parquet file"
            )
        raise FileNotFoundError(f"there is no file {data}")
    asked = config["data"]
    return load(
        data,
        columns=columns_of(config),
        check=False,
        header=asked.get("header"),
        missing_values=asked.get("missing_values", ()),
        unseen=unseen,
    )


def write(
    out: Path, columns: tuple[Column, ...], x: np.ndarray, missing: np.ndarray | None = None
) -> None:
    """Rows as a table with the training columns' names, types and categories.

    Args:
        out: The file.
        columns: The columns.
        x: (n, d) modelled numbers.
        missing: (n, d) bool, cells that are left empty.
    """
    import pyarrow as pa

    made = tables.decode(columns, x)
    for i, holes in enumerate([] if missing is None else missing.T):
        cells = made.column(i).to_pylist()
        left = [None if gone else cell for cell, gone in zip(cells, holes, strict=True)]
        made = made.set_column(i, made.field(i), pa.array(left, made.field(i).type))
    write_table(out, made)


def write_table(out: Path, table: Any, delimiter: str = ",") -> None:
    """A pyarrow table to a file of one of `FORMATS`, whole or not at all."""
    with atomic(out) as temporary:
        files.write(Path(temporary), table, out.suffix.lower(), delimiter)
