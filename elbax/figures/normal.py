"""A deterministic map turns normal samples into another distribution."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from elbax.figures.drawing.style import MUTED, page
from elbax.run.run import Run

SAMPLES = 1500


def ring(z: np.ndarray) -> np.ndarray:
    """z/10 + z/‖z‖ of every row of z (n, 2): a blob becomes a ring.

    Doersch (2016), "Tutorial on Variational Autoencoders", figure 2. The origin, where the map has
    no value, stays where it is; a sample hits it with probability zero.
    """
    length = np.linalg.norm(z, axis=-1, keepdims=True)
    return z / 10 + z / np.where(length > 0, length, 1.0)


def figure(run: Run) -> Figure:
    """Before and after, each sample in the same colour on both sides."""
    z = np.random.default_rng(run.seed).standard_normal((SAMPLES, 2))
    length = np.linalg.norm(z, axis=1)
    drawing = page(
        9.6,
        4.1,
        "A fixed map turns a normal distribution into a ring",
        "Each of 1,500 samples keeps its colour, which is its distance from the origin before the "
        "map. Nothing random happens between the two pictures.",
    )
    left, middle, right = drawing.subplots(1, 3, width_ratios=[1, 0.32, 1])
    for axes, points, limit, title in (
        (left, z, 4.0, r"before:  $z \sim \mathcal{N}(0, I)$"),
        (right, ring(z), 1.62, r"after:  $g(z)$"),
    ):
        axes.scatter(*points.T, c=length, cmap="viridis", vmin=0, vmax=3.2, s=9, linewidths=0)
        axes.set(aspect="equal", xlim=(-limit, limit), ylim=(-limit, limit))
        axes.set_title(title)
    left.set_xticks(range(-4, 5, 2))
    left.set_yticks(range(-4, 5, 2))
    right.set_xticks(range(-1, 2))
    right.set_yticks(range(-1, 2))
    middle.set_axis_off()
    middle.set(xlim=(0, 1), ylim=(0, 1))
    arrow = {"arrowstyle": "-|>", "color": MUTED, "lw": 1.8, "mutation_scale": 18}
    middle.annotate("", (1.0, 0.5), (0.0, 0.5), arrowprops=arrow)
    formula = r"$g(z) = \dfrac{z}{10} + \dfrac{z}{\Vert z \Vert}$"
    middle.text(0.5, 0.56, formula, ha="center", va="bottom", size=12.5)
    return drawing
