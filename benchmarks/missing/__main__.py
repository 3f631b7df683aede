"""python -m benchmarks.missing: units that are not recorded yet, until the time is over."""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import sklearn

from benchmarks import machine
from benchmarks.missing import ours, page, rivals, sets

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).resolve().parent / "results"
PAGE = ROOT / "docs" / "missing-benchmark.md"


class Unit(NamedTuple):
    """One thing to measure: a method on a table, by a seed."""

    table: str
    seed: int
    method: str

    @property
    def path(self) -> Path:
        """Where it is recorded."""
        words = f"{self.table}-{self.seed}-{self.method}".replace(", ", "-").replace(" ", "-")
        return RESULTS / f"{words}.json"


def main() -> int:
    """Measures what is not recorded yet, and writes the page anew from everything recorded."""
    arguments = _arguments()
    from elbax.util import environment, files

    environment.prepare()
    waiting = [unit for unit in _units(arguments) if not unit.path.exists()]
    RESULTS.mkdir(exist_ok=True)
    started, described = time.monotonic(), machine.describe()
    for done, unit in enumerate(waiting):
        if time.monotonic() - started > arguments.seconds:
            print(f"{len(waiting) - done} units are left: run it again", file=sys.stderr)
            break
        found = _measure(unit, arguments.wine)
        content = {**unit._asdict(), **found, "sklearn": sklearn.__version__}
        files.write_json(unit.path, {**content, "machine": described})
        print(f"{time.monotonic() - started:5.0f} s  {' '.join(map(str, unit))}: {found}")
    files.write_bytes(PAGE, page.render(recorded()).encode())
    return 0


def recorded() -> list[dict]:
    """All recorded units."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))]


def _units(arguments: argparse.Namespace) -> Iterator[Unit]:
    for seed in range(arguments.seeds):
        for table in arguments.table:
            for method in (*ours.ASSUMED, *rivals.imputers(seed)):
                yield Unit(table, seed, method)


def _measure(unit: Unit, wine: Path | None) -> dict[str, float]:
    rows, started = sets.holed(sets.load(unit.table, wine), unit.seed), time.monotonic()
    if unit.method in ours.ASSUMED:
        filled = ours.impute(ours.train(rows, unit.method, unit.seed), rows, unit.seed)
    else:
        filled = rivals.impute(rivals.imputers(unit.seed)[unit.method], rows)
    seconds = time.monotonic() - started
    return {"rmse": sets.error(filled, rows), "rows": len(filled), "seconds": seconds}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.missing",
        description="Cells that are missing because of their own values. What is recorded in "
        "benchmarks/missing/results is not measured again.",
    )
    parser.add_argument("--table", action="append", choices=sets.NAMES, help="only this one")
    parser.add_argument("--wine", type=Path, help="the white wines: see benchmarks/missing/sets.py")
    parser.add_argument("--seeds", type=int, default=5, help="how many (default: 5)")
    parser.add_argument(
        "--seconds", type=float, default=float("inf"), help="begin nothing after so many"
    )
    arguments = parser.parse_args()
    arguments.table = arguments.table or list(sets.NAMES)
    return arguments


if __name__ == "__main__":
    sys.exit(main())
