"""What comes after training, compiled in threads while the steps are taken.

XLA compiles and computes without Python's lock. Jobs that ask of one row what will be asked of all
leave their compiled programs behind, since rows are mapped in tiles of one shape.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait

from elbax.util import environment

Job = Callable[[], object]

_THREADS = 3  # Python's lock leaves more of them nothing to do


@contextlib.contextmanager
def rehearsal(jobs: Sequence[Job], device: str | None) -> Iterator[Callable[[], object]]:
    """Does the jobs beside the block, in their order; what has not begun at its end is given up.

    What a job raises is left for whoever asks in earnest, who meets the same and can say so.

    Args:
        jobs: What is rehearsed.
        device: The device of the run; threads do not inherit it.

    Yields:
        A function that waits for all jobs: two threads that ask for one program compile it twice.
    """

    def on_device(job: Job) -> None:
        with environment.on_device(device):
            job()

    with ThreadPoolExecutor(min(_THREADS, max(1, (os.cpu_count() or 1) - 1))) as pool:
        futures = [pool.submit(on_device, job) for job in jobs]
        try:
            yield lambda: wait(futures)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
