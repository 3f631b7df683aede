"""Where the rows of each step come from: memory, or a stream that is read block by block.

Of a stream, an epoch takes its units (row groups, stretches of an array) in a random order, cuts
their rows into blocks of equal length, and permutes the rows of each block. Both orders are drawn
from the run's key by the numbers of the epoch and of the block: the rows of a step follow from the
key and the step, wherever training was interrupted and however it was cut into chunks.

A thread reads the next block while the device works on the one that it has.
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from elbax.model.interfaces import Batch
from elbax.train.order import BatchOrder
from elbax.train.step import MAX_CHUNK, ORDER
from elbax.util.keys import stream
from elbax.util.orders import permutation

_BLOCKS = 2  # in memory: the one that is trained on, and the next one


@runtime_checkable
class Rows(Protocol):
    """Rows to train on that are read in pieces (`elbax.data.streams.Stream`)."""

    def __len__(self) -> int: ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one datum."""
        ...

    @property
    def dtype(self) -> np.dtype:
        """Of its numbers."""
        ...

    @property
    def counts(self) -> np.ndarray:
        """(units,) how many rows each unit has."""
        ...

    @property
    def block_rows(self) -> int:
        """How many rows may be in memory at once."""
        ...

    @property
    def labelled(self) -> bool:
        """Whether each row has a label."""
        ...

    def read(self, order: np.ndarray, start: int) -> Iterator[Any]:
        """Pieces with `x` and `label`: the units' rows in this order, from the row `start` on."""
        ...


@dataclass(frozen=True)
class Streamed:
    """Training rows that come block by block.

    Attributes:
        rows: Where they are read.
        batch: A block on the device, from its rows and their labels.
    """

    rows: Rows
    batch: Callable[[np.ndarray, np.ndarray | None], Batch]

    def __len__(self) -> int:
        return len(self.rows)


class Taken(NamedTuple):
    """Steps to take at once.

    Attributes:
        data: Rows on the device.
        indices: Which of them each step sees, at the head of a buffer of `MAX_CHUNK`.
        steps: How many.
    """

    data: Batch
    indices: np.ndarray
    steps: int


class Resident:
    """Rows that are all on the device."""

    def __init__(self, data: Batch, key: PRNGKeyArray, batch_size: int) -> None:
        self.example = data
        self._order = BatchOrder(key, data.x.shape[0], batch_size)

    def take(self, step: int, count: int) -> Taken:
        """What the steps after `step` see."""
        return Taken(self.example, self._order.fill(step, count), count)

    def close(self) -> None:
        """Nothing is open."""


class Blocks:
    """Rows that are read block by block, ahead of the device.

    Attributes:
        example: The first block.
    """

    def __init__(
        self,
        data: Streamed,
        key: PRNGKeyArray,
        batch_size: int,
        step: int,
        place: Callable[[Batch], Batch],
    ) -> None:
        """Begins to read.

        Args:
            data: The rows.
            key: Of the run.
            batch_size: Rows a step.
            step: The steps that are taken already.
            place: Puts a block where the steps are taken.
        """
        self._data, self._place = data, place
        self._batch_size = batch_size
        rows = data.rows
        self._batches = len(rows) // batch_size
        self._per_block = min(max(1, rows.block_rows // batch_size), self._batches)
        self._words = _words(jax.random.fold_in(key, ORDER))
        self._read: SimpleQueue[Any] = SimpleQueue()
        self._room, self._closed = threading.Semaphore(_BLOCKS), threading.Event()
        self._thread = threading.Thread(target=self._run, args=(step,), daemon=True)
        self._thread.start()
        self._at, self._batch, self._order = self._next()

    @property
    def example(self) -> Batch:
        """The block at hand: all have its shape."""
        assert self._batch is not None
        return self._batch

    def take(self, step: int, count: int) -> Taken:
        """What the steps after `step` see: as many as the block at hand has, `count` at most.

        Raises:
            Exception: What was raised in reading.
        """
        epoch, batch = divmod(step, self._batches)
        block, first = divmod(batch, self._per_block)
        if (epoch, block) != self._at:
            self._batch = None  # before the next one comes, so that there are never three
            self._room.release()
            self._at, self._batch, self._order = self._next()
        assert (epoch, block) == self._at
        order = self._order[first : first + count]
        indices = np.zeros((MAX_CHUNK, self._batch_size), np.int32)
        indices[: len(order)] = order
        return Taken(self.example, indices, len(order))

    def close(self) -> None:
        """Stops reading, and waits for the thread."""
        self._closed.set()
        self._room.release()
        self._thread.join()

    def _next(self) -> tuple[tuple[int, int], Batch, np.ndarray]:
        """The next block, on the device, and the rows of each of its batches."""
        found = self._read.get()
        if isinstance(found, BaseException):
            raise found
        (epoch, block), x, label = found
        whole = min(self._per_block, self._batches - block * self._per_block)
        size = min(len(x), len(self._data) - block * len(x))
        order = permutation(size, self._source(epoch, block + 1))[: whole * self._batch_size]
        order = order.reshape(whole, self._batch_size).astype(np.int32)
        return (epoch, block), self._place(self._data.batch(x, label)), order

    def _source(self, epoch: int, number: int) -> np.random.Philox:
        """The randomness of a block of an epoch, numbered from 1; 0 is that of the units' order."""
        return np.random.Philox(key=self._words, counter=[0, 0, number, epoch])

    def _run(self, step: int) -> None:
        """What the thread does: it reads until it is told to stop, or cannot."""
        try:
            for found in self._blocks(step):
                self._read.put(found)
        except BaseException as error:  # noqa: BLE001 - raised where the block is waited for
            self._read.put(error)

    def _blocks(self, step: int) -> Iterator[Any]:
        epoch, batch = divmod(step, self._batches)
        block = batch // self._per_block
        rows, length = self._data.rows, self._per_block * self._batch_size
        while True:
            order = permutation(len(rows.counts), self._source(epoch, 0))
            pieces = _Pieces(rows, order, block * length)
            for number in range(block, -(-self._batches // self._per_block)):
                self._room.acquire()
                x = np.zeros((length, *rows.shape), rows.dtype)
                label = np.zeros(length, np.int64) if rows.labelled else None
                if not pieces.fill(x, label, self._closed):
                    return
                yield (epoch, number), x, label
                del x, label
            epoch, block = epoch + 1, 0


class _Pieces:
    """The rows of an epoch, in pieces of any length, put into blocks of one length."""

    def __init__(self, rows: Rows, order: np.ndarray, start: int) -> None:
        self._pieces = rows.read(order, start)
        self._x, self._label = np.empty((0, *rows.shape), rows.dtype), np.empty(0, np.int64)

    def fill(self, x: np.ndarray, label: np.ndarray | None, closed: threading.Event) -> bool:
        """Fills a block, the last one of an epoch as far as rows go; False where it was closed."""
        filled = 0
        while not closed.is_set():
            count = min(len(x) - filled, len(self._x))
            x[filled : filled + count] = self._x[:count]
            if label is not None:
                label[filled : filled + count] = self._label[:count]
                self._label = self._label[count:]
            self._x, filled = self._x[count:], filled + count
            if filled == len(x):
                return True
            piece = next(self._pieces, None)
            if piece is None:
                return True
            self._x = piece.x
            self._label = self._label if piece.label is None else piece.label
        return False


def _words(key: PRNGKeyArray) -> np.ndarray:
    """The key of Philox that belongs to a run's order."""
    return np.asarray(jax.random.key_data(stream(key, "blocks"))).astype(np.uint64)
