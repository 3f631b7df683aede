"""Reconstruction, KL and their sum while the model learns, and the moment the KL turns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from elbax.figures.drawing.style import (
    BLUE,
    DASHED,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    beside,
    grid,
    number_ticks,
    outline,
    page,
)
from elbax.run.run import Run
from elbax.run.terms import readable

BINS_PER_DECADE = 30

# A valley counts where it is this deep: in robust standard deviations of one step's KL about its
# neighbours, and as a share of the KL's whole range.
NOISE_DEVIATIONS = 8.0
RANGE_SHARE = 0.02

RISE = 1.0  # nats: the headline tells of no smaller rise of the KL

LOGARITHMIC_FROM = 2.5  # times the smallest loss: the losses' axis is linear below


def log_bins(step: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means of `value` over 30 equal slices of each decade of `step`.

    The first steps keep a bin each, so nothing that is over in a few steps is smoothed away.

    Args:
        step: (n,) positive, increasing.
        value: (n,) finite.

    Returns:
        The bins' mean step, their mean value, and the bin of every entry.
    """
    slot = np.floor(np.log10(step) * BINS_PER_DECADE + 1e-9).astype(int)
    _, which, count = np.unique(slot, return_inverse=True, return_counts=True)
    return np.bincount(which, step) / count, np.bincount(which, value) / count, which


def turning_point(step: np.ndarray, kl: np.ndarray) -> int | None:
    """The step at which the KL stops falling and starts to rise for good.

    The rule: smooth the KL by means over equal slices of log step (`log_bins`). Look at the bins
    that no later bin lies below. The depth of one is how far it lies below the lower of two
    summits: the highest bin before it and the highest bin after it. The turning point is the
    deepest of them. The spike of the first steps thus is the summit on the left, never the answer;
    a curve that only rises has no summit on the left, and one that only falls none on the right.
    A valley that noise could have dug does not count: its depth must exceed 8 robust standard
    deviations of a single step about its bin (1.4826 × the median absolute deviation) and 2% of the
    smoothed curve's range.

    Args:
        step: (n,) positive, increasing.
        kl: (n,) nats; entries that are not finite are left out.

    Returns:
        The step (the middle of the deepest bin), or None.
    """
    step, kl = np.asarray(step, dtype=np.float64), np.asarray(kl, dtype=np.float64)
    usable = np.isfinite(kl) & (step > 0)
    step, kl = step[usable], kl[usable]
    if len(step) < 3:
        return None
    middle, smooth, which = log_bins(step, kl)
    before = np.maximum.accumulate(smooth)
    after = np.maximum.accumulate(smooth[::-1])[::-1]
    lowest_to_come = np.minimum.accumulate(smooth[::-1])[::-1]
    depth = np.where(smooth <= lowest_to_come, np.minimum(before, after) - smooth, 0.0)
    deepest = int(np.argmax(depth))
    if depth[deepest] <= max(
        NOISE_DEVIATIONS * _noise(kl, smooth, which), RANGE_SHARE * np.ptp(smooth)
    ):
        return None
    return round(middle[deepest])


def _smooth(step: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`log_bins` of what is finite: the bins' mean step and mean value."""
    step, value = np.asarray(step, np.float64), np.asarray(value, np.float64)
    usable = np.isfinite(value) & (step > 0)
    return log_bins(step[usable], value[usable])[:2]


def _noise(kl: np.ndarray, smooth: np.ndarray, which: np.ndarray) -> float:
    """One step's robust standard deviation about its bin's mean (0 where bins hold few steps)."""
    shared = np.bincount(which)[which] >= 4
    if not shared.any():
        return 0.0
    return 1.4826 * float(np.median(np.abs(kl - smooth[which])[shared]))


def figure(run: Run) -> Figure:
    """Two panels over one logarithmic axis: −ELBO with its reconstruction part, and the KL."""
    if "kl" not in run.history:
        return _terms(run)
    step = np.asarray(run.history["step"], dtype=np.float64)
    kl = np.asarray(run.history["kl"], dtype=np.float64)
    turn = turning_point(step, kl)
    drawing = page(
        9.6,
        6.3,
        _headline(run.history, turn),
        "Nats per datum of each training batch against iterations on a logarithmic axis: pale, "
        "every step; strong, means over equal slices of the axis. The total is −ELBO = "
        "reconstruction + KL.",
        run.name,
    )
    upper, lower = drawing.subplots(2, 1, sharex=True, height_ratios=[1.15, 1])
    validation: Mapping[str, Any] = run.history.get("validation") or {}
    total = -np.asarray(run.history["elbo"], dtype=np.float64)
    reconstruction = -np.asarray(run.history["reconstruction"], dtype=np.float64)
    _curve(upper, step, reconstruction, GREEN, "reconstruction  −E log p(x|z)")
    _curve(upper, step, total, INK, "total  −ELBO")
    _curve(lower, step, kl, BLUE, "KL(q(z|x) ‖ p(z))")
    if len(validation.get("step", ())):
        _validation(upper, validation, "elbo", -1.0)
        _validation(lower, validation, "kl", 1.0)
    low = min(np.nanmin(reconstruction), np.nanmin(total))
    if low > 0 and np.nanmax(total) > LOGARITHMIC_FROM * low:
        _logarithmic(upper)
    if turn is not None:
        _mark(upper, lower, step, kl, turn)
    _finish(upper, lower)
    return drawing


def _terms(run: Run) -> Figure:
    """Of an objective without a bound: the loss, and a panel for each of its terms."""
    names = [
        name
        for name, value in run.history.items()
        if name not in ("validation", "kl_per_latent", "step") and len(value)
    ]
    step = np.asarray(run.history["step"], dtype=np.float64)
    curves = {"loss": np.asarray(run.history["loss"], dtype=np.float64)}
    curves |= readable({n: np.asarray(run.history[n], np.float64) for n in names})
    checked = dict(run.history.get("validation") or {})
    marks = {**readable(checked), **{name: checked[name] for name in ("loss",) if name in checked}}
    tenth = max(1, len(step) // 10)
    falls = np.nanmean(curves["loss"][-tenth:]) < np.nanmean(curves["loss"][:tenth])
    drawing = page(
        9.6,
        0.9 + 1.75 * len(curves),
        "The loss falls" if falls else "The loss does not fall",
        "What is minimised, and its terms, against iterations on a logarithmic axis: pale, every "
        "step; strong, means over equal slices of the axis. It is no bound on log p(x).",
        run.name,
    )
    panels = np.atleast_1d(drawing.subplots(len(curves), 1, sharex=True))
    colours = [INK, GREEN, BLUE, MUTED]
    for number, (axes, (name, values)) in enumerate(zip(panels, curves.items(), strict=True)):
        _curve(axes, step, values, colours[min(number, len(colours) - 1)], name)
        if marks.get(name) is not None:
            _validation(axes, {"step": checked["step"], "value": marks[name]}, "value", 1.0)
        axes.set_title(name)
        grid(axes, "y")
        axes.margins(x=0.01)
    _iterations(panels[-1])
    return drawing


def _headline(history: Mapping[str, Any], turn: int | None) -> str:
    total = -np.asarray(history["elbo"], dtype=np.float64)
    tenth = max(1, len(total) // 10)
    falls = np.nanmean(total[-tenth:]) < np.nanmean(total[:tenth])
    if turn is None:
        return "The total loss falls" if falls else "The total loss does not fall"
    if _rise(history, turn) < RISE:
        return "Reconstruction and KL while training"
    return f"The KL turns at step {turn:,} and rises" + (
        " while the total goes on falling" if falls else ""
    )


def _rise(history: Mapping[str, Any], turn: int) -> float:
    """Nats from the turning point to the highest bin after it."""
    middle, smooth = _smooth(np.asarray(history["step"]), np.asarray(history["kl"]))
    at = int(np.argmin(np.abs(middle - turn)))
    return float(smooth[at:].max() - smooth[at])


def _curve(axes: Axes, step: np.ndarray, value: np.ndarray, colour: str, label: str) -> None:
    usable = np.isfinite(value) & (step > 0)
    if not usable.any():
        return
    axes.plot(step[usable], value[usable], color=colour, alpha=0.22, lw=0.8, rasterized=True)
    axes.plot(*_smooth(step, value), color=colour, lw=2, label=label)


def _validation(axes: Axes, validation: Mapping[str, Any], key: str, sign: float) -> None:
    values = sign * np.asarray(validation[key], dtype=np.float64)
    look = {"marker": "o", "ms": 5, "mfc": "white", "mec": ORANGE, "mew": 1.6}
    axes.plot(validation["step"], values, ls="none", label="validation", zorder=5, **look)


def _logarithmic(axes: Axes) -> None:
    axes.set_yscale("log")
    ticks = [t * 10.0**power for power in range(-2, 6) for t in (1, 2, 3, 5, 7)]
    low, high = axes.get_ylim()
    axes.set_yticks([tick for tick in ticks if low <= tick <= high])
    number_ticks(axes.yaxis, ",g")
    axes.tick_params(axis="y", which="minor", left=False)


def _mark(upper: Axes, lower: Axes, step: np.ndarray, kl: np.ndarray, turn: int) -> None:
    for axes in (upper, lower):
        axes.axvline(turn, color=MUTED, lw=1, ls=DASHED, zorder=1)
    middle, smooth = _smooth(step, kl)
    value = float(np.interp(turn, middle, smooth))
    lower.plot(turn, value, marker="o", ms=8, mfc=BLUE, mec="white", mew=1.5, zorder=6)
    late = np.log(turn) > 0.6 * np.log(step[-1])
    words = f"turning point:\nstep {turn:,}, {value:{'.2g' if abs(value) < 0.1 else '.1f'}} nats"
    look = {"va": "center", "size": 10, "linespacing": 1.4, "path_effects": outline(3.0)}
    shift, side = (-8 if late else 8, 0), "right" if late else "left"
    beside(lower, words, (turn, 0.62), shift, xycoords=("data", "axes fraction"), ha=side, **look)


def _iterations(axes: Axes) -> None:
    axes.set_xscale("log")
    number_ticks(axes.xaxis)
    axes.set_xlabel("iteration")


def _finish(upper: Axes, lower: Axes) -> None:
    _iterations(lower)
    upper.set_ylabel("nats per datum")
    lower.set_ylabel("nats per datum")
    lower.set_ylim(bottom=min(0.0, lower.get_ylim()[0]) if lower.get_ylim()[0] < 0 else 0.0)
    for axes in (upper, lower):
        grid(axes, "y")
        axes.margins(x=0.01)
        # Above the turning point's rule (1), which would strike the words; below the curves (2).
        frame = {"frameon": True, "framealpha": 0.92, "facecolor": "white", "edgecolor": "none"}
        axes.legend(loc="upper right", **frame).set_zorder(1.5)
