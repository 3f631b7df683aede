"""Rows of many requests, computed together.

A program computes a tile of rows in nearly the time of one. So while one batch is computed the rows
of other requests gather, and the next takes what is there: nobody waits for others to come. What a
row gives depends on nothing but the row, its number and the seed (`elbax.evaluate.tiles`), so that
nobody can tell in which batch it was.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from elbax.serve.limits import Full, Refused

Parts = tuple["np.ndarray | None", ...]
"""Arrays with a row for each datum; None where a model has no such part."""

Compute = Callable[[Parts, np.ndarray, int], Any]
"""From rows, their numbers and a seed to arrays with a row for each."""

Observe = Callable[[str, int, float], None]
"""Is told of each batch: the program's name, how many rows, how many seconds."""


@dataclass(frozen=True, eq=False)
class Program:
    """What can be computed of rows.

    Attributes:
        name: What measurements call it.
        compute: The computation; from any thread.
        most: Rows that it computes together.
    """

    name: str
    compute: Compute
    most: int


@dataclass(eq=False)
class _Waiting:
    """A request's rows, of which some may be computed already."""

    program: Program
    rows: Parts
    numbers: np.ndarray
    seed: int
    future: Future[Any] = field(default_factory=Future)
    taken: int = 0
    found: dict[int, Any] = field(default_factory=dict)

    @property
    def left(self) -> int:
        return len(self.numbers) - self.taken

    def __post_init__(self) -> None:
        shapes = tuple(a if a is None else (a.dtype.str, a.shape[1:]) for a in self.rows)
        # What has to be equal for two requests to be computed together.
        self.kind = self.program, self.seed, shapes

    def take(self, count: int) -> _Piece:
        start = self.taken
        self.taken += count
        chosen = slice(start, start + count)
        rows = tuple(a if a is None else a[chosen] for a in self.rows)
        return _Piece(self, start, rows, self.numbers[chosen])

    def put(self, start: int, found: Any) -> None:
        """What some of the rows gave; the last piece completes the request."""
        self.found[start] = found
        count = sum(len(jax.tree.leaves(part)[0]) for part in self.found.values())
        if count == len(self.numbers):
            parts = [self.found[start] for start in sorted(self.found)]
            whole = parts[0] if len(parts) == 1 else jax.tree.map(_together, *parts)
            with contextlib.suppress(InvalidStateError):  # nobody waits for it any more
                self.future.set_result(whole)


@dataclass(frozen=True)
class _Piece:
    """Some rows of a request."""

    whole: _Waiting
    start: int
    rows: Parts
    numbers: np.ndarray


class Batcher:
    """Threads that compute what is submitted, batch by batch.

    Rows of a large request are computed piece by piece, between those of others.

    Args:
        queue: How many rows may wait.
        threads: How many batches are computed at a time.
        observe: Is told of each batch.
    """

    def __init__(self, queue: int, *, threads: int = 1, observe: Observe | None = None) -> None:
        self._queue = queue
        self._observe = observe
        self._waiting: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._rows = 0
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"batches-{i}", daemon=True)
            for i in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def rows(self) -> int:
        """How many rows are waiting."""
        return self._rows

    def submit(self, program: Program, rows: Parts, numbers: np.ndarray, seed: int) -> Future[Any]:
        """Rows to be computed.

        Args:
            program: What is computed of them.
            rows: The rows; at least one.
            numbers: What each row's key is made of.
            seed: Of everything drawn.

        Returns:
            The arrays that the program gives, with a row for each; cancelling it takes the rows
            back.

        Raises:
            Full: Too many rows are waiting already.
            Refused: The batcher is closed.
        """
        one = _Waiting(program, rows, numbers, seed)
        with self._changed:
            if self._closed:
                raise Refused(503, "the server is stopping", again=5)
            if self._rows and self._rows + one.left > self._queue:
                raise Full(self._rows)
            self._rows += one.left
            self._waiting.append(one)
            self._changed.notify()
        return one.future

    def close(self) -> None:
        """Computes what has been submitted, takes nothing more, and ends the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while batch := self._next():
            began = time.perf_counter()
            first = batch[0].whole
            try:
                found = first.program.compute(
                    tuple(_joined(parts) for parts in zip(*(p.rows for p in batch), strict=True)),
                    np.concatenate([piece.numbers for piece in batch]),
                    first.seed,
                )
            except Exception as error:  # noqa: BLE001 - it is told to all who wait for it
                for piece in batch:
                    with contextlib.suppress(InvalidStateError):
                        piece.whole.future.set_exception(error)
                continue
            if self._observe is not None:
                count = sum(len(piece.numbers) for piece in batch)
                self._observe(first.program.name, count, time.perf_counter() - began)
            self._deliver(batch, found)

    def _deliver(self, batch: Sequence[_Piece], found: Any) -> None:
        start = 0
        for piece in batch:
            stop = start + len(piece.numbers)
            part = jax.tree.map(lambda a, chosen=slice(start, stop): a[chosen], found)
            with self._changed:  # two threads may compute pieces of one request
                piece.whole.put(piece.start, part)
            start = stop

    def _next(self) -> list[_Piece]:
        """The next batch; nothing once the batcher is closed and nothing waits."""
        with self._changed:
            while True:
                self._forget()
                if self._waiting:
                    return self._gathered()
                if self._closed:
                    return []
                self._changed.wait()

    def _forget(self) -> None:
        """Drops requests that nobody waits for, and those that failed in an earlier piece."""
        if any(one.future.done() for one in self._waiting):
            gone = sum(one.left for one in self._waiting if one.future.done())
            self._rows -= gone
            self._waiting = deque(one for one in self._waiting if not one.future.done())

    def _gathered(self) -> list[_Piece]:
        """Rows of requests that go together with the one that has waited longest."""
        first = self._waiting[0]
        kind, most = first.kind, first.program.most
        mates = [one for one in self._waiting if one.kind == kind][:most]
        share = most // len(mates)  # what a large request takes leaves room for all others
        pieces, room = [], most - sum(min(share, one.left) for one in mates)
        for one in mates:
            count = min(share, one.left)
            more = min(room, one.left - count)
            room -= more
            pieces.append(one.take(count + more))
        self._rows -= sum(len(piece.numbers) for piece in pieces)
        unfinished = [one for one in mates if one.left]
        others = [one for one in self._waiting if one.left and one not in unfinished]
        self._waiting = deque([*others, *unfinished])
        if self._waiting:
            self._changed.notify()  # for the other threads
        return pieces


def _joined(parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    arrays = [part for part in parts if part is not None]
    if not arrays:
        return None
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _together(*parts: np.ndarray) -> np.ndarray:
    return np.concatenate(parts)
