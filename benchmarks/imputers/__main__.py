"""python -m benchmarks.imputers: units that are not recorded yet, until the time is over."""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import sklearn

from benchmarks import machine
from benchmarks.imputers import methods, page, published, sets

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).resolve().parent / "results"
PAGE = ROOT / "docs" / "imputers-benchmark.md"


class Unit(NamedTuple):
    """One thing to measure: a table with cells hidden, which all methods fill."""

    table: str
    mechanism: str
    rate: int
    seed: int

    @property
    def path(self) -> Path:
        """Where it is recorded."""
        return RESULTS / f"{self.table}-{self.mechanism}-{self.rate}-{self.seed}.json"


def main() -> int:
    """Measures what is not recorded yet, and writes the page anew from everything recorded."""
    arguments = _arguments()
    from elbax.util import environment, files

    environment.prepare()
    RESULTS.mkdir(exist_ok=True)
    started, described = time.monotonic(), machine.describe()
    for unit in _units(arguments):
        for method in arguments.method:  # in turn, so that they share the machine's state
            if method in _read(unit.path).get("methods", {}):
                continue
            if time.monotonic() - started > arguments.seconds:
                print("the time is over: run it again", file=sys.stderr)
                return _write()
            measured = _measure(unit, method, arguments.venv)
            found = _read(unit.path) or {**unit._asdict(), "methods": {}}
            found["methods"][method] = measured
            found |= {"machine": described, "sklearn": sklearn.__version__}
            files.write_json(unit.path, found)
            words = {name: round(value, 3) for name, value in measured.items()}
            print(
                f"{time.monotonic() - started:5.0f} s  {unit.path.stem} {method}: {words}",
                flush=True,
            )
    return _write()


def recorded() -> list[dict]:
    """All recorded units."""
    return [_read(path) for path in sorted(RESULTS.glob("*.json"))]


def _write() -> int:
    from elbax.util import files

    files.write_bytes(PAGE, page.render(recorded(), published.recorded()).encode())
    return 0


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _units(arguments: argparse.Namespace) -> Iterator[Unit]:
    for seed in range(arguments.seeds):
        for rate in arguments.rate:
            for mechanism in arguments.mechanism:
                for table in arguments.table:
                    yield Unit(table, mechanism, rate, seed)


def _measure(unit: Unit, method: str, venv: Path | None) -> dict[str, float]:
    x = sets.load(unit.table, venv)
    gone = sets.hidden(x, unit.mechanism, unit.rate / 100, unit.seed)
    filled = methods.fill(method, np.where(gone, np.nan, x), unit.seed, venv)
    found = {
        "rmse": sets.error(filled.value, x, gone),
        "crps": sets.crps(filled.value, filled.draws, x, gone),
        **filled.seconds,
    }
    if filled.ends is not None:
        lower, upper = filled.ends
        inside = (lower <= x) & (x <= upper)
        width = (upper - lower) / x.std(axis=0)
        found |= {"coverage": float(inside[gone].mean()), "width": float(width[gone].mean())}
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.imputers",
        description="Imputers on whole tables. What is recorded in benchmarks/imputers/results is "
        "not measured again.",
    )
    for name, choices, default in (
        ("table", sets.NAMES, sets.NAMES),
        ("mechanism", sets.MECHANISMS, sets.MECHANISMS),
        ("method", methods.NAMES, methods.NAMES),
    ):
        parser.add_argument(f"--{name}", choices=choices, nargs="+", default=default)
    parser.add_argument("--rate", type=int, nargs="+", default=(30, 10, 50), help="percent")
    parser.add_argument("--seeds", type=int, default=3, help="how many (default: 3)")
    parser.add_argument("--venv", type=Path, help="the one of requirements.txt")
    parser.add_argument(
        "--seconds", type=float, default=float("inf"), help="begin nothing after so many"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
