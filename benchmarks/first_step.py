"""How long a fresh process takes to its first training step, without and with JAX's cache."""

import os
import subprocess
import sys
import tempfile
import time
from typing import Any

from benchmarks import protocol, spread

_LINE = "first step done"


def measure(rounds: int, threads: int) -> dict[str, Any]:
    """Seconds from starting python to the end of the first step on `mnist-5k`.

    Cold: JAX's persistent compilation cache is empty. Warm: it was filled by the cold process. The
    files of the packages are in the operating system's cache both times.
    """
    _seconds(None, threads)  # byte-compiles, and reads the packages from disk
    cold, warm = [], []
    for number in range(rounds):
        with tempfile.TemporaryDirectory(prefix="elbax-bench-cache-") as folder:
            cold.append(_seconds(folder, threads))
            warm.append(_seconds(folder, threads))
        print(
            f"first step {number + 1}/{rounds}: cold {cold[-1]:.2f}, warm {warm[-1]:.2f} s",
            file=sys.stderr,
        )
    return {"rounds": rounds, "cold": spread.summary(cold), "warm": spread.summary(warm)}


def _seconds(cache: str | None, threads: int) -> float:
    """One process, ended when its first step is done; where JAX caches is as `elbax` sets it."""
    environment = protocol.environment(threads)
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    with tempfile.TemporaryDirectory(prefix="elbax-bench-cache-") as unused:
        environment["XDG_CACHE_HOME"] = cache or unused
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.first_step"],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert process.stdout is not None
        try:
            line = process.stdout.readline().strip()
            seconds = time.perf_counter() - started
            status = process.wait(timeout=60)
        finally:
            process.kill()
            process.communicate()
    if line != _LINE or status != 0:
        raise RuntimeError(f"the first step failed: {line!r}, exit status {status}")
    return seconds


def _child() -> None:
    """What `elbax train mnist-5k --iterations 1` does up to the end of the first step."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))[: int(os.environ["OMP_NUM_THREADS"])]
        os.sched_setaffinity(0, cores)
    from elbax.util.environment import prepare

    prepare()
    import jax.numpy as jnp

    from benchmarks import workload
    from benchmarks.rivals.elbax_step import trainable
    from elbax.data import load
    from elbax.model.interfaces import Batch
    from elbax.train import fit

    rows = load("mnist-5k").train.x
    model, goal, mover, state = trainable()
    reports = fit(
        model,
        goal,
        Batch(jnp.asarray(rows), data_size=len(rows)),
        optimizer=mover,
        batch_size=workload.BATCH,
        steps=1,
        state=state,
        transform=model.preprocessing,
    )
    next(reports)
    print(_LINE, flush=True)


if __name__ == "__main__":
    _child()
