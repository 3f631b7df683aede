"""Arrays in a stream: `.npy` files, folders of images, and whatever has a length and rows."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from elbax.data.arrays import Scaling, levels_between, scaling_between
from elbax.data.cells import Cells
from elbax.data.columns import Column
from elbax.data.errors import DataError
from elbax.data.kinds import check_kind, infer_matrix
from elbax.data.splitting import Part
from elbax.data.streams.tally import Moments, Tally
from elbax.util.words import shown

_UNIT = 1_000_000  # bytes that are read at once


@runtime_checkable
class ArraySource(Protocol):
    """Rows of one shape, each within reach by its number."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def source(self) -> str:
        """Where it is, in words."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one datum: (d,), or (height, width, channels)."""
        ...

    @property
    def dtype(self) -> np.dtype:
        """Of its numbers, as they are stored."""
        ...

    @property
    def identity(self) -> str:
        """What another content would change."""
        ...

    @property
    def together(self) -> int:
        """How many rows are best read at once."""
        ...

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the labels 0, 1, …; none without labels."""
        ...

    def __len__(self) -> int: ...

    def read(self, start: int, stop: int) -> Part:
        """Rows from one to another, as they are stored, and their labels.

        Raises:
            DataError: they cannot be read.
        """
        ...


@dataclass(frozen=True, eq=False)
class NpyFile:
    """An ``.npy`` file, read by stretches: no map of it, which would count as memory."""

    path: Path
    length: int
    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int
    stored: tuple[int, ...]
    label_names: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The stem of its path."""
        return shown(self.path.stem)

    @property
    def source(self) -> str:
        """Its path."""
        return shown(self.path)

    @property
    def identity(self) -> str:
        """Length, shape and type: what is kept in memory is compared besides."""
        return f"npy {self.length} {self.stored} {self.dtype.str}"

    @property
    def together(self) -> int:
        """As many rows as a megabyte has."""
        return max(1, _UNIT // self._datum)

    @property
    def _datum(self) -> int:
        return self.dtype.itemsize * int(np.prod(self.stored))

    def __len__(self) -> int:
        return self.length

    def read(self, start: int, stop: int) -> Part:
        """Rows from one to another.

        Raises:
            DataError: the file is gone, or shorter than it was.
        """
        count = (stop - start) * int(np.prod(self.stored))
        try:
            x = np.fromfile(self.path, self.dtype, count, offset=self.offset + start * self._datum)
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                raise DataError(f"{shown(self.path)} is gone: bring it back") from None
            raise DataError(
                f"cannot read {shown(self.path)}: {shown(error.strerror or error)}"
            ) from None
        if len(x) < count:
            raise DataError(
                f"{shown(self.path)} has changed while it was read: bring the old one back, or "
                "train a new run"
            )
        return Part(x.reshape(stop - start, *self.shape))


@dataclass(frozen=True, eq=False)
class RandomAccess:
    """Rows of whatever has ``__len__`` and ``__getitem__``, as Grain's sources have.

    An item is an array, or a pair of an array and a whole number, its label.

    Attributes:
        items: the rows.
        name: what it is called.
    """

    items: Any
    name: str = "source"

    @property
    def source(self) -> str:
        """Its type."""
        return f"{type(self.items).__name__} in Python"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one datum."""
        stored: tuple[int, ...] = self._item(0)[0].shape
        return (*stored, 1) if len(stored) == 2 else stored

    @property
    def dtype(self) -> np.dtype:
        """Of its numbers."""
        return self._item(0)[0].dtype

    @property
    def identity(self) -> str:
        """Length, shape and type."""
        return f"items {len(self)} {self.shape} {self.dtype.str}"

    @property
    def together(self) -> int:
        """One."""
        return 1

    @property
    def label_names(self) -> tuple[str, ...]:
        """None."""
        return ()

    def __len__(self) -> int:
        return len(self.items)

    def read(self, start: int, stop: int) -> Part:
        """Rows from one to another.

        Raises:
            DataError: items differ in their shapes.
        """
        found = [self._item(number) for number in range(start, stop)]
        shape = found[0][0].shape
        for number, (x, _) in enumerate(found, start):
            if x.shape != shape:
                raise DataError(
                    f"item {number:,} of {self.source} has shape {x.shape}, and item {start:,} "
                    f"{shape}: make them all one shape"
                )
        labels = [label for _, label in found if label is not None]
        x = np.stack([x for x, _ in found]).reshape(stop - start, *self.shape)
        return Part(x, np.array(labels, np.int64) if len(labels) == len(found) else None)

    def _item(self, number: int) -> tuple[np.ndarray, int | None]:
        item = self.items[number]
        x, label = item if isinstance(item, tuple) and len(item) == 2 else (item, None)
        return np.asarray(x), None if label is None else int(label)


def open_npy(path: Path) -> NpyFile:
    """An ``.npy`` file, of which the header is read alone.

    Raises:
        DataError: it is no array of rows, or holds no plain numbers.
    """
    from elbax.data.formats import files

    where = shown(path)
    with path.open("rb") as file:
        header = files.read_header(file, where, os.fstat(file.fileno()).st_size)
    if header.fortran and len(header.shape) > 1:
        raise DataError(
            f"{where} is too large for memory and in Fortran's order, whose rows lie scattered: "
            "save numpy.ascontiguousarray(x)"
        )
    length, *rest = header.shape or (0,)
    stored = tuple(rest)
    shape = (*stored, 1) if len(stored) == 2 else stored
    return NpyFile(path, length, shape, header.dtype, header.offset, stored)


@dataclass(frozen=True, eq=False)
class ArrayRows:
    """An array's rows as numbers.

    Attributes:
        source: the array.
        dtype: of the numbers: bytes or float32.
        columns: what the columns of vectors are, where they are read by these.
    """

    source: ArraySource
    dtype: np.dtype
    columns: tuple[Column, ...] = ()

    @property
    def lengths(self) -> np.ndarray:
        """(units,) how many rows each unit has."""
        count, size = len(self.source), self.source.together
        return np.diff(np.append(np.arange(0, count, size), count))

    def pieces(self, unit: int) -> Iterator[Part]:
        """The rows of a unit.

        Raises:
            DataError: they cannot be read.
        """
        start = unit * self.source.together
        part = self.source.read(start, min(start + self.source.together, len(self.source)))
        yield Part(self.encode(part.x), part.label)

    def encode(self, x: np.ndarray) -> np.ndarray:
        """Stored rows as the model sees them."""
        if not self.columns:
            return x.astype(self.dtype, copy=False)
        shift = np.array([column.shift for column in self.columns])
        scale = np.array([column.scale for column in self.columns])
        largest = np.finfo(np.float32).max
        numbers = (x[:, self.places].astype(np.float64) - shift) / scale
        return np.clip(numbers, -largest, largest).astype(np.float32)

    @property
    def places(self) -> list[int]:
        """The columns' numbers in the array."""
        return [int(column.name) for column in self.columns]


@dataclass(frozen=True)
class Reading:
    """How an array is read.

    Attributes:
        rows: its rows as numbers.
        scaling: how the numbers are read, where they are no bytes.
        levels: the byte that means 1.
        holes: whether elements were not observed.
        ignored: columns of vectors that are left out, and why.
        remark: what was done to the numbers, "" where nothing was.
    """

    rows: ArrayRows
    scaling: Scaling
    levels: int
    holes: bool
    ignored: dict[str, str]
    remark: str


def read_array(
    source: ArraySource, held: np.ndarray, kinds: dict[str, str], *, whole_array: bool
) -> Reading:
    """How an array is read, as one in memory would be; of numbers other than bytes in one pass.

    Args:
        source: the array.
        held: numbers of the rows that are not trained on, in order.
        kinds: of vectors' columns, where not as found.
        whole_array: whether vectors are not to be read by their columns.

    Raises:
        DataError: numbers that cannot be used.
    """
    dtype = source.dtype
    if dtype.kind not in "buif":
        raise DataError(f"{source.source} holds {dtype}, not real numbers: save plain numbers")
    if dtype == np.uint8 or dtype.kind == "b":
        rows = ArrayRows(source, np.dtype(np.uint8))
        return Reading(rows, Scaling(), _levels(source), False, {}, "")
    ends = _Ends()
    vectors = len(source.shape) == 1
    width = int(np.prod(source.shape))
    tallies = [Tally(str(i)) for i in range(width)] if vectors else []
    for start, x in _pieces(source):
        out = held[np.searchsorted(held, start) : np.searchsorted(held, start + len(x))] - start
        untrained = np.zeros(len(x), bool)
        untrained[out] = True
        ends.add(x, untrained)
        for tally, column in zip(tallies, x.T, strict=False):
            tally.add(Cells(column), untrained)
    if ends.infinite is not None:
        raise DataError(f"{source.source} has infinite values, the first in row {ends.infinite:,}")
    if dtype.kind in "iu" and ends.low >= 0 and ends.high <= 255:
        rows = ArrayRows(source, np.dtype(np.uint8))
        remark = f"{dtype.name} values {ends.low:g}–{ends.high:g} read as bytes"
        return Reading(rows, Scaling(), 1 if ends.high <= 1 else 255, False, {}, remark)
    one_scale = not ends.holes and vectors
    one_scale = one_scale and levels_between(ends.low, ends.high, width, lambda: ends.whole)
    remark = "" if dtype == np.float32 else f"{dtype.name} read as float32"
    if vectors and not one_scale and not whole_array:
        columns, ignored = _columns(tallies, kinds, source.source)
        rows = ArrayRows(source, np.dtype(np.float32), columns)
        return Reading(rows, Scaling(), 255, False, ignored, "")
    scaling = scaling_between(
        ends.low,
        ends.high,
        dtype,
        lambda: (ends.moments.mean, ends.moments.deviation),
        images=not vectors,
        flat=lambda: vectors and width >= 64 and ends.whole,
    )
    rows = ArrayRows(source, np.dtype(np.float32))
    return Reading(rows, scaling, 255, ends.holes, {}, remark)


def _pieces(source: ArraySource) -> Iterator[tuple[int, np.ndarray]]:
    """All rows as float64, with the number of the first of each piece."""
    datum = 8 * int(np.prod(source.shape))
    size = max(1, 8 * _UNIT // datum)
    for start in range(0, len(source), size):
        yield start, source.read(start, min(start + size, len(source))).x.astype(np.float64)


def _levels(source: ArraySource) -> int:
    """1 of bytes that are 0 and 1 only, else 255: it stops at the first that tells."""
    size = max(1, 8 * _UNIT // int(np.prod(source.shape)))
    for start in range(0, len(source), size):
        if int(source.read(start, min(start + size, len(source))).x.max(initial=0)) > 1:
            return 255
    return 1


class _Ends:
    """Ends, holes and moments of all numbers of an array."""

    def __init__(self) -> None:
        self.low, self.high = np.inf, -np.inf
        self.whole, self.holes = True, False
        self.infinite: int | None = None
        self.moments = Moments()
        self._rows = 0

    def add(self, x: np.ndarray, untrained: np.ndarray) -> None:
        """Takes some rows in."""
        flat = x.reshape(len(x), -1)
        gone = np.isnan(flat)
        holes = bool(gone.any())
        seen = flat[~gone] if holes else flat.reshape(-1)
        self.holes = self.holes or holes
        if self.infinite is None and np.isinf(seen).any():
            self.infinite = self._rows + int(np.argmax(np.isinf(flat).any(axis=1)))
        self._rows += len(x)
        if len(seen):
            self.low = min(self.low, float(seen.min()))
            self.high = max(self.high, float(seen.max()))
            self.whole = self.whole and bool(np.all(seen == np.rint(seen)))
        train = flat[~untrained].reshape(-1)
        self.moments.add(train[~np.isnan(train)] if holes else train)


def _columns(
    tallies: list[Tally], kinds: dict[str, str], where: str
) -> tuple[tuple[Column, ...], dict[str, str]]:
    """What the columns of vectors are, by the rule of a feature matrix."""
    kinds = {name: check_kind(name, kind) for name, kind in kinds.items()}
    ignored = {tally.name: "no observed cell" for tally in tallies if not tally.observed}
    ignored |= {name: "as asked" for name, kind in kinds.items() if kind == "ignore"}
    left = [tally for tally in tallies if tally.name not in ignored]
    if not left:
        raise DataError(f"{where}: no column is left to be modelled")
    seen = [tally.witnesses() for tally in left]
    x = np.full((max(map(len, seen)), len(left)), np.nan)
    for i, values in enumerate(seen):
        x[: len(values), i] = values
    names = tuple(tally.name for tally in left)
    asked = {name: kind for name, kind in kinds.items() if name in names}
    columns = infer_matrix(names, x, asked)
    found = (tally.fitted(column) for tally, column in zip(left, columns, strict=True))
    return tuple(found), ignored
