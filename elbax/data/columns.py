"""One column of a table: what it holds, and the way to numbers and back.

A cell that was not observed is NaN here, whatever the table called it. Everything about a column is
plain JSON, so that new rows can be read, and made, as the training rows were.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import numpy as np

from elbax.data.errors import DataError, counted, nearest, shown

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal[
    "continuous", "positive", "count", "binary", "categorical", "ordinal", "constant"
]  # fmt: skip
Category = bool | int | float | str

IGNORE = "ignore"
# What a user may ask for; "constant" is found, never asked for.
ASKED = (*(kind for kind in get_args(Kind) if kind != "constant"), IGNORE)
CODED = ("binary", "categorical", "ordinal", "constant")

MOST_CATEGORIES = 100
_FEW_LEVELS = 10  # different whole numbers that are still taken for an ordered scale
_LARGEST = 1e100  # squares of larger numbers leave the range of floats
_EXACT = 1 << 53  # whole numbers beyond it are not all float64


class ColumnError(DataError):
    """One column that cannot be used as it is."""


@dataclass(frozen=True)
class Column:
    """What a column of a table is.

    Attributes:
        name: its name.
        kind: "continuous" and "positive" numbers, "count", "binary", "categorical", "ordinal"; or
            "constant", which tells nothing.
        dtype: pyarrow's name of its type; "dictionary" and "ordered dictionary" for categoricals.
        categories: the values of codes 0, 1, …, for those kinds that are coded.
        shift: what is taken off a number before it is modelled; fitted to the observed training
            cells, like scale.
        scale: what it is then divided by: the standard deviation of continuous columns, the
            geometric mean of positive ones, 1 elsewhere.
    """

    name: str
    kind: Kind
    dtype: str
    categories: tuple[Category, ...] = ()
    shift: float = 0.0
    scale: float = 1.0

    @property
    def likelihood(self) -> str:
        """The family of p(x|z) for the column, as `elbax.model.Mixed` calls it."""
        names = {"continuous": "normal", "positive": "log-normal", "count": "negative-binomial"}
        if self.kind in ("categorical", "ordinal"):
            return f"{self.kind}-{len(self.categories)}"
        return names.get(self.kind, "binary")

    @property
    def log_jacobian(self) -> float:
        """Log |d modelled number / d number|: added to a log-density in nats, it is in own units.

        0 where the likelihood is a mass.
        """
        return -math.log(self.scale) if self.kind in ("continuous", "positive") else 0.0

    @property
    def integral(self) -> bool:
        """Whether the table keeps the column as whole numbers."""
        return self.dtype.startswith(("int", "uint"))

    def to_json(self) -> dict[str, Any]:
        """The column as plain data."""
        return {
            "name": self.name,
            "kind": self.kind,
            "dtype": self.dtype,
            "categories": list(self.categories),
            "shift": self.shift,
            "scale": self.scale,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Column":
        """The column that `to_json` wrote.

        Raises:
            ValueError: it is damaged.
        """
        try:
            column = cls(**{**values, "categories": tuple(values["categories"])})
            if column.kind not in get_args(Kind) or not column.scale > 0:
                raise ValueError(f"{column.kind}, scale {column.scale}")
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(f"the description of a column is damaged ({error})") from None
        return column


@dataclass(frozen=True)
class Cells:
    """The cells of a column as they were read.

    Attributes:
        numbers: (n,) float64, NaN where not observed; of text, codes into levels.
        dtype: as `Column.dtype`.
        levels: what the codes mean, for text, truth values and dictionaries; else None.
        ordered: whether the levels were declared to have an order.
    """

    numbers: np.ndarray
    dtype: str
    levels: tuple[Category, ...] | None = None
    ordered: bool = False

    @property
    def observed(self) -> np.ndarray:
        """The observed cells alone."""
        return self.numbers[~np.isnan(self.numbers)]


def read_cells(array: "pa.ChunkedArray | pa.Array", name: str) -> Cells:
    """The cells of one pyarrow column.

    Raises:
        ColumnError: dates, lists and whatever else is neither number, truth value nor text.
    """
    import pyarrow as pa

    kind = array.type
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
        if isinstance(array, pa.ChunkedArray):  # of no chunks, or of dictionaries
            array = pa.concat_arrays(array.unify_dictionaries().chunks)
    if pa.types.is_null(kind):
        return Cells(np.full(len(array), np.nan), "null")
    if pa.types.is_boolean(kind):
        return Cells(_floats(array.cast(pa.uint8())), "bool", (False, True))
    if pa.types.is_integer(kind):
        numbers = _floats(array)
        if np.nanmax(np.abs(numbers), initial=0.0) >= _EXACT:
            raise ColumnError(
                f"column {shown(repr(name))} holds whole numbers beyond 2^53, as identifiers do: "
                f"leave it out ({name}={IGNORE})"
            )
        return Cells(numbers, str(kind))
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        dtype = "double" if pa.types.is_decimal(kind) else str(kind)
        return Cells(_floats(array.cast(pa.float64())), dtype)
    if pa.types.is_dictionary(kind):
        return _dictionary(array, name)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or _is_view(kind):
        coded = array.cast(pa.large_string()).dictionary_encode()
        levels = coded.dictionary.to_pylist()
        codes = _floats(coded.indices)
        order = sorted(range(len(levels)), key=levels.__getitem__)
        place = np.argsort(np.asarray(order, int)) if order else np.empty(0, int)
        seen = ~np.isnan(codes)
        codes[seen] = place[codes[seen].astype(int)]
        return Cells(codes, "large_string", tuple(levels[i] for i in order))
    what = "dates or times" if pa.types.is_temporal(kind) else f"values of type {shown(kind)}"
    raise ColumnError(
        f"column {shown(repr(name))} holds {what}, which are not modelled: leave it out "
        f"({name}={IGNORE}), or turn it into numbers"
    )


def _is_view(kind: "pa.DataType") -> bool:
    return str(kind) == "string_view"


def _dictionary(array: "pa.DictionaryArray", name: str) -> Cells:
    values = read_cells(array.dictionary, name)
    levels = values.levels
    if levels is None:
        levels = tuple(_plain(value, values.dtype) for value in values.numbers)
    else:
        levels = tuple(levels[int(code)] for code in values.numbers)
    ordered = bool(array.type.ordered)
    return Cells(_floats(array.indices), f"{'ordered ' * ordered}dictionary", levels, ordered)


def _floats(array: "pa.Array") -> np.ndarray:
    """Numbers as float64, null as NaN; a copy."""
    import pyarrow as pa

    return np.array(array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)


def _plain(value: float, dtype: str) -> Category:
    whole = dtype.startswith(("int", "uint"))
    return int(value) if whole else float(value)


# --- which kind --------------------------------------------------------------------------------


def infer(name: str, cells: Cells, asked: str | None = None) -> Column:
    """What a column is, by the rule below, or as asked.

    Of text and truth values: one value is "constant", two are "binary", up to 100 "categorical" (an
    ordered dictionary is "ordinal"). Of numbers: one is "constant"; two whole ones "binary"; up to
    ten whole ones without 0 "ordinal" (grades); whole ones from 0 on whose variance is half their
    mean or more "count"; others "positive" where all are above 0, their skewness is above 1 and
    that of their logarithms less than half of it; else "continuous".

    Args:
        name: its name, for messages.
        cells: all rows' cells.
        asked: one of `ASKED` except "ignore", or None.

    Raises:
        ColumnError: no observed cell, infinite or too large numbers, too many categories, or a kind
            that the cells do not have.
    """
    observed = cells.observed
    column = f"column {shown(repr(name))}"
    if len(observed) == 0:
        raise ColumnError(f"{column} has no observed cell: leave it out ({name}={IGNORE})")
    check_numbers(name, cells)
    if cells.levels is not None:
        return _infer_levels(name, cells, asked)
    distinct = np.unique(observed)
    kind = cast("Kind", asked) if asked else _numeric_kind(observed, distinct)
    if len(distinct) == 1:
        kind = "constant"
    _check_numeric(name, kind, observed, distinct)
    categories: tuple[Category, ...] = ()
    if kind in CODED:
        if len(distinct) > MOST_CATEGORIES:
            raise _too_many(name, len(distinct))
        categories = tuple(_plain(value, cells.dtype) for value in distinct)
    return Column(name, kind, cells.dtype, categories)


def _infer_levels(name: str, cells: Cells, asked: str | None) -> Column:
    assert cells.levels is not None
    levels = cells.levels
    column = f"column {shown(repr(name))}"
    if asked in ("continuous", "positive", "count"):
        raise ColumnError(f"{column} holds {_sort(cells)}, not numbers: it cannot be {asked}")
    if asked == "ordinal" and not cells.ordered:
        raise ColumnError(
            f"{column} holds {_sort(cells)}, which has no order of its own: number its levels, or "
            "give an ordered categorical"
        )
    if cells.dtype in ("bool", "large_string"):  # only what occurs
        used = np.unique(cells.observed).astype(int)
        levels = tuple(levels[i] for i in used) if cells.dtype == "large_string" else levels
        if len(used) == 1:
            only = levels[0] if cells.dtype == "large_string" else levels[int(used[0])]
            return Column(name, "constant", cells.dtype, (only,))
    if len(levels) > MOST_CATEGORIES:
        raise _too_many(name, len(levels))
    if asked == "binary" and len(levels) > 2:
        raise ColumnError(f"{column} has {len(levels)} different values: it cannot be binary")
    if len(levels) <= 2:
        found: Kind = "constant" if len(levels) == 1 else "binary"
        return Column(name, found, cells.dtype, levels)
    return Column(name, "ordinal" if cells.ordered and asked != "categorical" else "categorical",
                  cells.dtype, levels)  # fmt: skip


def _sort(cells: Cells) -> str:
    return {"bool": "truth values", "large_string": "text"}.get(cells.dtype, "categories")


def _numeric_kind(observed: np.ndarray, distinct: np.ndarray) -> Kind:
    whole = bool(np.all(distinct == np.rint(distinct)))
    if whole and len(distinct) == 2:
        return "binary"
    if whole and len(distinct) <= _FEW_LEVELS and distinct[0] > 0:
        return "ordinal"
    if whole and distinct[0] >= 0 and np.var(observed) >= 0.5 * np.mean(observed):
        return "count"
    if distinct[0] > 0:
        skewness = _skewness(observed)
        if skewness > 1.0 and abs(_skewness(np.log(observed))) < 0.5 * skewness:
            return "positive"
    return "continuous"


def _skewness(values: np.ndarray) -> float:
    """The third standardised moment; 0 where nothing varies."""
    scale = float(np.std(values))
    return float(np.mean(((values - np.mean(values)) / scale) ** 3)) if scale > 0 else 0.0


def check_numbers(name: str, cells: Cells) -> None:
    """Refuses infinity and what is as good as infinite.

    Raises:
        ColumnError: one line, with the first row.
    """
    if cells.levels is not None:
        return
    for test, what in ((np.isinf, "infinite"), (lambda x: np.abs(x) > _LARGEST, "beyond 1e100")):
        bad = test(cells.numbers)
        if bad.any():
            raise ColumnError(
                f"column {shown(repr(name))} has {counted(int(bad.sum()), 'cell')} that "
                f"{'is' if bad.sum() == 1 else 'are'} {what}, the first in row "
                f"{int(np.argmax(bad)):,} (counted from 0): mend it, or leave it empty"
            )


def _check_numeric(name: str, kind: str, observed: np.ndarray, distinct: np.ndarray) -> None:
    problem = None
    if kind == "binary" and len(distinct) > 2:
        problem = f"has {len(distinct):,} different values"
    elif kind == "count" and (distinct[0] < 0 or np.any(distinct != np.rint(distinct))):
        problem = f"holds {_first(observed, (observed < 0) | (observed != np.rint(observed)))}"
    elif kind == "positive" and distinct[0] <= 0:
        problem = f"holds {distinct[0]:g}"
    if problem is not None:
        raise ColumnError(f"column {shown(repr(name))} {problem}: it cannot be {kind}")


def _first(values: np.ndarray, bad: np.ndarray) -> str:
    return f"{values[int(np.argmax(bad))]:g}"


def _too_many(name: str, found: int) -> ColumnError:
    return ColumnError(
        f"column {shown(repr(name))} has {found:,} different values, more than "
        f"{MOST_CATEGORIES} categories: leave it out ({name}={IGNORE}), or merge them"
    )


def check_kind(name: str, kind: str) -> None:
    """Refuses a word that is no kind.

    Raises:
        DataError: with the nearest one.
    """
    if kind not in ASKED:
        raise DataError(
            f"column {shown(repr(name))} is to be {shown(repr(kind))}{nearest(kind, ASKED)}: a "
            f"column is {', '.join(ASKED)}"
        )


# --- to numbers, and back ----------------------------------------------------------------------


def fit(column: Column, codes: np.ndarray) -> Column:
    """The column with shift and scale of the training rows.

    Args:
        column: what `infer` gave.
        codes: (n,) training cells as `encode` gives them with shift 0 and scale 1.

    Raises:
        ColumnError: a column of numbers without an observed training cell.
    """
    if column.kind not in ("continuous", "positive"):
        return column
    observed = codes[~np.isnan(codes)]
    if len(observed) == 0:
        raise ColumnError(
            f"column {shown(repr(column.name))} has no observed cell among the training rows: "
            f"leave it out ({column.name}={IGNORE})"
        )
    if column.kind == "positive":
        return replace(column, scale=float(np.exp(np.mean(np.log(observed)))))
    scale = float(np.std(observed))
    return replace(column, shift=float(np.mean(observed)), scale=scale if scale > 0 else 1.0)


def encode(column: Column, cells: Cells, where: str) -> np.ndarray:
    """Cells, perhaps of another table, as the numbers that are modelled.

    Args:
        column: what the training rows' column is.
        cells: the cells.
        where: how messages call the table.

    Returns:
        (n,) float64, NaN where not observed: codes, counts, or (number − shift) / scale.

    Raises:
        ColumnError: another sort of values, a new category, a number outside the kind's range.
    """
    name = f"column {shown(repr(column.name))} of {where}"
    check_numbers(column.name, cells)
    if column.kind in CODED:
        return _codes(column, cells, name)
    numbers = cells.numbers
    if cells.levels is not None and len(cells.observed):
        if not all(isinstance(level, bool | int | float) for level in cells.levels):
            raise ColumnError(
                f"{name} holds text, and it was {column.kind} in training: {_cell(cells)}; write "
                "numbers, or leave the cell empty"
            )
        values = np.array([float(level) for level in cells.levels])
        numbers = np.where(np.isnan(numbers), np.nan, values[np.nan_to_num(numbers).astype(int)])
    if column.kind in ("count", "positive"):
        with np.errstate(invalid="ignore"):
            bad = numbers <= 0
            if column.kind == "count":
                bad = (numbers < 0) | (numbers != np.rint(numbers)) & ~np.isnan(numbers)
        if bad.any():
            wanted = "whole numbers from 0 on" if column.kind == "count" else "numbers above 0"
            row = int(np.argmax(bad))
            raise ColumnError(
                f"{name} is {numbers[row]:g} in row {row:,} (counted from 0), and a {column.kind} "
                f"column holds {wanted}: mend it, or give the column another kind"
            )
    return (numbers - column.shift) / column.scale


def _cell(cells: Cells) -> str:
    row = int(np.argmax(~np.isnan(cells.numbers)))
    value = cells.levels[int(cells.numbers[row])] if cells.levels else cells.numbers[row]
    return f"row {row:,} (counted from 0) is {shown(repr(value))}"


def _codes(column: Column, cells: Cells, name: str) -> np.ndarray:
    """Each cell's place among the column's categories."""
    values: Sequence[Category] = cells.levels if cells.levels is not None else ()
    codes = cells.numbers
    if cells.levels is None:
        distinct, places = np.unique(cells.numbers, return_inverse=True)
        values = [float(value) for value in distinct if not np.isnan(value)]
        codes = np.where(np.isnan(cells.numbers), np.nan, places)
    known = {_key(category): code for code, category in enumerate(column.categories)}
    text = {_text(category): code for code, category in enumerate(column.categories)}
    table = np.array(
        [known.get(_key(value), text.get(_text(value), -1)) for value in values] or [0.0]
    )
    found = np.where(np.isnan(codes), np.nan, table[np.nan_to_num(codes).astype(int)])
    if np.any(found < 0):
        row = int(np.argmax(found < 0))
        value = values[int(codes[row])]
        listed = ", ".join(shown(repr(known)) for known in column.categories[:6])
        more = ", …" if len(column.categories) > 6 else ""
        raise ColumnError(
            f"{name} is {shown(repr(value))} in row {row:,} (counted from 0), which training did "
            f"not see: it knows {listed}{more}; leave the cell empty to have it taken as missing"
        )
    return found


def _key(value: Category) -> Any:
    """Equal numbers are one category, whatever their type; text is another sort."""
    return value if isinstance(value, str) else float(value)


def _text(value: Category) -> str:
    """A category as a file without types writes it."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)


def decode(column: Column, numbers: np.ndarray) -> "pa.Array":
    """Modelled numbers as cells of the column's own type; NaN becomes null.

    Codes and counts are rounded to the nearest one; so are numbers of a column of whole ones.

    Args:
        column: the column.
        numbers: (n,) as `encode` gives them.
    """
    import pyarrow as pa

    numbers = np.asarray(numbers, np.float64)
    missing = np.isnan(numbers)
    if column.kind in CODED:
        last = len(column.categories) - 1
        codes = np.clip(np.rint(np.where(missing, 0, numbers)), 0, last).astype(np.int32)
        return _from_codes(column, codes, missing)
    values = np.where(missing, 0.0, numbers * column.scale + column.shift)
    if column.kind == "count":
        values = np.maximum(np.rint(values), 0.0)
    else:
        values = _rounded(values, column)
    if column.integral:
        limits = np.iinfo(column.dtype)
        low, high = max(limits.min, -_EXACT), min(limits.max, _EXACT)
        values = np.clip(np.rint(values), low, high).astype(column.dtype)
    return pa.array(values, mask=missing).cast(_type(column), safe=False)


def _rounded(values: np.ndarray, column: Column) -> np.ndarray:
    """To as many digits as a float32 has: of the spread, or of a positive number itself.

    More of them would be noise, and 163.2 would come back as 163.19999694824219.
    """
    positive = column.kind == "positive"
    size = np.abs(values) if positive else np.full_like(values, column.scale)
    digits = (6 if positive else 5) - np.floor(np.log10(np.where(size > 0, size, 1.0)))
    # A power of ten is exact up to 10^22, its inverse is not: multiply or divide by the former.
    up, down = 10.0 ** np.clip(digits, 0, 22), 10.0 ** np.clip(-digits, 0, 22)
    return np.rint(values * up / down) / up * down


def _from_codes(column: Column, codes: np.ndarray, missing: np.ndarray) -> "pa.Array":
    import pyarrow as pa

    if column.dtype.endswith("dictionary"):
        indices = pa.array(codes, mask=missing)
        return pa.DictionaryArray.from_arrays(
            indices, pa.array(list(column.categories)), ordered=column.dtype.startswith("ordered")
        )
    cells = [None if gone else column.categories[code]
             for code, gone in zip(codes, missing, strict=True)]  # fmt: skip
    return pa.array(cells, type=_type(column))


def _type(column: Column) -> "pa.DataType":
    import pyarrow as pa

    aliases = {"large_string": pa.string(), "halffloat": pa.float16()}
    return aliases.get(column.dtype) or pa.type_for_alias(column.dtype)


def parse(column: Column, text: str) -> Category:
    """A cell that somebody typed, as a value of the column.

    Raises:
        ColumnError: a category that training did not see, or what is no number of the kind.
    """
    name = f"column {shown(repr(column.name))}"
    if column.kind in CODED:
        known = {_text(category): category for category in column.categories}
        # True and true, 1 and 1.0, are one category.
        loose = {word.casefold(): category for word, category in known.items()}
        for words, word in ((known, text), (loose, text.casefold()), (known, _shortest(text))):
            if word in words:
                return words[word]
        listed = ", ".join(shown(word) for word in list(known)[:8])
        raise ColumnError(
            f"{name} has no category {shown(repr(text))}{nearest(text, known)}: it has {listed}"
            f"{', …' if len(known) > 8 else ''}"
        )
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= _LARGEST:
        raise ColumnError(f"{name} holds numbers, and {shown(repr(text))} is none")
    if column.kind == "positive" and value <= 0:
        raise ColumnError(f"{name} is positive, and {text} is not above 0")
    if column.kind == "count" and (value < 0 or value != round(value)):
        raise ColumnError(f"{name} is a count, and {text} is no whole number from 0 on")
    if column.integral and value != round(value):
        raise ColumnError(f"{name} holds whole numbers, and {text} is none")
    return _plain(value, column.dtype)


def number_of(column: Column, value: Category) -> float:
    """A value that `parse` gave as the number that is modelled."""
    if column.kind in CODED:
        return float(column.categories.index(value))
    return (float(value) - column.shift) / column.scale


def _shortest(text: str) -> str:
    try:
        return _text(float(text))
    except ValueError:
        return text
