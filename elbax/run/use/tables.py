"""The table that a run was trained on: its columns, to its own units, and written as a table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from elbax.data import Column, load, tables
from elbax.util.files import atomic

if TYPE_CHECKING:
    from elbax.data import Dataset
    from elbax.model import ColumnFeatures

FORMATS = (".csv", ".parquet")


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


def load_other(data: str, config: Mapping[str, Any], run: Path) -> Dataset:
    """Other rows of the columns that a run was trained on.

    Raises:
        ValueError: It is no table, lacks a column, or holds what training did not see.
    """
    if not tables.is_table(data):
        if Path(data).exists():
            raise ValueError(
                f"{run} was trained on a table, and {data} is none: give a .csv or .parquet file"
            )
        raise FileNotFoundError(f"there is no file {data}")
    return load(data, columns=columns_of(config), check=False)


def own_units(dataset: Dataset, rows: np.ndarray) -> float | None:
    """What turns mean nats per datum into the table's own units: the mean log-Jacobian.

    The likelihood speaks of (number − shift) / scale; None where nothing is scaled.
    """
    if not dataset.columns or len(rows) == 0:
        return None
    return float(np.mean(tables.log_jacobian(dataset.columns, rows)))


def write(out: Path, columns: tuple[Column, ...], x: np.ndarray) -> None:
    """Rows as a table with the training columns' names, types and categories."""
    write_table(out, tables.decode(columns, x))


def write_table(out: Path, table: Any) -> None:
    """A pyarrow table to .csv or .parquet, whole or not at all."""
    with atomic(out) as temporary:
        tables.write(Path(temporary), table, out.suffix.lower())
