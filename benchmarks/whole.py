"""The whole job, from the command to the report: processes as a user starts them.

Run it as `.venv/bin/python -m benchmarks.whole`. It prints each target beside what was reached, in
seconds of the clock and of the processor; the latter says more on a machine that is not quiet.
Cold: nothing is compiled beforehand. Warm: the process before has compiled the same.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks import machine

_FIT = """
import elbax, numpy
elbax.VAE(random_state=0).fit(numpy.random.default_rng(0).normal(size=(300, 5)))
"""
_SCORES = """
import elbax, numpy
from sklearn.model_selection import cross_val_score
x = numpy.random.default_rng(0).normal(size=(300, 5))
cross_val_score(elbax.VAE(random_state=0), x, cv=4, n_jobs={jobs})
"""


class Took(NamedTuple):
    """What a process took.

    Attributes:
        seconds: Of the clock.
        processor: Of all cores, its own processes included.
    """

    seconds: float
    processor: float


class Row(NamedTuple):
    """A line of the table.

    Attributes:
        name: What was done.
        target: At most.
        reached: What it was; the median where there were several.
        processor: Seconds of the processor, where they are those of the same.
        unit: Of target and what was reached; empty of a ratio.
    """

    name: str
    target: float
    reached: float
    processor: float | None = None
    unit: str = "s"


class Job:
    """Starts processes in a folder of their own, which also holds what they compile."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def elbax(self, *words: str) -> Took:
        """A command of elbax."""
        return self._took("-m", "elbax", *words)

    def python(self, code: str) -> Took:
        """A script."""
        return self._took("-c", code)

    def _took(self, *words: str) -> Took:
        given = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
        given["XDG_CACHE_HOME"] = str(self.folder / "cache")
        before, started = _children(), time.perf_counter()
        done = subprocess.run(
            [sys.executable, *words], env=given, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(words)}: {done.stderr}")
        return Took(time.perf_counter() - started, _children() - before)


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.whole", description=__doc__)
    parser.add_argument("--data", default="mnist", help="of the training runs (default mnist)")
    parser.add_argument("--rounds", type=int, default=3, help="of what is warm (default 3)")
    parser.add_argument("--quick", action="store_true", help="without the paper's run of minutes")
    asked = parser.parse_args()
    print(", ".join(f"{name} {value}" for name, value in machine.describe().items()))
    print(f"{'':52} {'at most':>9} {'reached':>9} {'processor':>10}")
    with tempfile.TemporaryDirectory(prefix="elbax-bench-whole-") as folder:
        for part in (_training, _estimators, _composition):
            for row in part(Job(Path(folder) / part.__name__), asked):
                print(_line(row), flush=True)
    print(f"load {os.getloadavg()[0]:.1f} of {os.cpu_count()} cores at the end")


def _training(job: Job, asked: argparse.Namespace) -> list[Row]:
    run = str(job.folder / "run")
    words = ["train", asked.data, "--iterations", "100", "--force", "--out", run]
    name = f"train {asked.data} --iterations 100, with report"
    rows = [
        _row(f"{name}, cold", 20, [job.elbax(*words)]),
        _row(f"{name}, warm", 8, _several(asked, lambda: job.elbax(*words))),
    ]
    job.elbax("plot", run, "reconstruct")
    plot = _several(asked, lambda: job.elbax("plot", run, "reconstruct"))
    rows.append(_row("plot RUN reconstruct, warm", 2, plot))
    if not asked.quick:
        took = job.elbax("train", asked.data, "--force", "--out", run)
        results = json.loads(Path(run, "results.json").read_text())
        steps = 1e-3 * results["ms_per_step"] * results["iterations"]
        rows.append(Row("the paper's run: all but its steps, warm", 8, took.seconds - steps))
    return rows


def _estimators(job: Job, asked: argparse.Namespace) -> list[Row]:
    rows = [
        _row("elbax.VAE().fit, 300 × 5, cold", 10, [job.python(_FIT)]),
        _row("elbax.VAE().fit, 300 × 5, warm", 4, _several(asked, lambda: job.python(_FIT))),
    ]

    def scored(jobs: int) -> float:
        code = _SCORES.format(jobs=jobs)
        job.python(code)  # compiles
        return statistics.median(took.seconds for took in _several(asked, lambda: job.python(code)))

    one, two = scored(1), scored(2)
    return [*rows, Row("cross_val_score, n_jobs=2 / n_jobs=1, warm", 0.8, two / one, None, "")]


def _composition(job: Job, asked: argparse.Namespace) -> list[Row]:  # noqa: ARG001
    run = str(job.folder / "run")
    parts = ["--prior", "vamp", "--posterior", "iaf", "--iterations", "60", "--no-report"]
    job.elbax("train", "mnist-5k", *parts, "--out", run)
    reached = json.loads(Path(run, "results.json").read_text())["ms_per_step"]
    return [Row("a step of vamp + iaf, mnist-5k", 40, reached, None, "ms")]


def _several(asked: argparse.Namespace, measure: Callable[[], Took]) -> list[Took]:
    return [measure() for _ in range(asked.rounds)]


def _row(name: str, target: float, took: list[Took]) -> Row:
    seconds, processor = (statistics.median(column) for column in zip(*took, strict=True))
    return Row(name, target, seconds, processor)


def _line(row: Row) -> str:
    numbers = (f"{value:.4g} {row.unit}".strip() for value in (row.target, row.reached))
    target, reached = numbers
    processor = "" if row.processor is None else f"{row.processor:.4g} s"
    missed = "" if row.reached <= row.target else "  missed"
    return f"{row.name:52} {target:>9} {reached:>9} {processor:>10}{missed}"


def _children() -> float:
    """Seconds of the processor of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
