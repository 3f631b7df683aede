"""The table in words: for the terminal, and for `docs/speed.md`."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

_ROOT = Path(__file__).parents[2]
_PAGE = _ROOT / "docs" / "speed.md"
_BEGIN, _END = "<!-- benchmarks.whole -->", "<!-- end of benchmarks.whole -->"


class Row(NamedTuple):
    """A line of the table.

    Attributes:
        name: What was done.
        target: At most; None where it is shown beside another.
        reached: What it was; the median where there were several.
        processor: Seconds of the processor, where they are those of the same.
        peak: MB of memory at most, likewise.
        unit: Of target and what was reached; empty of a ratio or a number.
    """

    name: str
    target: float | None
    reached: float
    processor: float | None = None
    peak: float | None = None
    unit: str = "s"


def line(row: Row) -> str:
    """For the terminal."""
    name, target, reached, processor, peak, met = _cells(row)
    return f"{name:58} {target:>9} {reached:>9} {processor:>9} {peak:>9} {met}"


def render(record: dict[str, Any]) -> str:
    """For the page."""
    where, rows = record["machine"], [Row(**row) for row in record["rows"]]
    versions = ", ".join(f"{name} {v}" for name, v in where["versions"].items() if v)
    loads = " to ".join(f"{load[0]:.1f}" for load in (where["load_before"], record["load_after"]))
    machine = f"{where['cpu']}, {where['cores']} cores, {where['memory_gib']} GiB; {where['os']}"
    head = (
        f"Whole processes, as one starts them, measured on {where['date'][:10]}: {machine}; Python "
        f"{where['python']}; {versions}; commit {where['commit']}; medians of {record['rounds']} "
        f"where warm, seed 0. The load of the machine was {loads} of {where['cores']} cores: on "
        "one that is busy the processor's seconds say more than the clock's, and both are more."
    )
    lines = [
        head,
        "",
        "| | at most | reached | of the processor | memory | met |",
        "|---|---|---|---|---|---|",
        *(f"| {' | '.join(_cells(row))} |" for row in rows),
    ]
    return "\n".join(lines)


def write(record: dict[str, Any]) -> None:
    """Writes the record, and its table into `docs/speed.md`."""
    name = f"whole-{record['machine']['date'][:10]}-{record['machine']['slug']}.json"
    (_ROOT / "benchmarks" / "results" / name).write_text(json.dumps(record, indent=1) + "\n")
    part = f"{_BEGIN}\n{render(record)}\n{_END}"
    text = re.sub(f"{_BEGIN}.*?{_END}", lambda _: part, _PAGE.read_text(), flags=re.DOTALL)
    _PAGE.write_text(text)


def _cells(row: Row) -> tuple[str, ...]:
    number = lambda value, unit: "" if value is None else f"{value:,.4g} {unit}".strip()  # noqa: E731
    met = "" if row.target is None else "yes" if row.reached <= row.target else "no"
    seconds, memory = number(row.processor, "s"), number(row.peak, "MB")
    return (
        row.name,
        number(row.target, row.unit),
        number(row.reached, row.unit),
        seconds,
        memory,
        met,
    )
