"""python -m benchmarks.tables: units that are not recorded yet, until the time is over."""

import argparse
import json
import sys
import time
from pathlib import Path

import sklearn

from benchmarks import machine
from benchmarks.tables import page, work

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).resolve().parent / "results"
PAGE = ROOT / "docs" / "tables-benchmark.md"


def main() -> int:
    """Measures what is not recorded yet, and writes the page anew from everything recorded."""
    arguments = _arguments()
    from elbax.util import environment

    environment.prepare()
    wanted = [
        unit
        for unit in work.units(arguments.seeds)
        if unit.task in arguments.task and _missing(unit, anew=arguments.anew)
    ]
    started = time.monotonic()
    described = machine.describe()
    for done, unit in enumerate(wanted):
        if time.monotonic() - started > arguments.seconds:
            print(f"{len(wanted) - done} units are left: run it again", file=sys.stderr)
            break
        found = work.measure(unit)
        content = {**unit._asdict(), **found, "sklearn": sklearn.__version__}
        _record(unit, {**content, "machine": described})
        words = {name: round(value, 3) for name, value in _first(found).items()}
        print(f"{time.monotonic() - started:5.0f} s  {unit.name}: {words}", file=sys.stderr)
    write()
    return 0


def write() -> None:
    """docs/tables-benchmark.md anew."""
    from elbax.util import files

    files.write_bytes(PAGE, page.render(recorded()).encode())


def recorded() -> list[dict]:
    """All recorded units."""
    paths = sorted(RESULTS.glob("*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def _path(unit: work.Unit) -> Path:
    return RESULTS / f"{unit.name}.json"


def _missing(unit: work.Unit, *, anew: bool) -> bool:
    """Whether it is not recorded; with `anew`, not as elbax' defaults are now."""
    path = _path(unit)
    if not path.exists():
        return True
    found = json.loads(path.read_text(encoding="utf-8")).get("settings")
    return anew and found != work.settings(unit)


def _record(unit: work.Unit, content: dict) -> None:
    from elbax.util import files

    files.write_json(_path(unit), content)


def _first(found: dict) -> dict[str, float]:
    return next(value for value in found.values() if isinstance(value, dict))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benchmarks/tables/run",
        description="Missing cells, densities and outliers in scikit-learn's tables. What is "
        "recorded in benchmarks/tables/results is not measured again.",
    )
    parser.add_argument(
        "--task", action="append", choices=work.TASKS, help="only this one (default: all)"
    )
    parser.add_argument("--seeds", type=int, default=3, help="how many (default: 3)")
    parser.add_argument(
        "--seconds", type=float, default=float("inf"), help="begin nothing after so many"
    )
    parser.add_argument(
        "--anew", action="store_true", help="measure again what other defaults were measured on"
    )
    arguments = parser.parse_args()
    arguments.task = arguments.task or list(work.TASKS)
    return arguments


if __name__ == "__main__":
    sys.exit(main())
