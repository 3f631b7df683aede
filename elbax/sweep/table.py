"""What came of a sweep: a row a run, for people, for JSON and for pandas."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from elbax.recipes.choice import to_word
from elbax.report import comparison
from elbax.report.comparison import Comparison
from elbax.sweep.members import Member
from elbax.util.words import plus_minus

SAMPLES = 200  # importance samples a row
ROWS = 1000  # at most, of each run


def compared(members: Sequence[Member], said: Callable[[str], None]) -> Comparison | str:
    """The finished runs on the same rows with the same noise: validation rows where there are any.

    (What is chosen by test rows has no honest test.) Or why they do not compare, in one line.
    """
    runs = [member.run for member in members if member.status == "finished"]
    if len(runs) < 2:
        return "fewer than two runs have finished"
    try:
        comparison.check(runs)
    except ValueError as error:
        return str(error)
    split = "validation" if len(runs[0].dataset.validation) else "test"
    if not len(runs[0].dataset.split(split)):
        split = "train"
    return comparison.compare(
        runs, split, limit=ROWS, samples=SAMPLES, seed=members[0].plan.options.run.seed, said=said
    )


def rows(members: Sequence[Member], found: Comparison | str) -> list[dict[str, Any]]:
    """A row a run: its options, how it ended, and its numbers, in nats per datum.

    Numbers that begin with a split's name are of the run's own measure (`results.json`); the others
    are of the comparison, with standard errors over the rows.
    """
    numbers = {}
    if isinstance(found, Comparison):
        numbers = {one["name"]: one for one in comparison.to_json(found)["runs"]}
    return [_row(member, numbers.get(member.name, {})) for member in members]


def _row(member: Member, numbers: Mapping[str, Any]) -> dict[str, Any]:
    results = member.run.results or {}
    row: dict[str, Any] = {"run": str(member.run.path)}
    row.update({name: _value(value) for name, value in member.changes.items()})
    row["status"] = results.get("outcome") or member.status
    row["steps"] = results.get("iterations")
    best = results.get("best") or {}
    row["best_step"], row["validation_loss"] = best.get("step"), best.get("validation_loss")
    for name in comparison.MEASURES:
        one = numbers.get(name) or {}
        row[name], row[f"{name}_error"] = one.get("mean"), one.get("standard_error")
    test = results.get("test") or {}
    row["test_elbo"] = test.get("elbo")
    row["test_elbo_error"] = (test.get("standard_error") or {}).get("elbo")
    row["active_latents"] = results.get("active_latents")
    row["trust"] = numbers.get("trust")
    row["seconds"] = results.get("seconds")
    return row


def _value(value: Any) -> Any:
    """A value as a cell: words that are numbers as numbers."""
    if not isinstance(value, str):
        return value if isinstance(value, int | float | bool | None) else to_word(value)
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def to_csv(found: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a table of text."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(found[0]))
    writer.writeheader()
    writer.writerows(found)
    return text.getvalue()


def columns(found: Sequence[Mapping[str, Any]], varied: Sequence[str]) -> list[tuple[str, ...]]:
    """The table for people, its head first."""
    head = (*(name.split(".")[-1] for name in varied), "ended", "steps", "ELBO", "log p", "rate",
            "distortion", "active")  # fmt: skip
    lines: list[tuple[str, ...]] = [head]
    for row in found:
        measures = [
            plus_minus(row[name], row[f"{name}_error"], 2)
            for name in ("elbo", "log_likelihood", "rate", "distortion")
        ]
        active = "" if row["active_latents"] is None else str(row["active_latents"])
        steps = "" if row["steps"] is None else f"{row['steps']:,}"
        values = [to_word(row[name]) for name in varied]
        lines.append((*values, str(row["status"]), steps, *measures, active))
    return lines


def in_words(found: Sequence[Mapping[str, Any]], varied: Sequence[str]) -> list[str]:
    """The table for a terminal."""
    lines = columns(found, varied)
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
