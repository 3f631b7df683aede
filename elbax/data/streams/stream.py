"""Rows that are read in pieces, in an order that a key gives, as often as training asks for them.

A *unit* is what is read at once and in its own order: a row group of a Parquet file, a stretch of
an array. An epoch takes the units in a random order, cuts their rows into *blocks*, and permutes
the rows of each block (`elbax.train.feed`). So where training stands follows from the step alone:
there is nothing to save but that.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from elbax.data.splitting import Part
from elbax.util.orders import permutation

# The first digits of √2, as those of splits are e's: for everybody, whatever the run's seed.
_KEPT_KEY = 1_414_213_562

_KEPT = 10_000  # rows of each split that are kept in memory, at most
_KEPT_SHARE, _BLOCK_SHARE = 8, 8  # of the memory: all that are kept; one block of two or three
_LARGEST_BLOCK = 256_000_000  # bytes: training begins when the first block is read


@runtime_checkable
class Units(Protocol):
    """Rows in units, as the model sees them."""

    @property
    def lengths(self) -> np.ndarray:
        """(units,) how many rows each has."""
        ...

    def pieces(self, unit: int) -> Iterator[Part]:
        """The rows of a unit in their order, a piece at a time, each with a label or none.

        Raises:
            DataError: they cannot be read, or are no longer what they were.
        """
        ...


@dataclass(frozen=True, eq=False)
class Stream:
    """The rows to train on, where they are read in pieces.

    Attributes:
        units: all rows.
        held: the numbers of those that are not trained on, in order.
        shape: of one datum.
        dtype: of its numbers.
        block_rows: how many rows are to be in memory at once, to be mixed.
        memory: what the block was laid out for, in bytes.
        classes: how many labels there are; 0 without.
        holes: whether elements of other data than a table were not observed.
    """

    units: Units
    held: np.ndarray
    shape: tuple[int, ...]
    dtype: np.dtype
    block_rows: int
    memory: int
    classes: int = 0
    holes: bool = False

    def __len__(self) -> int:
        return int(self.counts.sum())

    @property
    def counts(self) -> np.ndarray:
        """(units,) how many rows of each are trained on."""
        return self._counts

    @functools.cached_property
    def firsts(self) -> np.ndarray:
        """(units,) the number of each unit's first row among all."""
        return np.concatenate([[0], np.cumsum(self.units.lengths)[:-1]])

    @functools.cached_property
    def _counts(self) -> np.ndarray:
        ends = np.searchsorted(self.held, [self.firsts, self.firsts + self.units.lengths])
        return self.units.lengths - (ends[1] - ends[0])

    @property
    def labelled(self) -> bool:
        """Whether the rows have labels."""
        return self.classes > 0

    def read(self, order: np.ndarray, start: int) -> Iterator[Part]:
        """The rows to train on, unit after unit, from one on to the end.

        Args:
            order: (units,) the units in the order in which they are read.
            start: the first row, counted in this order.

        Raises:
            DataError: they cannot be read.
        """
        ends = np.cumsum(self.counts[order])
        first = int(np.searchsorted(ends, start, side="right"))
        skip = start - int(ends[first - 1]) if first else start
        for unit in order[first:]:
            for piece in self._unit(int(unit)):
                left, skip = piece.x[skip:], max(0, skip - len(piece.x))
                if len(left):
                    label = piece.label
                    yield Part(left, None if label is None else label[len(label) - len(left) :])

    def _unit(self, unit: int) -> Iterator[Part]:
        """The rows of a unit that are trained on."""
        number = int(self.firsts[unit])
        for piece in self.units.pieces(unit):
            end = number + len(piece.x)
            held = self.held[np.searchsorted(self.held, number) : np.searchsorted(self.held, end)]
            yield _without(piece, held - number) if len(held) else piece
            number = end


def _without(part: Part, rows: np.ndarray) -> Part:
    chosen = np.ones(len(part.x), bool)
    chosen[rows] = False
    return Part(part.x[chosen], None if part.label is None else part.label[chosen])


@dataclass(frozen=True)
class Kept:
    """Rows that are in memory all the time, by their numbers.

    Attributes:
        test: what the reported numbers are measured on; it is not trained on.
        validation: what decides when to stop; it is not trained on either.
        train: some of the rows to train on: what is measured and drawn of these takes them.
    """

    test: np.ndarray
    validation: np.ndarray
    train: np.ndarray

    @staticmethod
    def of(rows: int, datum: int, memory: int, validation: int | None, seed: int) -> "Kept":
        """Draws them: a tenth of the rows each, 10,000 at most, and not more than memory bears.

        Args:
            rows: how many there are.
            datum: bytes of one.
            memory: bytes that the data may take.
            validation: how many validation rows are asked for; None: as above.
            seed: of the draw.
        """
        most = max(1, min(_KEPT, memory // (3 * _KEPT_SHARE * datum)))
        test = min(most, max(1, rows // 10))
        held = test if validation is None else validation
        train = min(most, max(1, rows - test - held))
        drawn = distinct(rows, test + held + train, seed)
        return Kept(drawn[:test], drawn[test : test + held], drawn[test + held :])

    @functools.cached_property
    def held(self) -> np.ndarray:
        """The numbers of the rows that are not trained on, in order."""
        return np.sort(np.concatenate([self.test, self.validation]))

    @functools.cached_property
    def all(self) -> np.ndarray:
        """The numbers of all, in order."""
        return np.sort(np.concatenate([self.test, self.validation, self.train]))


def distinct(rows: int, count: int, seed: int) -> np.ndarray:
    """So many different numbers below `rows`, at random. Shape (count,), int64.

    They are Philox's raw numbers without the repeated ones; where that were most of the rows, the
    first of a random order of all.
    """
    source = np.random.Philox(key=np.array((_KEPT_KEY, seed), np.uint64))
    if 2 * count > rows:
        return permutation(rows, source)[:count]
    found = np.empty(0, np.int64)
    while len(found) < count:
        more = (source.random_raw(count) % np.uint64(rows)).astype(np.int64)
        found = np.concatenate([found, more])
        found = found[np.sort(np.unique(found, return_index=True)[1])]
    return found[:count]


def block_rows(datum: int, memory: int, rows: int) -> int:
    """How many rows are in memory at once, to be mixed.

    Args:
        datum: bytes of one.
        memory: bytes that the data may take.
        rows: how many there are to train on.
    """
    most = min(memory // _BLOCK_SHARE, _LARGEST_BLOCK)
    return max(1, min(rows, most // datum))
