"""python -m benchmarks.published NAME: one published figure, run and recorded."""

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.published import table
from benchmarks.published.targets import TARGETS, Target

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).resolve().parent / "results"
PAGE = ROOT / "docs" / "published.md"
CHECKPOINTS = ROOT / "runs" / "published"  # git ignores it


def main() -> int:
    """Runs one row, records it, and writes the page anew from everything recorded."""
    arguments = _arguments()
    target = TARGETS[arguments.name]
    from elbax.util import environment

    environment.prepare()
    from benchmarks.published import work

    started = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - started:7.0f} s  {target.name}: {line}", file=sys.stderr)

    run = work.run(
        target,
        steps=arguments.budget,
        seed=arguments.seed,
        rows=arguments.rows,
        folder=CHECKPOINTS,
        say=say,
    )
    record(target, {**run, "machine": machine.describe()})
    obtained = run["obtained"]
    say(
        f"{obtained['nats']:.2f} ± {obtained['standard_error']:.2f} nats "
        f"(published: {target.figure:.2f}), {run['active_units']} active units"
    )
    return 0


def record(target: Target, run: dict[str, Any]) -> None:
    """Adds a run (in the place of one of the same seed and length), and writes the page anew."""
    from elbax.util import files

    path = RESULTS / f"{target.name}.json"
    before = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.exists() else []
    others = [r for r in before if (r["seed"], r["steps"]) != (run["seed"], run["steps"])]
    described = dataclasses.asdict(target) | {"changes": dict(target.changes)}
    files.write_json(path, {"name": target.name, "target": described, "runs": [*others, run]})
    files.write_bytes(PAGE, page().encode())


def page() -> str:
    """docs/published.md as the recorded runs make it."""
    found = sorted(RESULTS.glob("*.json"))
    return table.render([json.loads(path.read_text(encoding="utf-8")) for path in found])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benchmarks/published/run",
        description="Trains at a paper's settings, evaluates with its estimator, and records it. "
        "MNIST is read from $ELBAX_DATA_DIR, or downloaded.",
    )
    parser.add_argument("name", choices=TARGETS, help="which published figure")
    parser.add_argument(
        "--budget", type=_positive, metavar="STEPS", help="steps to take (default: as published)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default: 0)")
    parser.add_argument(
        "--rows", type=_positive, default=10_000, help="test rows to evaluate (default: all)"
    )
    return parser.parse_args()


def _positive(word: str) -> int:
    number = int(word.replace("_", ""))
    if number < 1:
        raise argparse.ArgumentTypeError(f"{word} is not at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
