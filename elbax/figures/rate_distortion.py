"""Rate against distortion: what several models hold in their latents, and what they still miss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from elbax.figures.drawing.style import BLUE, LINE, MUTED, ORANGE, beside, outline, page, plain
from elbax.util.words import minus

CONTOURS = 9


@dataclass(frozen=True)
class RatePoint:
    """One model's place on the curve of rate and distortion, in nats per datum.

    Attributes:
        name: what the point is labelled with.
        rate: E KL(q(z|x) ‖ p(z)).
        distortion: −E log p(x|z).
        rate_error: one standard error over the data.
        distortion_error: the same.
        beta: the weight of the KL in training; None where it is not known.
    """

    name: str
    rate: float
    distortion: float
    rate_error: float
    distortion_error: float
    beta: float | None = None


def figure(points: Sequence[RatePoint], title: str) -> Figure:
    """Distortion over rate, one point a model, on the lines of equal ELBO."""
    points = sorted(points, key=lambda point: point.rate)
    best = min(points, key=lambda point: point.rate + point.distortion)
    drawing = page(
        9.0,
        5.4,
        f"The highest ELBO of {len(points)}: {plain(best.name, 24)}, {_elbo(best)} nats",
        "Rate is E KL(q(z|x) ‖ p(z)): what the latents hold. Distortion is −E log p(x|z): what is "
        "missed. Both in nats per datum, on the same rows; bars: one standard error over them. "
        "Along a grey line the ELBO, −(rate + distortion), is the same.",
        title,
    )
    axes = drawing.subplots()
    rate = np.array([point.rate for point in points])
    distortion = np.array([point.distortion for point in points])
    _limits(axes, rate, distortion)
    _contours(axes)
    if len({point.beta for point in points}) == len(points):  # one curve over β
        axes.plot(rate, distortion, color=BLUE, linewidth=1.6, zorder=2)
    axes.errorbar(
        rate,
        distortion,
        np.nan_to_num([point.distortion_error for point in points]),
        np.nan_to_num([point.rate_error for point in points]),
        fmt="o",
        color=BLUE,
        markersize=7,
        capsize=3,
        zorder=3,
    )
    axes.plot(best.rate, best.distortion, "o", color=ORANGE, markersize=13, zorder=2.5)
    for number, point in enumerate(points):
        _name(axes, point, bold=point is best, below=number % 2 == 1)
    axes.set_xlabel("rate, nats per datum")
    axes.set_ylabel("distortion, nats per datum")
    return drawing


def _elbo(point: RatePoint) -> str:
    return minus(f"{-(point.rate + point.distortion):.2f}")


def _limits(axes: Axes, rate: np.ndarray, distortion: np.ndarray) -> None:
    for set_limits, values in ((axes.set_xlim, rate), (axes.set_ylim, distortion)):
        room = max(0.14 * float(np.ptp(values)), 0.02 * float(np.abs(values).max()), 0.05)
        low = float(values.min()) - room
        set_limits(max(low, 0.0) if values.min() >= 0 and low < 0 else low, values.max() + room)


def _contours(axes: Axes) -> None:
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    across, up = np.meshgrid(np.linspace(left, right, 60), np.linspace(bottom, top, 60))
    lines = axes.contour(
        across, up, across + up, levels=CONTOURS, colors=LINE, linewidths=0.9, zorder=1
    )
    labels = axes.clabel(lines, fmt=lambda level: minus(f"{-level:g}"), fontsize=8)
    for label in labels:
        label.set_color(MUTED)


def _name(axes: Axes, point: RatePoint, *, bold: bool, below: bool) -> None:
    """Beside the point, towards the middle of the picture; neighbours on different sides."""
    left, right = axes.get_xlim()
    leftwards = point.rate > (left + right) / 2
    beside(
        axes,
        plain(point.name, 32),
        (point.rate, point.distortion),
        (-10 if leftwards else 10, -9 if below else 9),
        ha="right" if leftwards else "left",
        va="top" if below else "bottom",
        size=9.5,
        weight="bold" if bold else "normal",
        path_effects=outline(),
        parse_math=False,
        zorder=4,
    )
