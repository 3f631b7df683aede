"""A feature matrix: numbers alone, without names and types, to modelled numbers and back."""

from collections.abc import Mapping, Sequence

import numpy as np

from elbax.data import columns as one
from elbax.data.cells import Cells
from elbax.data.columns import Column
from elbax.data.errors import UnseenCategory
from elbax.data.kinds import check_kind, infer, infer_matrix
from elbax.data.tables import single


def find_columns(
    names: Sequence[str], x: np.ndarray, kinds: str | Sequence[str] | Mapping[str, str] | None
) -> tuple[Column, ...]:
    """What the columns of a feature matrix are, shift and scale included.

    Args:
        names: what messages call them.
        x: the training rows, (n, d); NaN where not observed.
        kinds: a kind (or the likelihood's name) for all columns, one for each, or for some by name;
            "mixed" finds them as a table's are found (`elbax.data.kinds.infer`), None and what has
            no name here as `infer_matrix` says.

    Raises:
        DataError: an unknown kind, one that a column's numbers are not of, or a column that cannot
            be used.
    """
    x = np.asarray(x, np.float64)
    if kinds == "mixed":
        columns = [infer(name, Cells(cells)) for name, cells in zip(names, x.T, strict=True)]
    else:
        if not isinstance(kinds, Mapping):
            each = [kinds] * len(names) if isinstance(kinds, str) else kinds or ()
            kinds = dict(zip(names, map(str, each), strict=bool(each)))
        asked = {name: check_kind(name, kind) for name, kind in kinds.items()}
        columns = infer_matrix(names, x, asked)
    pairs = zip(columns, x.T, strict=True)
    fitted = []
    for column, cells in pairs:
        numbers = one.encode(column, Cells(cells), "X")
        fitted.append(one.fit(one.observe(column, numbers), numbers))
    return tuple(fitted)


def encode(columns: Sequence[Column], x: np.ndarray) -> np.ndarray:
    """Rows of a feature matrix as they are modelled: (n, d) float32, NaN where not observed.

    Raises:
        ColumnError: a number that its column's kind does not have.
    """
    pairs = zip(columns, np.asarray(x, np.float64).T, strict=True)
    try:
        return single(np.stack([one.encode(c, Cells(cells), "X") for c, cells in pairs], axis=1))
    except UnseenCategory as problem:
        raise UnseenCategory(f"X has categories that training did not see: {problem}") from None


def decode(columns: Sequence[Column], rows: np.ndarray, *, rounded: bool = False) -> np.ndarray:
    """Modelled numbers in the columns' own units, (n, d) float64.

    Args:
        columns: what the columns are.
        rows: (n, d) modelled numbers.
        rounded: as the training cells are, to their resolution and within their range: of draws,
            not of means.
    """
    convert = one.as_written if rounded else one.in_own_units
    pairs = zip(columns, rows.T, strict=True)
    return np.stack([convert(column, numbers) for column, numbers in pairs], axis=1)
