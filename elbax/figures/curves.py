"""The training of several runs, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from elbax.figures.drawing.style import grid, label_colours, number_ticks, page, plain

_NAMED = 12  # lines; beyond that a legend is longer than the picture


@dataclass(frozen=True)
class Curve:
    """A loss over the steps of one run.

    Attributes:
        name: What the legend calls it.
        step: (n,) steps.
        loss: (n,) nats.
        best: The step of the best parameters; None where there is none.
    """

    name: str
    step: np.ndarray
    loss: np.ndarray
    best: int | None = None


def figure(groups: Mapping[str, Sequence[Curve]], what: str, title: str) -> Figure:
    """Losses over steps, one line a run and one colour a group.

    Args:
        groups: Runs that have a colour in common, by what the legend calls them.
        what: What the losses are of: "validation".
        title: In the corner.
    """
    curves = [curve for group in groups.values() for curve in group]
    dots = " A dot: the best parameters." if any(c.best is not None for c in curves) else ""
    drawing = page(
        9.0,
        5.0,
        f"{what[0].upper()}{what[1:]} loss of {len(curves)} runs",
        f"In nats per datum, over the steps of training; lower is better.{dots}",
        title,
    )
    axes = drawing.subplots()
    colours = label_colours(max(len(groups), 2))
    for colour, (name, group) in zip(colours, groups.items(), strict=False):
        for number, curve in enumerate(group):
            label = plain(name, 40) if number == 0 and len(groups) <= _NAMED else None
            axes.plot(curve.step, curve.loss, color=colour, linewidth=1.3, alpha=0.85, label=label)
            if curve.best is not None:
                at = int(np.argmin(np.abs(curve.step - curve.best)))
                axes.plot(curve.step[at], curve.loss[at], "o", color=colour, markersize=4.5)
    _limit(axes, curves)
    axes.set_xlabel("step")
    axes.set_ylabel("loss, nats per datum")
    number_ticks(axes.xaxis)
    grid(axes)
    if len(groups) <= _NAMED:
        axes.legend(frameon=False, fontsize=9)
    return drawing


def _limit(axes: object, curves: Sequence[Curve]) -> None:
    """Leaves out the heights of the first steps, beside which all else is flat."""
    late = [curve.loss[len(curve.loss) // 10 :] for curve in curves]
    values = np.concatenate([loss[np.isfinite(loss)] for loss in late] or [np.zeros(0)])
    if len(values):
        low, high = float(values.min()), float(np.quantile(values, 0.98))
        room = max(0.06 * (high - low), 1e-3)
        axes.set_ylim(low - room, high + room)  # type: ignore[attr-defined]
