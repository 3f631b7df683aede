"""What one column of a stream holds, gathered in one pass: all that its kind and scale need.

Exact, whatever the number of rows: how many cells are missing, the ends of the range, the
different values and how often each occurs (as long as they are few), the resolution, and the mean
and deviation of the training cells, by pairwise updates in float64 (Chan, Golub & LeVeque 1983).
"""

import math
from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

from elbax.data import columns as one
from elbax.data.cells import LARGEST, Category, Cells
from elbax.data.columns import CODED, Column
from elbax.data.errors import ColumnError
from elbax.data.kinds import MOST_CATEGORIES
from elbax.util.words import shown

_MOST_TEXTS = 10_000  # different texts that are told apart


@dataclass
class Moments:
    """Mean and squared deviations of numbers that come in pieces.

    Attributes:
        count: how many there were.
        mean: their mean.
        squares: the sum of their squared deviations from it.
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, x: np.ndarray) -> None:
        """Takes some more in."""
        if len(x) == 0:
            return
        mean = float(np.mean(x))
        squares = float(np.sum((x - mean) ** 2))
        total, gap = self.count + len(x), mean - self.mean
        self.squares += squares + gap**2 * self.count * len(x) / total
        self.mean += gap * len(x) / total
        self.count = total

    @property
    def deviation(self) -> float:
        """The standard deviation, by the number of them."""
        return math.sqrt(self.squares / self.count) if self.count else 0.0


@dataclass
class Tally:
    """One column, piece after piece.

    Attributes:
        name: its name.
        rows: how many cells there were.
        missing: how many of them were not observed.
        dtype: as `Column.dtype`.
        ordered: whether its levels were declared to have an order.
        levels: of text, truth values and dictionaries, the values in the order they came.
        counts: how often each value occurs; no longer complete once there are too `many`.
        many: whether there are more different values than are told apart.
        marks: the marks that were taken for a missing cell, and how often.
        low: the least number.
        high: the greatest.
        whole: whether all numbers are.
        counting: whether each number is one more than the one before.
        moments: of the training cells.
        logarithms: of their logarithms, as long as all are above 0.
    """

    name: str
    rows: int = 0
    missing: int = 0
    dtype: str = "double"
    ordered: bool = False
    levels: dict[Category, None] | None = None
    counts: Counter[Category] = field(default_factory=Counter)
    many: bool = False
    marks: Counter[str] = field(default_factory=Counter)
    low: float = math.inf
    high: float = -math.inf
    whole: bool = True
    counting: bool = True
    moments: Moments = field(default_factory=Moments)
    logarithms: Moments = field(default_factory=Moments)
    _last: float | None = None
    _first: float | None = None
    _broken: float | None = None  # a number that is not whole
    _step: int = 0  # of the resolutions, the coarsest that is left

    @property
    def observed(self) -> int:
        """How many cells were observed."""
        return self.rows - self.missing

    def add(self, cells: Cells, held: np.ndarray | None = None) -> None:
        """Takes a piece of the column in.

        Args:
            cells: the piece.
            held: (n,) which rows are not trained on; None: all are trained on.

        Raises:
            ColumnError: infinite or too large numbers.
        """
        first, self.rows = self.rows, self.rows + len(cells.numbers)
        self.dtype, self.ordered = cells.dtype, cells.ordered
        self.marks.update(cells.marks)
        gone = np.isnan(cells.numbers)
        holes = bool(gone.any())
        observed = cells.numbers[~gone] if holes else cells.numbers
        self.missing += len(cells.numbers) - len(observed)
        if cells.levels is not None:
            self._add_levels(cells.levels, observed)
            return
        self._check(cells.numbers, observed, first)
        train = cells.numbers if held is None else cells.numbers[~held]
        if holes:
            train = train[~np.isnan(train)]
        self._add_numbers(observed, train, holes=holes)

    def _add_levels(self, levels: tuple[Category, ...], observed: np.ndarray) -> None:
        known = {} if self.levels is None else self.levels
        found = np.bincount(observed.astype(int), minlength=len(levels))
        for level, count in zip(levels, found.tolist(), strict=True):
            if level not in known:
                if len(known) >= _MOST_TEXTS:
                    self.many = True
                    break
                known[level] = None
            self.counts[level] += count
        self.levels = known

    def _check(self, numbers: np.ndarray, observed: np.ndarray, first: int) -> None:
        """Refuses infinity and what is as good as infinite.

        Raises:
            ColumnError: one line, with the row.
        """
        if len(observed) == 0:
            return
        low, high = float(observed.min()), float(observed.max())
        self.low, self.high = min(self.low, low), max(self.high, high)
        if max(-low, high) <= LARGEST:
            return
        row = first + int(np.argmax(np.abs(np.nan_to_num(numbers, posinf=np.inf)) > LARGEST))
        what = "infinite" if math.isinf(max(-low, high)) else "beyond 1e100"
        raise ColumnError(
            f"column {shown(repr(self.name))} is {what} in row {row:,} (counted from 0): mend it, "
            "or leave the cell empty"
        )

    def _add_numbers(self, observed: np.ndarray, train: np.ndarray, *, holes: bool) -> None:
        if len(observed) == 0:
            self.counting = self.counting and not holes
            return
        if self.whole:
            rest = observed[observed != np.rint(observed)]
            if len(rest):
                self.whole, self._broken = False, float(rest[0])
        if self.counting:
            self._count_on(observed, holes=holes)
        if not self.many:
            values, counts = np.unique(observed, return_counts=True)
            left = MOST_CATEGORIES + 1 - len(self.counts)
            news = [value for value in values.tolist() if value not in self.counts]
            self.many = len(news) > left
            for value, count in zip(values.tolist(), counts.tolist(), strict=True):
                if value in self.counts or len(self.counts) <= MOST_CATEGORIES:
                    self.counts[value] += count
        self._narrow(observed)
        self.moments.add(train)
        if self.low > 0:
            self.logarithms.add(np.log(train))

    def _count_on(self, observed: np.ndarray, *, holes: bool) -> None:
        follows = self._last is None or observed[0] == self._last + 1
        self.counting = bool(not holes and follows and np.all(np.diff(observed) == 1))
        if self._first is None:
            self._first = float(observed[0])
        self._last = float(observed[-1])

    def _narrow(self, observed: np.ndarray) -> None:
        """Passes over resolutions that not all cells are multiples of: each divides the next."""
        steps, tolerance = self._steps, one.tolerance(self.dtype)
        while self._step < len(steps):
            multiples = observed / steps[self._step]
            if np.abs(multiples - np.rint(multiples)).max() <= tolerance:
                return
            self._step += 1

    @property
    def _steps(self) -> tuple[float, ...]:
        return one.steps(Column(self.name, "continuous", self.dtype))

    @property
    def counts_rows(self) -> bool:
        """Whether it is an index, from 0 or 1 on."""
        return self.counting and self.missing == 0 and self.rows > 1 and self._first in (0.0, 1.0)

    def ends(self) -> np.ndarray:
        """The least and the greatest number, and one that is not whole, where there is any."""
        found = [self.low, self.high, *([] if self._broken is None else [self._broken])]
        return np.array(found, np.float64)

    def witnesses(self) -> np.ndarray:
        """Numbers that between them show which kinds the column cannot be of.

        All different ones where they are few; otherwise some, and the ends.
        """
        return np.unique([*self.counts, *self.ends()]) if self.observed else np.empty(0)

    def used(self) -> tuple[Category, ...]:
        """The levels: of text those that occur, in order; of dictionaries those that there are."""
        known = tuple(self.levels or ())
        if self.dtype != "large_string":
            return known
        return tuple(sorted(level for level in known if self.counts[level]))

    def fitted(self, column: Column) -> Column:
        """The column with the range and resolution of all rows, and the scale of those of training.

        Args:
            column: what `elbax.data.kinds` found.
        """
        if column.kind in CODED or self.observed == 0:
            return column
        column = replace(
            column,
            resolution=self._resolution(column),
            lower=self.low if column.lower is None else column.lower,
            upper=self.high if column.upper is None else column.upper,
        )
        if column.kind == "positive":
            return replace(column, scale=math.exp(self.logarithms.mean))
        if not column.standardised:
            return column
        deviation = self.moments.deviation
        varies = deviation > 1e-12 * max(abs(self.low), abs(self.high))
        return replace(column, shift=self.moments.mean, scale=deviation if varies else 1.0)

    def _resolution(self, column: Column) -> float:
        if self.observed < one.FEW_CELLS and not column.integral:
            return 0.0
        if column.dtype.startswith("date"):
            return 1.0
        left = self._steps[self._step :]
        largest = max(abs(self.low), abs(self.high))
        return left[0] if left and largest / left[0] < one.MOST_MULTIPLES else 0.0
