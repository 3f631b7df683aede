"""Runs lines of the campaign, records what they found, and writes docs/reliability.md."""

import argparse
import json
import platform
import tempfile
from pathlib import Path
from typing import Any

from elbax.util import environment
from tests.campaign import damage, disks, inputs, kills, numbers, surroundings
from tests.campaign.trials import FAILED, NAMED, NOT_TRIED, RECORDS, SAME, Trials, run

LINES: dict[str, Trials] = {
    "kills": kills.trials,
    "disk": disks.trials,
    "damage": damage.trials,
    "input": inputs.trials,
    "environment": surroundings.trials,
    "numbers": numbers.trials,
}
PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
_HEAD = """# Reliability

<!-- written by scripts/campaign -->

`scripts/campaign` looks for faults at random, with a seed: it damages runs, makes up files and
options, kills commands, breaks their disks and changes what surrounds them; and numbers are held
against others that are known. A trial survives where the result is the same to the last bit (a
number: as its oracle says), or where one line says what is wrong; it fails where a number changes
in silence, a traceback is shown, a process dies or hangs, or what was disturbed cannot be brought
to its end. One failure is not planted, since no weights can show it: a mode of p(z|x) that q(z|x)
never visits ([How good is it?](guide-evaluate.md)). What a campaign found is mended, and has a
test. A line is run in pieces, each with its seed; this page is their sum.

"""


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="scripts/campaign", description=__doc__)
    parser.add_argument("lines", nargs="*", metavar="LINE", help=f"of {', '.join(LINES)}")
    parser.add_argument("--seed", type=int, default=0, help="of the random choices (0)")
    parser.add_argument("--seconds", type=float, default=600, help="for each line (600)")
    asked = parser.parse_args()
    for name in asked.lines or LINES:
        with tempfile.TemporaryDirectory() as folder:
            line = run(name, LINES[name], Path(folder), seed=asked.seed, seconds=asked.seconds)
        line.record()
        print(f"{name}: {line.tried} trials, {line.failed} failed, {line.seconds:.0f} s")
        for failure in line.failures:
            print(f"  {failure}")
    PAGE.write_text(page())


def page() -> str:
    """The page, of what was recorded: the pieces of a line add up."""
    pieces = [json.loads(path.read_text()) for path in sorted(RECORDS.glob("*.json"))]
    names = [name for name in LINES if any(piece["name"] == name for piece in pieces)]
    lines = {name: [piece for piece in pieces if piece["name"] == name] for name in names}
    mended = (Path(__file__).parent / "mended.md").read_text()
    versions = environment.versions()
    made_with = ", ".join(f"{name} {versions[name]}" for name in ("python", "jax", "numpy"))
    text = _HEAD + "| line | tried | the same result | one line | failed | mended | seeds | s |\n"
    text += "|---|---:|---:|---:|---:|---:|---|---:|\n"
    for name, found in lines.items():
        counts = [_sum(found, verdict) for verdict in (SAME, NAMED, FAILED)]
        numbers = [sum(counts), *counts, mended.count(f"\n| {name} |")]
        seeds = ", ".join(str(seed) for seed in sorted(piece["seed"] for piece in found))
        seconds = sum(piece["seconds"] for piece in found)
        text += f"| {name} | {' | '.join(f'{n:,}' for n in numbers)} | {seeds} | {seconds:,} |\n"
    text += f"\n{platform.machine()}, {made_with}.\n"
    for name, found in lines.items():
        text += f"\n## {name.capitalize()}\n"
        text += "".join(_table(found, i, head) for i, head in enumerate(("what", "where")))
        text += _not_tried(found)
    return text + "\n" + mended


def _table(found: list[dict[str, Any]], place: int, head: str) -> str:
    """The trials by what was done, or by where; none where all were at one place."""
    rows = sorted({count[place] for piece in found for count in piece["counts"]})
    if place and len(rows) == 1:
        return ""
    text = f"\n| {head} | the same result | one line | failed |\n|---|---:|---:|---:|\n"
    for row in rows:
        counts = [_sum(found, verdict, place, row) for verdict in (SAME, NAMED, FAILED)]
        if any(counts):
            text += f"| {row} | {' | '.join(f'{n:,}' for n in counts)} |\n"
    return text


def _not_tried(found: list[dict[str, Any]]) -> str:
    kinds = sorted({c[0] for piece in found for c in piece["counts"] if c[2] == NOT_TRIED})
    return f"\nNot tried, for this machine could not: {', '.join(kinds)}.\n" if kinds else ""


def _sum(found: list[dict[str, Any]], verdict: str, place: int = 0, of: str | None = None) -> int:
    counts = [count for piece in found for count in piece["counts"]]
    return sum(c[3] for c in counts if c[2] == verdict and of in (None, c[place]))


if __name__ == "__main__":
    main()
