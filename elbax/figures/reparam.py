"""The reparameterisation, drawn: where the gradient stops, and how it gets through."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse, FancyArrowPatch, FancyBboxPatch, Polygon

from elbax.figures.drawing.style import BLUE, INK, MUTED, ORANGE, RED, page
from elbax.run.run import Run

WIDTH, HEIGHT = 10.6, 7.1

# Heights of the layers, in inches from the bottom; data flow down, gradients flow up.
X, ENCODER, PARAMETERS, LATENT, DECODER, LOSS = 6.25, 5.15, 4.0, 2.8, 1.62, 0.55

PALE_BLUE, PALE_ORANGE, PALE_GREY = "#e3f0f8", "#fdf0d2", "#f1f3f5"


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
        axes.plot(
            [low - 0.13, high - 0.13],
            [LATENT + 0.36, PARAMETERS - 0.34],
            color=RED,
            alpha=0.75,
            lw=2,
            ls=(0, (1, 1.6)),
        )
        axes.plot(low - 0.1, LATENT + 0.47, marker="X", ms=14, mfc=RED, mec="white", zorder=6)
    _backward(axes, (centre - 0.16, DECODER + 0.34), (centre - 0.16, LATENT - 0.35))
    axes.text(
        centre + 1.42,
        LATENT + 0.02,
        "blocked:\na draw has no\nderivative",
        color=RED,
        size=10,
        va="center",
        weight="bold",
        linespacing=1.25,
    )
    axes.text(
        centre - 1.22,
        ENCODER - 0.02,
        "no gradient\narrives here",
        color=RED,
        size=10,
        va="center",
        ha="right",
        linespacing=1.25,
    )


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
    elbow = FancyArrowPatch(
        (noise, X - 0.32),
        (centre + 1.42, LATENT),
        connectionstyle="angle,angleA=-90,angleB=0,rad=8",
        arrowstyle="-|>",
        mutation_scale=15,
        color=MUTED,
        lw=1.7,
        shrinkA=0,
        shrinkB=0,
    )
    axes.add_patch(elbow)
    axes.text(
        centre - 1.22,
        ENCODER - 0.02,
        "gradient\narrives",
        color=RED,
        size=10,
        va="center",
        ha="right",
        linespacing=1.25,
    )


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


def _box(axes: Axes, x: float, y: float, width: float, words: str, edge: str, face: str) -> None:
    axes.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - 0.27),
            width,
            0.54,
            boxstyle="round,pad=0,rounding_size=0.1",
            facecolor=face,
            edgecolor=edge,
            lw=1.4,
            zorder=3,
        )
    )
    axes.text(x, y - 0.01, words, ha="center", va="center", size=12, zorder=4)


def _ellipse(axes: Axes, x: float, y: float, width: float, words: str) -> None:
    axes.add_patch(
        Ellipse(
            (x, y),
            width,
            0.64,
            facecolor=PALE_ORANGE,
            edgecolor=ORANGE,
            lw=1.8,
            ls=(0, (4, 2)),
            zorder=3,
        )
    )
    axes.text(x, y - 0.01, words, ha="center", va="center", size=12, zorder=4)


def _network(axes: Axes, x: float, y: float, words: str, *, narrow_below: bool) -> None:
    wide, narrow, half = 1.1, 0.72, 0.32
    top, bottom = (wide, narrow) if narrow_below else (narrow, wide)
    corners = [
        (x - top, y + half),
        (x + top, y + half),
        (x + bottom, y - half),
        (x - bottom, y - half),
    ]
    axes.add_patch(
        Polygon(
            corners,
            closed=True,
            facecolor=BLUE,
            edgecolor=BLUE,
            lw=1.4,
            joinstyle="round",
            zorder=3,
        )
    )
    axes.text(
        x,
        y - 0.01,
        words,
        ha="center",
        va="center",
        size=12,
        color="white",
        weight="bold",
        zorder=4,
    )


def _forward(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    _arrow(axes, start, end, MUTED, "-", 1.7)


def _backward(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    _arrow(axes, start, end, RED, "-", 2.3)


def _arrow(
    axes: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    colour: str,
    style: str,
    width: float,
) -> None:
    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=15,
            color=colour,
            lw=width,
            ls=style,
            shrinkA=0,
            shrinkB=0,
            zorder=5,
        )
    )


def _legend(axes: Axes) -> None:
    handles = [
        Line2D([], [], color=MUTED, lw=1.7, label="forward"),
        Line2D([], [], color=RED, lw=2.3, label="backward (gradient)"),
        Line2D(
            [], [], color="none", marker="s", ms=12, mfc=PALE_BLUE, mec=BLUE, label="differentiable"
        ),
        Line2D(
            [], [], color="none", marker="o", ms=12, mfc=PALE_ORANGE, mec=ORANGE, label="random"
        ),
    ]
    axes.legend(
        handles=handles,
        loc="lower center",
        ncols=4,
        bbox_to_anchor=(0.5, -0.02),
        handletextpad=0.6,
        columnspacing=2.4,
    )
