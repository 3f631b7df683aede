"""Runs lines of the campaign, records what they found, and writes docs/reliability.md."""

import argparse
import json
import platform
import tempfile
from pathlib import Path
from typing import Any

from elbax.util import environment
from tests.campaign import damage, inputs, kills, surroundings
from tests.campaign.trials import FAILED, NAMED, RECORDS, SAME, Trials, run

LINES: dict[str, Trials] = {
    "damage": damage.trials,
    "input": inputs.trials,
    "kills": kills.kills,
    "disk": kills.disks,
    "environment": surroundings.trials,
}
PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
_HEAD = """# Reliability

<!-- written by scripts/campaign -->

`scripts/campaign` looks for faults at random, with a seed: it damages runs, makes up files and
options, kills commands, breaks their disks and changes what surrounds them. A trial survives where
the result is the same to the last bit, or where one line says what is wrong; it fails where a
number changes in silence, a traceback is shown, a process dies or hangs, or what was disturbed
cannot be brought to its end. What a campaign found is mended, and has a test.

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
    """The page, of what was recorded."""
    found = [json.loads(path.read_text()) for path in sorted(RECORDS.glob("*.json"))]
    versions = environment.versions()
    made_with = ", ".join(f"{name} {versions[name]}" for name in ("python", "jax", "numpy"))
    text = _HEAD + "| line | tried | the same result | one line | failed | seed | seconds |\n"
    text += "|---|---:|---:|---:|---:|---:|---:|\n"
    for line in found:
        counts = [_sum(line, verdict) for verdict in (SAME, NAMED, FAILED)]
        numbers = [sum(counts), *counts, line["seed"], line["seconds"]]
        text += f"| {line['name']} | {' | '.join(f'{n:,}' for n in numbers)} |\n"
    text += f"\n{platform.machine()}, {made_with}.\n"
    for line in found:
        text += (
            f"\n## {line['name'].capitalize()}\n\n| what | the same result | one line | failed |\n"
        )
        text += "|---|---:|---:|---:|\n"
        for kind in dict.fromkeys(kind for kind, _, _ in line["counts"]):
            numbers = [_sum(line, verdict, kind) for verdict in (SAME, NAMED, FAILED)]
            text += f"| {kind} | {' | '.join(f'{n:,}' for n in numbers)} |\n"
    return text + "\n" + (Path(__file__).parent / "mended.md").read_text()


def _sum(line: dict[str, Any], verdict: str, of: str | None = None) -> int:
    return sum(n for kind, was, n in line["counts"] if was == verdict and of in (None, kind))


if __name__ == "__main__":
    main()
