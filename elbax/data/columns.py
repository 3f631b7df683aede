"""One column of a table: what it is, and the way of its cells to numbers and back.

A cell that was not observed is NaN here, whatever the table called it. Everything about a column is
plain JSON, so that new rows can be read, and made, as the training rows were.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from elbax.data.cells import (
    EXACT,
    Category,
    Cells,
    check_numbers,
    is_integral,
    is_temporal,
    read_cells,
)
from elbax.data.errors import ColumnError, UnseenCategory, UnusableColumn
from elbax.data.notation import Notation
from elbax.data.relations import Relation
from elbax.util.words import counted, listed, places, shown

if TYPE_CHECKING:
    import pyarrow as pa

# The likelihood of each kind, as `elbax.model.Mixed` calls it; a coded kind's is in `Column`.
LIKELIHOODS = {
    "continuous": "normal",
    "laplace": "laplace",
    "student-t": "student-t",
    "positive": "log-normal",
    "count": "negative-binomial",
    "poisson": "poisson",
    "bernoulli": "binary",
    "continuous-bernoulli": "continuous-bernoulli",
}
_STANDARDISED = ("continuous", "laplace", "student-t")
_DENSITIES = (*_STANDARDISED, "positive", "continuous-bernoulli")
CODED = ("binary", "categorical", "ordinal", "constant")


class Range(NamedTuple):
    """The numbers that a kind is of."""

    words: str
    contains: Callable[[np.ndarray], np.ndarray]


_ABOVE_0 = Range("numbers above 0", lambda x: x > 0)
_WHOLE = Range("whole numbers from 0 on", lambda x: (x >= 0) & (x == np.rint(x)))
_UNIT = Range("numbers from 0 to 1", lambda x: (x >= 0) & (x <= 1))
RANGES = {
    "positive": _ABOVE_0,
    "count": _WHOLE,
    "poisson": _WHOLE,
    "bernoulli": _UNIT,
    "continuous-bernoulli": _UNIT,
}


@dataclass(frozen=True)
class Column:
    """What a column of a table or of a feature matrix is.

    Attributes:
        name: its name.
        kind: "continuous", "laplace" and "student-t" numbers, "positive" ones, "count" and
            "poisson", "bernoulli" and "continuous-bernoulli" (from 0 to 1), "binary",
            "categorical", "ordinal"; or "constant", which tells nothing (`elbax.data.kinds`).
        dtype: pyarrow's name of its type; "dictionary" and "ordered dictionary" for categoricals.
        categories: the values of codes 0, 1, …, for those kinds that are coded.
        shift: what is taken off a number before it is modelled; fitted to the observed training
            cells, like scale.
        scale: what it is then divided by: the standard deviation of columns that are standardised,
            the geometric mean of positive ones, 1 elsewhere.
        notation: how a column of text writes its numbers or dates.
        resolution: what all cells are a multiple of, such as 0.1; 0 where nothing is.
        lower: the least number among the cells: none is written below it.
        upper: the greatest.
        relation: how the column follows from others; all the rest is then of the distance that is
            modelled in its place, and of the column itself in `relation.own`.
    """

    name: str
    kind: str
    dtype: str
    categories: tuple[Category, ...] = ()
    shift: float = 0.0
    scale: float = 1.0
    notation: Notation | None = None
    resolution: float = 0.0
    lower: float | None = None
    upper: float | None = None
    relation: Relation | None = None

    @property
    def own(self) -> "Column":
        """What is written: the column itself, also where its distance from others is modelled."""
        return self if self.relation is None else self.relation.own

    @property
    def likelihood(self) -> str:
        """The family of p(x|z) for the column, as `elbax.model.Mixed` calls it."""
        if self.kind in ("categorical", "ordinal"):
            return f"{self.kind}-{len(self.categories)}"
        return LIKELIHOODS.get(self.kind, "binary")

    @property
    def log_jacobian(self) -> float:
        """Log |d modelled number / d number|: added to a log-density in nats, it is in own units.

        0 where the likelihood is a mass.
        """
        return 0.0 if self.discrete else -math.log(self.scale)

    @property
    def standardised(self) -> bool:
        """Whether it is modelled less its mean and by its standard deviation."""
        return self.kind in _STANDARDISED

    @property
    def discrete(self) -> bool:
        """Whether the likelihood is a mass (else a density)."""
        return self.kind not in _DENSITIES

    @property
    def integral(self) -> bool:
        """Whether the table keeps the column as whole numbers."""
        return is_integral(self.dtype)

    @property
    def temporal(self) -> bool:
        """Whether it holds dates, moments, times or spans: numbers of days or seconds."""
        return is_temporal(self.dtype)

    @property
    def moment(self) -> bool:
        """Whether its numbers are dates or times, of a type or written as text."""
        return self.temporal or (self.notation is not None and bool(self.notation.date))

    def to_json(self) -> dict[str, Any]:
        """The column as plain data."""
        return {**dataclasses.asdict(self), "categories": list(self.categories)}

    def meaning(self) -> dict[str, Any]:
        """What its modelled numbers mean, as plain data: how they are written is left out."""
        values = self.to_json()
        written = ("notation", "resolution", "lower", "upper")
        if self.relation is None:
            written = (*written, "relation")
        return {name: value for name, value in values.items() if name not in written}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Column":
        """The column that `to_json` wrote.

        Raises:
            ValueError: It is damaged.
        """
        try:
            notation = values.get("notation")
            notation = None if notation is None else Notation(**notation)
            categories = tuple(values["categories"])
            relation = values.get("relation")
            if relation is not None:
                terms = tuple((float(factor), str(name)) for factor, name in relation["terms"])
                own = cls.from_json(relation["own"])
                relation = Relation(**{**relation, "terms": terms, "own": own})
            found = {"categories": categories, "notation": notation, "relation": relation}
            column = cls(**{**values, **found})
            if column.kind not in (*LIKELIHOODS, *CODED) or not column.scale > 0:
                raise ValueError(f"{column.kind}, scale {column.scale}")
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(f"the description of a column is damaged ({error})") from None
        return column


def observe(column: Column, codes: np.ndarray) -> Column:
    """The column with the resolution and the range of the rows.

    Args:
        column: what `elbax.data.kinds` found.
        codes: (n,) cells as `encode` gives them with shift 0 and scale 1.
    """
    observed = codes[~np.isnan(codes)]
    if column.kind in CODED or len(observed) == 0:
        return column
    low, high = float(observed.min()), float(observed.max())
    return replace(
        column,
        resolution=_resolution(column, observed),
        lower=low if column.lower is None else column.lower,
        upper=high if column.upper is None else column.upper,
    )


def fit(column: Column, codes: np.ndarray) -> Column:
    """The column with shift and scale of the training rows.

    Args:
        column: what `elbax.data.kinds` found.
        codes: (n,) training cells as `encode` gives them with shift 0 and scale 1.

    Raises:
        ColumnError: a column of numbers without an observed training cell.
    """
    if not column.standardised and column.kind != "positive":
        return column
    observed = codes[~np.isnan(codes)]
    if len(observed) == 0:
        raise UnusableColumn(
            f"column {shown(repr(column.name))} has no observed cell among the training rows: "
            "leave it out"
        )
    if column.kind == "positive":
        return replace(column, scale=float(np.exp(np.mean(np.log(observed)))))
    scale = float(np.std(observed))
    # Of equal numbers rounding may leave a deviation.
    varies = scale > 1e-12 * float(np.max(np.abs(observed)))
    return replace(column, shift=float(np.mean(observed)), scale=scale if varies else 1.0)


_RESOLUTIONS = {
    "number": (1e4, 1e3, 100.0, 10.0, 1.0, 0.5, 0.1, 0.05, 0.01, 1e-3, 1e-4, 1e-5, 1e-6),
    "moment": (86_400.0, 3_600.0, 60.0, 1.0, 1e-3),
}
FEW_CELLS = 10  # agree on a coarse resolution by chance
MOST_MULTIPLES = 1e9  # are whole whatever they are


def _resolution(column: Column, observed: np.ndarray) -> float:
    """The coarsest round number that all cells are multiples of; 0 where none is."""
    if len(observed) < FEW_CELLS and not column.integral:
        return 0.0
    if column.dtype.startswith("date"):
        return 1.0
    for step in steps(column):
        multiples = observed / step
        near = np.abs(multiples - np.rint(multiples)) <= tolerance(column.dtype)
        if near.all() and np.abs(multiples).max() < MOST_MULTIPLES:
            return step
    return 0.0


def steps(column: Column) -> tuple[float, ...]:
    """The round numbers that a column's cells may all be multiples of, each of the next."""
    return _RESOLUTIONS["moment" if column.moment else "number"]


def tolerance(dtype: str) -> float:
    """How far from a multiple a cell of this type may lie, in multiples."""
    return 1e-3 if dtype in ("float", "halffloat") else 1e-6


def encode(
    column: Column, cells: Cells, where: str, unseen: Literal["refuse", "missing"] = "refuse"
) -> np.ndarray:
    """Cells, perhaps of another table, as the numbers that are modelled.

    Args:
        column: what the training rows' column is.
        cells: the cells.
        where: how messages call the table.
        unseen: whether to refuse categories that training did not see, or take them as missing.

    Returns:
        (n,) float64, NaN where not observed: codes, counts, or (number − shift) / scale.

    Raises:
        ColumnError: another sort of values, a new category, a number outside the kind's range.
    """
    name = f"column {shown(repr(column.name))} of {where}"
    check_numbers(column.name, cells)
    if column.notation is not None and cells.levels is not None:
        cells = _parsed(column.notation, cells, name)
    if column.kind in CODED:
        return _codes(column, cells, unseen)
    numbers = cells.numbers
    if column.temporal != is_temporal(cells.dtype) and len(cells.observed):
        numbers = _moments_of(column, cells, name)
    elif cells.levels is not None and len(cells.observed):
        if not all(isinstance(level, bool | int | float) for level in cells.levels):
            raise ColumnError(
                f"{name} was {column.kind} in training, and holds text "
                f"{_said(cells, ~np.isnan(numbers))}: write numbers, or leave the cells empty"
            )
        values = np.array([float(level) for level in cells.levels])
        numbers = np.where(np.isnan(numbers), np.nan, values[np.nan_to_num(numbers).astype(int)])
    if column.kind in RANGES:
        bad = ~(RANGES[column.kind].contains(numbers) | np.isnan(numbers))
        if bad.any():
            values = replace(cells, numbers=numbers, levels=None)
            raise ColumnError(
                f"{name} is {column.kind}, of {RANGES[column.kind].words}, and holds others "
                f"{_said(values, bad)}: mend it, or give the column another kind"
            )
    return (numbers - column.shift) / column.scale


def _parsed(notation: Notation, cells: Cells, name: str) -> Cells:
    """Text as the numbers that it writes.

    Raises:
        ColumnError: some is no number.
    """
    assert cells.levels is not None
    values = np.array([notation.parse(str(level)) for level in cells.levels] or [np.nan])
    codes = np.nan_to_num(cells.numbers).astype(int)
    numbers = np.where(np.isnan(cells.numbers), np.nan, values[codes])
    lost = np.isnan(numbers) & ~np.isnan(cells.numbers)
    if lost.any():
        raise ColumnError(
            f"{name} held {notation.in_words()} in training, and holds others "
            f"{_said(cells, lost)}: mend it, or leave the cell empty"
        )
    return Cells(numbers, cells.dtype)


def _said(cells: Cells, chosen: np.ndarray) -> str:
    """Where some cells are, and what the first three hold."""
    rows = np.flatnonzero(chosen).tolist()
    values = [cells.value(row) for row in rows[:3]]
    return places(rows, [f"{v:g}" if isinstance(v, float) else repr(v) for v in values])


def _moments_of(column: Column, cells: Cells, name: str) -> np.ndarray:
    """Dates and times of another type as those of the column.

    Raises:
        ColumnError: they are none.
    """
    import pyarrow as pa

    if cells.notation is not None and cells.notation.date and column.temporal:
        days = pa.array(cells.numbers, mask=np.isnan(cells.numbers)).cast(pa.int64(), safe=False)
        try:
            moments = days.cast(pa.timestamp("s")).cast(type_of(column), safe=False)
        except pa.ArrowException:
            pass
        else:
            return read_cells(moments, column.name).numbers
    held = "dates or times" if column.temporal else "numbers"
    raise ColumnError(f"{name} does not hold {held}, as it did in training: mend it")


def _codes(column: Column, cells: Cells, unseen: Literal["refuse", "missing"]) -> np.ndarray:
    """Each cell's place among the column's categories."""
    values: Sequence[Category] = cells.levels if cells.levels is not None else ()
    codes = cells.numbers
    if cells.levels is None:
        distinct, places = np.unique(cells.numbers, return_inverse=True)
        values = [float(value) for value in distinct if not np.isnan(value)]
        codes = np.where(np.isnan(cells.numbers), np.nan, places)
    known = {_key(category): code for code, category in enumerate(column.categories)}
    text = {text_of(category): code for code, category in enumerate(column.categories)}

    def code(value: Category) -> int:
        written = text_of(value)
        return known.get(_key(value), text.get(written, text.get(shortest(written), -1)))

    table = np.array([code(value) for value in values] or [0.0])
    found = np.where(np.isnan(codes), np.nan, table[np.nan_to_num(codes).astype(int)])
    lost = found < 0
    if np.any(lost) and unseen == "refuse":
        new = Counter(int(code) for code in codes[lost])
        words = [
            f"{shown(repr(values[code]))} in {counted(count, 'row')} (row "
            f"{int(np.argmax(codes == code)):,} first)"
            for code, count in new.most_common(3)
        ]
        more = f", and {len(new) - 3:,} more values" if len(new) > 3 else ""
        seen = listed(map(repr, column.categories), 6)
        raise UnseenCategory(
            f"column {shown(repr(column.name))} has {', '.join(words)}{more}, and knows {seen}"
        )
    return np.where(lost, np.nan, found)


def _key(value: Category) -> Any:
    """Equal numbers are one category, whatever their type; text is another sort."""
    return value if isinstance(value, str) else float(value)


def text_of(value: Category) -> str:
    """A category as a file without types writes it."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)


def shortest(text: str) -> str:
    """A number as `text_of` has it: 1.0 as 1; other text as it is."""
    try:
        return text_of(float(text))
    except ValueError:
        return text


def in_own_units(column: Column, numbers: np.ndarray) -> np.ndarray:
    """Modelled numbers of a column of numbers in its own units, float64, not rounded.

    Between two codes, as a mean may be, lie the numbers between their values.
    """
    numbers = np.asarray(numbers, np.float64)
    if column.kind in CODED:
        values = np.array(column.categories, np.float64)
        return np.interp(numbers, np.arange(len(values)), values)
    return numbers * column.scale + column.shift


def decode(column: Column, numbers: np.ndarray) -> "pa.Array":
    """Modelled numbers as cells of the column's own type; NaN becomes null.

    Codes and counts are rounded to the nearest one; so are numbers of a column of whole ones.

    Args:
        column: the column.
        numbers: (n,) as `encode` gives them.
    """
    numbers = np.asarray(numbers, np.float64)
    missing = np.isnan(numbers)
    if column.kind in CODED:
        last = len(column.categories) - 1
        codes = np.clip(np.rint(np.where(missing, 0, numbers)), 0, last).astype(np.int32)
        return _from_codes(column, codes, missing)
    return cells_of(column, as_written(column, numbers))


def cells_of(column: Column, values: np.ndarray) -> "pa.Array":
    """Numbers in the column's own units, as they are to be written, as cells of its own type.

    Args:
        column: the column.
        values: (n,) as `as_written` gives them; NaN becomes null.
    """
    import pyarrow as pa

    missing = np.isnan(values)
    values = np.where(missing, column.lower or 0.0, values)
    if column.notation is not None:
        texts = column.notation.write(values)
        return pa.array([None if gone else t for t, gone in zip(texts, missing, strict=True)])
    if column.temporal:
        return from_moments(column, values, missing)
    if column.integral:
        limits = np.iinfo(column.dtype)
        low, high = max(limits.min, -EXACT), min(limits.max, EXACT)
        values = np.clip(np.rint(values), low, high).astype(column.dtype)
    return pa.array(values, mask=missing).cast(type_of(column), safe=False)


def as_written(column: Column, numbers: np.ndarray) -> np.ndarray:
    """Modelled numbers in the column's own units, as its cells are: float64, NaN stays.

    They are whole where they are counts, multiples of the training cells' resolution, and within
    the range of these.
    """
    values = in_own_units(column, numbers)
    if column.kind in CODED:
        return values
    if RANGES.get(column.kind) is _WHOLE:
        values = np.maximum(np.rint(values), 0.0)
    elif column.resolution > 0:
        values = np.rint(values / column.resolution) * column.resolution
        values = np.round(values, max(0, 2 - math.floor(math.log10(column.resolution))))
    else:
        values = _rounded(values, column)
    if column.lower is None or column.upper is None:
        return values
    return np.clip(values, column.lower, column.upper)


def from_moments(column: Column, values: np.ndarray, missing: np.ndarray) -> "pa.Array":
    """Days or seconds as dates, times or moments."""
    import pyarrow as pa

    kind = type_of(column)
    if pa.types.is_date(kind):
        days = pa.array(np.rint(values).astype(np.int32), mask=missing)
        return days.cast(pa.date32()).cast(kind)
    unit = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[kind.unit]
    whole = np.int32 if kind.bit_width == 32 else np.int64
    return pa.array(np.rint(values * unit).astype(whole), mask=missing).cast(kind)


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
    values: Sequence[Category] = column.categories
    if column.notation is not None:
        values = column.notation.write(np.array(values, np.float64))
    cells = [None if gone else values[code]
             for code, gone in zip(codes, missing, strict=True)]  # fmt: skip
    return pa.array(cells, type=type_of(column))


def type_of(column: Column) -> "pa.DataType":
    """The pyarrow type of a column's cells."""
    import pyarrow as pa

    aliases = {"large_string": pa.string(), "halffloat": pa.float16()}
    if column.dtype in aliases:
        return aliases[column.dtype]
    if column.temporal:
        name, _, inside = column.dtype.removesuffix("]").partition("[")
        unit, _, zone = inside.partition(", tz=")
        if name == "timestamp":
            return pa.timestamp(unit, zone or None)
        if name.startswith("date"):
            return pa.date32() if name == "date32" else pa.date64()
        return pa.duration(unit) if name == "duration" else pa.type_for_alias(column.dtype)
    return pa.type_for_alias(column.dtype)
