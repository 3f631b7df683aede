"""How X becomes the rows that are modelled, and how these become data again.

Of two forms: a matrix of numbers, which scikit-learn's estimators are given and give back; and a
table with text, dates or categories, which is read as `elbax train` reads one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.utils.validation import validate_data

from elbax.data import Column, matrix, tables
from elbax.data.formats import tables as files
from elbax.data.kinds import IGNORE
from elbax.data.mends import Mends
from elbax.util.words import hint, listed, shown

if TYPE_CHECKING:
    import pyarrow as pa

PRECISIONS: Any = [np.float64, np.float32]  # of a matrix; anything else becomes the first

_MENDS = Mends(
    ignore="likelihood={{{name!r}: 'ignore'}}",
    marks="set these cells to None",
    sentinel="set them to None",
    unseen="set these cells to None, or fit to a categorical that declares them",
)


class Frame(NamedTuple):
    """A table as it was handed over, and as it was read."""

    native: Any
    table: files.Table


class Found(NamedTuple):
    """What training rows were found to be.

    Attributes:
        reading: How they, and other rows, are read.
        rows: (rows, columns) float32, as they are modelled.
        remarks: What of it is worth a word, a line each.
    """

    reading: MatrixReading | TableReading
    rows: np.ndarray
    remarks: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class MatrixReading:
    """A feature matrix: numbers in, numbers out.

    Attributes:
        columns: What the modelled columns are.
        kept: (features,) which of X these are; the others had no cell in `fit`.
    """

    columns: tuple[Column, ...]
    kept: np.ndarray

    @staticmethod
    def read(estimator: Any, X: Any, *, reset: bool, rows: int) -> np.ndarray:
        """X as a matrix of floats, NaN where a cell is missing.

        Args:
            estimator: Whose `feature_names_in_` and `n_features_in_` are set or compared.
            X: What was handed over.
            reset: Whether it is what `fit` is given.
            rows: The least number of them.

        Raises:
            ValueError: It is none, or of other columns than in `fit`.
        """
        if not reset and (name := _worded(X)) is not None:
            raise ValueError(
                f"column {shown(repr(name))} of X is not of numbers, and in fit X was a matrix of "
                "numbers: give the same columns"
            )
        found: Any = validate_data(
            estimator,
            X,
            reset=reset,
            dtype=PRECISIONS,
            ensure_all_finite="allow-nan",
            ensure_min_samples=rows,
        )
        return found

    @classmethod
    def find(cls, estimator: Any, x: np.ndarray, *, empty: bool) -> Found:
        """What the columns of the training rows are.

        Args:
            estimator: Whose `likelihood` is asked for.
            x: What `read` gave.
            empty: Whether columns without an observed cell are passed over, not refused.

        Raises:
            ValueError: A kind that a column is not of, or a column that cannot be used.
        """
        given, likelihood = getattr(estimator, "feature_names_in_", None), estimator.likelihood
        names = [f"x{i}" for i in range(x.shape[1])] if given is None else [*map(str, given)]
        kept = np.ones(len(names), bool)
        if empty:
            kept &= ~np.isnan(x).all(axis=0)
        if not kept.any():
            raise ValueError("X has no observed cell: there is nothing to learn from")
        kinds = _kinds(names, likelihood)
        if IGNORE in kinds.values():
            name = next(name for name, kind in kinds.items() if kind == IGNORE)
            raise ValueError(
                f"likelihood leaves out {shown(repr(name))}, and X is a matrix of numbers, all of "
                "which are modelled: leave the column out of X"
            )
        names = [name for name, keep in zip(names, kept, strict=True) if keep]
        known = {name: kind for name, kind in kinds.items() if name in names}
        mixed = isinstance(likelihood, str) and likelihood == "mixed"
        columns = matrix.find_columns(names, x[:, kept], "mixed" if mixed else known)
        reading = cls(columns, kept)
        return Found(reading, reading.encode(x), ())

    def encode(self, x: np.ndarray) -> np.ndarray:
        """Rows of X as they are modelled: (rows, columns) float32, NaN where a cell is missing.

        Raises:
            ValueError: A number that its column's kind does not have.
        """
        return matrix.encode(self.columns, x[:, self.kept])

    def decode(self, rows: np.ndarray, *, drawn: bool = False) -> np.ndarray:
        """Modelled numbers as rows of X, float64; draws at the resolution of the training cells."""
        return matrix.decode(self.columns, rows, rounded=drawn)

    def fill(self, x: np.ndarray, cells: np.ndarray, holes: np.ndarray) -> np.ndarray:
        """X with modelled numbers in the holes of its modelled columns, and 0 in the other ones."""
        whole = np.where(np.isnan(x), x.dtype.type(0), x)
        seen = x[:, self.kept].copy()
        some = holes.any(axis=1)
        seen[some] = np.where(holes[some], self.decode(cells[some]), seen[some])
        whole[:, self.kept] = seen
        return whole

    def to_state(self) -> dict[str, Any]:
        """The reading as plain data."""
        return {"columns": [column.to_json() for column in self.columns], "kept": self.kept}


@dataclass(frozen=True, eq=False)
class TableReading:
    """A table of mixed columns, by their names: a table of the same library comes back.

    Attributes:
        columns: What the modelled columns are.
        like: A table without rows, of X's library and with its columns.
    """

    columns: tuple[Column, ...]
    like: Any

    @staticmethod
    def read(estimator: Any, X: Any, *, reset: bool, rows: int) -> Frame:
        """X as a table.

        Args:
            estimator: Whose `feature_names_in_` and `n_features_in_` are set or compared.
            X: What was handed over.
            reset: Whether it is what `fit` is given.
            rows: The least number of them.

        Raises:
            ValueError: It is none, or of other columns than in `fit`.
        """
        if not _is_frame(X):
            raise ValueError(
                f"X is of type {type(X).__name__}, and the model was fitted to a table with text, "
                "dates or categories: give a DataFrame of the same columns"
            )
        table = replace(files.read(X), source="X", mends=_MENDS)
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        if table.rows < rows:
            raise ValueError(f"X has n_samples = {table.rows}: give at least {rows} rows")
        return Frame(X, table)

    @classmethod
    def find(cls, estimator: Any, x: Frame) -> Found:
        """What the columns of the training rows are.

        Args:
            estimator: Whose `likelihood` is asked for.
            x: What `read` gave.

        Raises:
            ValueError: A kind that a column is not of, or a column that cannot be used.
        """
        import narwhals as nw

        kinds = _kinds([*x.table.columns], estimator.likelihood)
        coded = tables.find_columns(x.table, kinds, None, check=True)
        columns = tables.fit(coded.columns, coded.part.x, slice(None))
        aside = (f"left out {shown(name)}: {why}" for name, why in coded.ignored.items())
        like = nw.from_native(x.native, eager_only=True).head(0).to_native()
        rows = tables.scaled(columns, coded.part.x, slice(None))
        return Found(cls(columns, like), rows, (*aside, *coded.notes))

    @property
    def kept(self) -> np.ndarray:
        """(features,) which columns of X are modelled; the others are set aside."""
        modelled = {column.name for column in self.columns}
        return np.array([name in modelled for name in _names_of(self.like)])

    def encode(self, x: Frame) -> np.ndarray:
        """Rows of X as they are modelled: (rows, columns) float32, NaN where a cell is missing.

        Raises:
            ValueError: A cell that its column's kind does not have; all new categories in one line.
        """
        return tables.encode(x.table, self.columns).x

    def decode(self, rows: np.ndarray, *, drawn: bool = False) -> Any:
        """Modelled numbers as a table of the modelled columns, with their types and categories.

        Of numbers at the resolution and within the range of the training cells, drawn or not.
        """
        del drawn
        import narwhals as nw

        like = nw.from_native(self.like, eager_only=True)
        names = [name for name, keep in zip(like.columns, self.kept, strict=True) if keep]
        made, like = tables.decode(self.columns, rows), like.select(nw.col(*names))
        # Text that holds nothing but numbers comes back as these.
        return _in_types(made, like.to_native(), numbers=True)

    def fill(self, x: Frame, cells: np.ndarray, holes: np.ndarray) -> Any:
        """The table with modelled numbers in its holes; all other cells are untouched."""
        import narwhals as nw

        from elbax.run.use import imputation

        frame = nw.from_native(x.native, eager_only=True)
        filled = imputation.put(x.table, self.columns, cells, tables.Rows(cells, holes, {}))
        holed = {column.name for i, column in enumerate(self.columns) if holes[:, i].any()}
        names = [name for name in frame.columns if str(name) in holed]
        if not names:
            return x.native
        made = _in_types(
            filled.select([str(name) for name in names]),
            frame.select(nw.col(*names)).head(0).to_native(),
        )
        series = nw.from_native(made, eager_only=True).iter_columns()
        return frame.with_columns(*series).to_native()

    def to_state(self) -> dict[str, Any]:
        """The reading as plain data, and a table without rows."""
        return {"columns": [column.to_json() for column in self.columns], "like": self.like}


Reading = MatrixReading | TableReading


def form_of(X: Any) -> type[Reading]:
    """Which form X has: it is a table where some column is not of numbers or truth values."""
    return MatrixReading if _worded(X) is None else TableReading


def find(estimator: Any, x: np.ndarray | Frame, *, empty: bool) -> Found:
    """What the columns of training rows are, by the form that they were read in.

    Args:
        estimator: Whose `likelihood` is asked for.
        x: The rows, read.
        empty: Whether columns of a matrix without an observed cell are passed over, not refused.

    Raises:
        ValueError: A kind that a column is not of, or a column that cannot be used.
    """
    if isinstance(x, Frame):
        return TableReading.find(estimator, x)
    return MatrixReading.find(estimator, x, empty=empty)


def from_state(state: Mapping[str, Any]) -> Reading:
    """The reading whose `to_state` gave this.

    Raises:
        ValueError: It is damaged.
    """
    columns = tuple(map(Column.from_json, state["columns"]))
    if "like" in state:
        return TableReading(columns, state["like"])
    return MatrixReading(columns, state["kept"])


def across(reading: Reading, values: np.ndarray) -> np.ndarray:
    """Values (…, columns) of the modelled columns among those of X, (…, features): 0 elsewhere."""
    found = np.zeros((*values.shape[:-1], len(reading.kept)), values.dtype)
    found[..., reading.kept] = values
    return found


def beside(native: Any, names: Sequence[str], flags: np.ndarray) -> Any:
    """The table with columns of truth values (rows, names) as its last ones."""
    import narwhals as nw

    frame = nw.from_native(native, eager_only=True)
    home = frame.implementation
    added = [
        nw.new_series(name, flags[:, i].astype(bool).tolist(), nw.Boolean, backend=home)
        for i, name in enumerate(names)
    ]
    return frame.with_columns(*added).to_native()


def _is_frame(X: Any) -> bool:
    """Whether it is a table in memory."""
    return not isinstance(X, str | Path) and files.is_table(X)


def _worded(X: Any) -> str | None:
    """The first column of a table that scikit-learn would not take for numbers; None elsewhere."""
    if not _is_frame(X):
        return None
    import narwhals as nw

    frame = nw.from_native(X)
    if isinstance(frame, nw.LazyFrame):
        raise ValueError("X is lazy: collect() it first")
    for series in frame.iter_columns():
        kind = series.dtype
        if kind.is_numeric() or kind == nw.Boolean or series.null_count() == len(series):
            continue
        if kind == nw.Object:  # of pandas: numbers, or whatever else
            try:
                series.to_numpy().astype(float)
            except (TypeError, ValueError):
                return str(series.name)
            continue
        return str(series.name)
    return None


def _kinds(names: list[str], likelihood: Any) -> dict[str, str]:
    """The parameter `likelihood` by the names of the columns; those not asked for are left out.

    Raises:
        ValueError: There is not one kind for each column, or there is no such column.
    """
    if likelihood is None or isinstance(likelihood, str):
        return {} if likelihood in (None, "mixed") else dict.fromkeys(names, likelihood)
    if isinstance(likelihood, Mapping):
        kinds = {str(name): str(kind) for name, kind in likelihood.items()}
        for name in kinds:
            if name not in names:
                raise ValueError(
                    f"likelihood names the column {shown(repr(name))}{hint(name, names)}: X has "
                    f"{listed(names)}"
                )
        return kinds
    if len(likelihood) != len(names):
        raise ValueError(
            f"likelihood names {len(likelihood)} columns, and X has {len(names)}: give one kind "
            "for each, or one for all"
        )
    return dict(zip(names, map(str, likelihood), strict=True))


def _names_of(native: Any) -> list[str]:
    import narwhals as nw

    return [str(name) for name in nw.from_native(native, eager_only=True).columns]


def _in_types(table: pa.Table, like: Any, *, numbers: bool = False) -> Any:
    """A pyarrow table as one of another's library, with its names and types.

    Args:
        table: The table.
        like: A table of as many columns.
        numbers: Whether numbers remain numbers where the other holds text or objects.
    """
    import narwhals as nw
    import pyarrow as pa

    frame = nw.from_native(like, eager_only=True)
    home = frame.implementation
    words = [kind in (nw.String, nw.Object) for kind in frame.schema.values()]
    plain = [pa.types.is_floating(t) or pa.types.is_integer(t) for t in table.schema.types]
    kept = [numbers and all(both) for both in zip(words, plain, strict=True)]
    if home.is_pyarrow():
        pairs = zip(table.schema.types, like.schema.types, kept, strict=True)
        types = [own if keep else asked for own, asked, keep in pairs]
        return table.cast(pa.schema(zip(like.schema.names, types, strict=True)), safe=False)
    made = nw.from_arrow(table, backend=home).to_native()
    if home.is_polars():
        pairs = zip(like.schema.items(), kept, strict=True)
        return made.cast({name: kind for (name, kind), keep in pairs if not keep})
    made.columns = like.columns
    pairs = zip(like.dtypes.items(), kept, strict=True)
    return made.astype({name: kind for (name, kind), keep in pairs if not keep})
