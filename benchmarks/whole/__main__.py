"""The whole job, from the command to the report: processes as a user starts them.

Run it as `.venv/bin/python -m benchmarks.whole`. It prints each target beside what was reached, in
seconds of the clock and of the processor; the latter says more on a machine that is not quiet. It
writes `benchmarks/results/whole-….json` and the part of `docs/speed.md` that says the same. Cold:
nothing of JAX's is compiled beforehand. Warm: the process before has compiled the same.

`--rival PYTHON` is a Python that has torch and matplotlib (`scripts/bench` makes
`.venv-bench/bin/python`): the paper's run is then trained in turn by elbax and by a script.
"""

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import machine
from benchmarks.whole import page
from benchmarks.whole.installed import installed
from benchmarks.whole.page import Row
from benchmarks.whole.process import Job, Took

_HERE = Path(__file__).parent
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


def main() -> None:
    """Measures, prints and writes the table."""
    asked = _options()
    record = {"machine": machine.describe(), "data": asked.data, "rounds": asked.rounds}
    print(", ".join(f"{name} {value}" for name, value in record["machine"].items()))
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="elbax-bench-whole-") as folder:
        bytecode = Path(folder) / "bytecode"
        for word in ("train", "estimator"):  # leave their bytecode, and nothing else
            first = Job(Path(folder) / f"first {word}", bytecode)
            small = ("train", "digits", "--iterations", "2", "--out", str(first.folder / "run"))
            _ = first.elbax(*small) if word == "train" else first.python(_FIT)
        for part in (_training, _paper, _estimators, _composition, _installation):
            for row in part(Job(Path(folder) / part.__name__, bytecode), asked):
                print(page.line(row), flush=True)
                rows.append(row)
    record |= {"rows": [row._asdict() for row in rows], "load_after": list(os.getloadavg())}
    if not asked.dry_run:
        page.write(record)


def _options() -> argparse.Namespace:
    how = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "python -m benchmarks.whole", None, __doc__, formatter_class=how
    )
    parser.add_argument("--data", default="mnist", help="of the training runs (default mnist)")
    parser.add_argument("--rounds", type=int, default=3, help="of what is warm (default 3)")
    parser.add_argument("--rival", type=Path, help="a Python with torch, for the paper's run")
    parser.add_argument("--quick", action="store_true", help="without the paper's run of minutes")
    parser.add_argument("--dry-run", action="store_true", help="print, write nothing")
    return parser.parse_args()


def _training(job: Job, asked: argparse.Namespace) -> Iterator[Row]:
    run = str(job.folder / "run")
    words = ["train", asked.data, "--iterations", "100", "--force", "--out", run]
    name = f"`train {asked.data} --iterations 100`, with its report"
    yield _row(f"{name}, cold", 20, [job.elbax(*words)])
    yield _row(f"{name}, warm", 8, _several(asked, lambda: job.elbax(*words)))
    job.elbax("plot", run, "reconstruct")
    plot = _several(asked, lambda: job.elbax("plot", run, "reconstruct"))
    yield _row("`plot RUN reconstruct`, warm", 2, plot)


def _paper(job: Job, asked: argparse.Namespace) -> Iterator[Row]:
    """The paper's run: 10,000 steps, the bound on the test rows, the summary's seven pictures."""
    if asked.quick:
        return
    run = job.folder / "run"
    job.elbax("train", asked.data, "--iterations", "20", "--force", "--out", str(run))  # compiles
    took = job.elbax("train", asked.data, "--force", "--out", str(run))
    results = json.loads((run / "results.json").read_text())
    steps = 1e-3 * results["ms_per_step"] * results["iterations"]
    yield _row("the paper's run, with its report, warm", None, [took])
    overhead = took.seconds - steps
    yield Row("the paper's run: all but its steps, warm", 8, overhead)
    data = os.environ.get("ELBAX_DATA_DIR")
    if asked.rival is None or data is None:
        return
    words = (
        "-m",
        "benchmarks.whole.torch_job",
        f"{data}/mnist",
        "10000",
        str(job.folder / "torch"),
    )
    rival = job.run(str(asked.rival), *words)
    yield _row("the same by a script of PyTorch", None, [rival])
    yield Row("the paper's run, elbax / PyTorch", 0.6, took.seconds / rival.seconds, None, None, "")
    scripts = [(_HERE / name).read_text() for name in ("common.py", "torch_job.py")]
    lines = sum(1 for text in scripts for line in text.splitlines() if line.strip())
    yield Row("lines one writes for it: the command of elbax", None, 1, None, None, "")
    yield Row("lines one writes for it: the script", None, lines, None, None, "")


def _estimators(job: Job, asked: argparse.Namespace) -> Iterator[Row]:
    yield _row("`elbax.VAE().fit`, 300 × 5, new process, cold", 10, [job.python(_FIT)])
    warm = _several(asked, lambda: job.python(_FIT))
    yield _row("`elbax.VAE().fit`, 300 × 5, new process, warm", 4, warm)

    def scored(jobs: int) -> float:
        code = _SCORES.format(jobs=jobs)
        job.python(code)  # compiles
        return statistics.median(took.seconds for took in _several(asked, lambda: job.python(code)))

    one, two = scored(1), scored(2)
    name = "`cross_val_score`, n_jobs=2 / n_jobs=1, warm"
    yield Row(name, 0.8, two / one, None, None, "")


def _composition(job: Job, asked: argparse.Namespace) -> Iterator[Row]:  # noqa: ARG001
    run = str(job.folder / "run")
    parts = ["--prior", "vamp", "--posterior", "iaf", "--iterations", "60", "--no-report"]
    job.elbax("train", "mnist-5k", *parts, "--out", run)
    reached = json.loads(Path(run, "results.json").read_text())["ms_per_step"]
    yield Row("a step of vamp + iaf, mnist-5k", 40, reached, None, None, "ms")


def _installation(job: Job, asked: argparse.Namespace) -> Iterator[Row]:  # noqa: ARG001
    found = installed(["elbax"])
    largest = ", ".join(f"{name} {size / 1e6:.0f}" for name, size in list(found.items())[:5])
    name = f"`pip install elbax`, {len(found)} packages (the largest: {largest})"
    yield Row(name, 1000, sum(found.values()) / 1e6, None, None, "MB")


def _several(asked: argparse.Namespace, measure: Callable[[], Took]) -> list[Took]:
    return [measure() for _ in range(asked.rounds)]


def _row(name: str, target: float | None, took: list[Took]) -> Row:
    return Row(name, target, *(statistics.median(column) for column in zip(*took, strict=True)))


if __name__ == "__main__":
    main()
