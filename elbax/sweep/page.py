"""The page of a sweep: its table, the runs' curves, and rate against distortion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from elbax.figures import draw_curve, figure_png
from elbax.figures.curves import Curve
from elbax.figures.curves import figure as draw_curves
from elbax.figures.rate_distortion import RatePoint
from elbax.recipes.choice import to_word
from elbax.report import comparison
from elbax.report.comparison import Comparison
from elbax.report.page import cell, document, escaped, picture, table
from elbax.sweep import table as tables
from elbax.sweep.choose import Choice
from elbax.sweep.members import Member

_STYLE = """
main { max-width: none; padding: 2.5rem 2rem 4rem; }
.swept td, .swept th { white-space: nowrap; font-variant-numeric: tabular-nums; }
.curve { max-width: 60rem; }
"""
_FRONT = (
    "No other setting has both less rate and less distortion than a named point. A point is the "
    "average over its seeds."
)


def write(
    members: Sequence[Member],
    rows: Sequence[Mapping[str, Any]],
    varied: Sequence[str],
    found: Comparison | str,
    chosen: Choice | None,
) -> str:
    """The page as HTML, with every picture inside it."""
    name = members[0].plan.dataset.name
    parts = [f"<h1>{len(members)} runs on {escaped(name)}</h1>"]
    if chosen is not None:
        first, *rest = chosen.in_words()
        parts.append(f'<p class="verdict">{escaped(first)}</p>')
        parts.append("<ul>" + "".join(f"<li>{escaped(line)}</li>" for line in rest) + "</ul>")
    parts.append(f"<p>{escaped(_measured(found))}</p>")
    head, *lines = tables.columns(rows, varied)
    cells = [tuple(cell(word, "n") for word in line) for line in lines]
    parts.append(f'<div class="scroll">{table("swept", cells, head)}</div>')
    parts.append(f'<p class="soft">{escaped(comparison.ERRORS)}</p>')
    what, groups = curves(members)
    if groups:
        png = figure_png(draw_curves(groups, what, name))
        parts += ["<h2>Training</h2>", f'<div class="curve">{_picture(png, "losses")}</div>']
    if isinstance(found, Comparison):
        points = pareto(found, members)
        png = figure_png(draw_curve(points))
        parts += ["<h2>Rate and distortion</h2>", f'<p class="soft">{escaped(_FRONT)}</p>']
        parts.append(f'<div class="curve">{picture("rate_distortion", png)}</div>')
    return document("sweep", parts, style=_STYLE)


def _picture(png: bytes, name: str) -> str:
    return picture("train_process", png, title=name, caption=False)


def _measured(found: Comparison | str) -> str:
    if isinstance(found, str):
        return f"The runs are not compared: {found}"
    return comparison.heading(comparison.to_json(found))


def curves(members: Sequence[Member]) -> tuple[str, dict[str, list[Curve]]]:
    """The losses of each run, by its options but for the seed; of validation where there is one."""
    histories = [member.run.history for member in members]
    validated = any(len(history["validation"]["step"]) for history in histories)
    groups: dict[str, list[Curve]] = {}
    for member, history in zip(members, histories, strict=True):
        shown = history["validation"] if validated else history
        if not len(shown["step"]):
            continue
        step, loss = shown["step"], shown["loss"]
        if not validated:
            step, loss = _thinned(step, loss)
        best = ((member.run.results or {}).get("best") or {}).get("step") if validated else None
        groups.setdefault(setting(member.changes), []).append(Curve(member.name, step, loss, best))
    return ("validation" if validated else "training"), groups


def _thinned(step: np.ndarray, loss: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Averages over a hundred pieces of a run, for the loss of single batches is noise."""
    pieces = min(100, len(step))
    cut = lambda values: [part.mean() for part in np.array_split(values, pieces)]  # noqa: E731
    return np.array(cut(step)), np.array(cut(loss))


def setting(changes: Mapping[str, Any]) -> str:
    """A run's own options in words, but for its seed."""
    words = [
        f"{name.split('.')[-1].replace('_', ' ')} {to_word(value)}"
        for name, value in changes.items()
        if name != "seed"
    ]
    return ", ".join(words) or "all seeds"


def pareto(found: Comparison, members: Sequence[Member]) -> tuple[RatePoint, ...]:
    """A point a setting, averaged over its seeds; those on the front are named."""
    changes = {member.run.path: member.changes for member in members}
    groups: dict[str, list[comparison.Measured]] = {}
    for run in found.runs:
        groups.setdefault(setting(changes[run.run.path]), []).append(run)
    points = []
    for name, runs in groups.items():
        rate = np.mean([run.per_row["rate"] for run in runs], axis=0)
        distortion = np.mean([run.per_row["distortion"] for run in runs], axis=0)
        points.append(comparison.point(name, rate, distortion, runs[0].settings))
    front = [one for one in points if not any(_beats(other, one) for other in points)]
    return tuple(
        one if one in front else RatePoint("", *_numbers(one), beta=one.beta) for one in points
    )


def _numbers(point: RatePoint) -> tuple[float, float, float, float]:
    return point.rate, point.distortion, point.rate_error, point.distortion_error


def _beats(one: RatePoint, other: RatePoint) -> bool:
    """Whether a point is better than another in one respect and no worse in the other."""
    better = one.rate < other.rate or one.distortion < other.distortion
    return better and one.rate <= other.rate and one.distortion <= other.distortion
