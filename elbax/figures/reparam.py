"""The reparameterisation, drawn: where the gradient stops, and how it gets through."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse, FancyArrowPatch, FancyBboxPatch, Polygon

from elbax.figures.drawing.style import BLUE, INK, MUTED, ORANGE, RED, Place, page
from elbax.run.run import Run

WIDTH, HEIGHT = 10.6, 7.1

# Heights of the layers, in inches from the bottom; data flow down, gradients flow up.
X, ENCODER, PARAMETERS, LATENT, DECODER, LOSS = 6.25, 5.15, 4.0, 2.8, 1.62, 0.55

PALE_BLUE, PALE_ORANGE, PALE_GREY = "#e3f0f8", "#fdf0d2", "#f1f3f5"
DASHES = (0, (4, 2))


def figure(run: Run) -> Figure:  # noqa: ARG001
    """Two diagrams side by side on one sheet, in inches."""
    drawing = page(
        WIDTH,
        HEIGHT + 0.4,
        "Moving the noise to the input lets the gradient through",
        "Data flow down (grey), gradients of the reconstruction loss flow up (red). A random draw "
        "has no derivative with respect to the distribution it is drawn from; a sum and a product "
        "have.",
    )
    axes = drawing.subplots()
    axes.set(xlim=(0, WIDTH), ylim=(-0.4, HEIGHT), aspect="equal")
    axes.set_axis_off()
    axes.plot([WIDTH / 2] * 2, [0.2, HEIGHT], color="#e1e5ea", lw=1)
    _sampling(axes, 2.45)
    _reparameterised(axes, WIDTH / 2 + 2.1)
    _legend(axes)
    return drawing


def _sampling(axes: Axes, centre: float) -> None:
    """Left: the draw stands between the decoder and the encoder."""
    _heading(axes, centre, "sampling inside the network")
    _shared(axes, centre)
    _ellipse(axes, centre, LATENT, 2.5, r"$z \sim \mathcal{N}(\mu(x), \Sigma(x))$")
    # Data go down either arm; the gradient's way up ends at the draw.
    for side in (-0.75, 0.75):
        low, high = centre + side * 0.72, centre + side
        _forward(axes, (high + 0.13, PARAMETERS - 0.28), (low + 0.13, LATENT + 0.29))
        ends = [low - 0.13, high - 0.13], [LATENT + 0.36, PARAMETERS - 0.34]
        axes.plot(*ends, color=RED, alpha=0.75, lw=2, ls=(0, (1, 1.6)))
        axes.plot(low - 0.1, LATENT + 0.47, marker="X", ms=14, mfc=RED, mec="white", zorder=6)
    _backward(axes, (centre - 0.16, DECODER + 0.34), (centre - 0.16, LATENT - 0.35))
    blocked = "blocked:\na draw has no\nderivative"
    _remark(axes, centre + 1.42, LATENT + 0.02, blocked, weight="bold")
    _remark(axes, centre - 1.22, ENCODER - 0.02, "no gradient\narrives here", ha="right")


def _reparameterised(axes: Axes, centre: float) -> None:
    """Right: the draw is an input, and the path from the loss to the encoder is differentiable."""
    _heading(axes, centre, "noise moved to the input")
    _shared(axes, centre)
    noise = centre + 2.2
    _ellipse(axes, noise, X, 1.75, r"$\varepsilon \sim \mathcal{N}(0, I)$")
    _box(
        axes, centre, LATENT, 2.75, r"$z = \mu(x) + \Sigma(x)^{1/2}\,\varepsilon$", BLUE, PALE_BLUE
    )
    for side in (-0.75, 0.75):
        low, high = centre + side * 0.9, centre + side
        _forward(axes, (high + 0.1, PARAMETERS - 0.28), (low + 0.1, LATENT + 0.3))
        _backward(axes, (low - 0.1, LATENT + 0.3), (high - 0.1, PARAMETERS - 0.3))
        _backward(
            axes,
            (centre + side * 0.72 - 0.12, PARAMETERS + 0.3),
            (centre + side * 0.42 - 0.12, ENCODER - 0.34),
        )
    _backward(axes, (centre - 0.16, DECODER + 0.34), (centre - 0.16, LATENT - 0.3))
    elbow: dict[str, Any] = {"connectionstyle": "angle,angleA=-90,angleB=0,rad=8", "zorder": 1}
    _forward(axes, (noise, X - 0.32), (centre + 1.42, LATENT), **elbow)
    _remark(axes, centre - 1.22, ENCODER - 0.02, "gradient\narrives", ha="right")


def _shared(axes: Axes, centre: float) -> None:
    """What the two diagrams have in common: everything but the way from μ and Σ to z."""
    _box(axes, centre, X, 1.0, r"$x$", MUTED, PALE_GREY)
    _network(axes, centre, ENCODER, r"encoder", narrow_below=True)
    _box(axes, centre - 0.75, PARAMETERS, 1.15, r"$\mu(x)$", BLUE, PALE_BLUE)
    _box(axes, centre + 0.75, PARAMETERS, 1.15, r"$\Sigma(x)$", BLUE, PALE_BLUE)
    _network(axes, centre, DECODER, r"decoder", narrow_below=False)
    _box(axes, centre, LOSS, 2.5, r"loss:  $-\log\, p(x\,|\,z)$", INK, "white")
    _forward(axes, (centre, X - 0.28), (centre, ENCODER + 0.34))
    for side in (-0.75, 0.75):
        shift = 0.1 if side > 0 else 0.08
        _forward(
            axes,
            (centre + side * 0.42 + shift, ENCODER - 0.34),
            (centre + side * 0.72 + shift, PARAMETERS + 0.28),
        )
    _forward(axes, (centre + 0.16, LATENT - 0.325), (centre + 0.16, DECODER + 0.34))
    _forward(axes, (centre + 0.16, DECODER - 0.34), (centre + 0.16, LOSS + 0.28))
    _backward(axes, (centre - 0.16, LOSS + 0.28), (centre - 0.16, DECODER - 0.36))


def _heading(axes: Axes, centre: float, words: str) -> None:
    left = centre - 2.25 if centre < WIDTH / 2 else WIDTH / 2 + 0.2
    axes.text(left, HEIGHT - 0.02, words, size=12, weight="bold", va="top", ha="left")


def _remark(axes: Axes, x: float, y: float, words: str, **how: Any) -> None:
    axes.text(x, y, words, color=RED, size=10, va="center", linespacing=1.25, **how)


def _box(axes: Axes, x: float, y: float, width: float, words: str, edge: str, face: str) -> None:
    look: dict[str, Any] = {
        "boxstyle": "round,pad=0,rounding_size=0.1",
        "facecolor": face,
        "edgecolor": edge,
    }
    axes.add_patch(FancyBboxPatch((x - width / 2, y - 0.27), width, 0.54, lw=1.4, zorder=3, **look))
    _inside(axes, x, y, words)


def _ellipse(axes: Axes, x: float, y: float, width: float, words: str) -> None:
    look: dict[str, Any] = {"facecolor": PALE_ORANGE, "edgecolor": ORANGE, "ls": DASHES}
    axes.add_patch(Ellipse((x, y), width, 0.64, lw=1.8, zorder=3, **look))
    _inside(axes, x, y, words)


def _network(axes: Axes, x: float, y: float, words: str, *, narrow_below: bool) -> None:
    wide, narrow, half = 1.1, 0.72, 0.32
    top, bottom = (wide, narrow) if narrow_below else (narrow, wide)
    ends = ((-top, half), (top, half), (bottom, -half), (-bottom, -half))
    corners = [(x + across, y + up) for across, up in ends]
    look: dict[str, Any] = {"facecolor": BLUE, "edgecolor": BLUE, "lw": 1.4, "joinstyle": "round"}
    axes.add_patch(Polygon(corners, closed=True, zorder=3, **look))
    _inside(axes, x, y, words, color="white", weight="bold")


def _inside(axes: Axes, x: float, y: float, words: str, **how: Any) -> None:
    axes.text(x, y - 0.01, words, ha="center", va="center", size=12, zorder=4, **how)


def _forward(axes: Axes, start: Place, end: Place, **how: Any) -> None:
    _arrow(axes, start, end, color=MUTED, lw=1.7, **how)


def _backward(axes: Axes, start: Place, end: Place) -> None:
    _arrow(axes, start, end, color=RED, lw=2.3)


def _arrow(axes: Axes, start: Place, end: Place, **how: Any) -> None:
    look: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 15, "zorder": 5, **how}
    axes.add_patch(FancyArrowPatch(start, end, shrinkA=0, shrinkB=0, **look))


def _legend(axes: Axes) -> None:
    def sign(marker: str, face: str, edge: str, label: str) -> Line2D:
        return Line2D([], [], color="none", marker=marker, ms=12, mfc=face, mec=edge, label=label)

    handles = [
        Line2D([], [], color=MUTED, lw=1.7, label="forward"),
        Line2D([], [], color=RED, lw=2.3, label="backward (gradient)"),
        sign("s", PALE_BLUE, BLUE, "differentiable"),
        sign("o", PALE_ORANGE, ORANGE, "random"),
    ]
    place = {"loc": "lower center", "bbox_to_anchor": (0.5, -0.02)}
    axes.legend(handles=handles, ncols=4, handletextpad=0.6, columnspacing=2.4, **place)
