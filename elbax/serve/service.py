"""The runs that are served, warmed, and their one queue."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from elbax.serve.batching import Batcher, Observe
from elbax.serve.limits import Limits
from elbax.serve.verbs import Verbs

if TYPE_CHECKING:
    from elbax.run.run import Run
    from elbax.serve.answers import Answer
    from elbax.serve.verbs import Work


class Service:
    """Runs that answer, whoever asks.

    Args:
        runs: The runs; their names differ.
        limits: How much work is taken on.
        threads: How many batches are computed at a time.
        observe: Is told of each batch.

    Attributes:
        verbs: What can be asked of each run, by its name.
        ready: Whether all programs are compiled.

    Raises:
        ValueError: Two runs have one name, or one has no model; one line.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        limits: Limits,
        *,
        threads: int = 1,
        observe: Observe | None = None,
    ) -> None:
        names = [run.path.resolve().name for run in runs]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(
                f"two runs are called {twice}, which is what they are asked by: rename a folder"
            )
        self.limits = limits
        self.verbs = {name: Verbs(run, limits) for name, run in zip(names, runs, strict=True)}
        self.ready = False
        self._batcher = Batcher(limits.queue, threads=threads, observe=observe)

    @property
    def waiting(self) -> int:
        """How many rows wait to be computed."""
        return self._batcher.rows

    def warm(self, say: Callable[[str], None] = lambda _: None) -> None:
        """Compiles the programs of all runs.

        Args:
            say: Is told which run is next.
        """
        for name, verbs in self.verbs.items():
            say(f"{name}: compiling")
            verbs.warm()
        self.ready = True

    def submit(self, work: Work) -> Future[Any]:
        """Has work computed; its result is what the work's `answer` takes.

        Raises:
            Full: Too much waits already.
            Refused: The service is closed.
        """
        return self._batcher.submit(work.program, work.rows, work.numbers, work.seed)

    def ask(self, work: Work) -> Answer:
        """Computes, and waits for it.

        Raises:
            TimeoutError: It took longer than the limits allow.
        """
        future = self.submit(work)
        try:
            return work.answer(future.result(self.limits.seconds))
        finally:
            future.cancel()

    def close(self) -> None:
        """Computes what was submitted, and takes nothing more."""
        self._batcher.close()


def prefix(name: str) -> str:
    """The part of an address that stands for a run of this name."""
    return "/" + urllib.parse.quote(name, safe="")
