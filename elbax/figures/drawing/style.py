"""The look that all figures share: colours, type, and a page with a title that cannot collide."""

from __future__ import annotations

import textwrap
from functools import cache
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patheffects import AbstractPathEffect, withStroke
from matplotlib.ticker import FuncFormatter, NullFormatter

from elbax.util.words import minus

INK = "#1b1f24"
MUTED = "#59636e"
LINE = "#c9d1d9"

# Okabe & Ito, "Color Universal Design" (2008): told apart with every common colour blindness.
BLUE = "#0072b2"
SKY = "#56b4e9"
ORANGE = "#e69f00"
GREEN = "#009e73"
RED = "#d1242f"

# P. Tol, "Colour Schemes" (SRON technical note, 2021), "muted"; a dark grey for the tenth.
LABEL_COLOURS = (
    "#cc6677",
    "#332288",
    "#ddcc77",
    "#117733",
    "#88ccee",
    "#882255",
    "#44aa99",
    "#999933",
    "#aa4499",
    "#4d4d4d",
)

DASHED = (0, (4, 3))

Place = tuple[Any, Any]  # x and y, numbers of any kind

DPI = 120
TITLE_INCHES = 0.46
SUBTITLE_INCHES = 0.21

RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10.5,
    "mathtext.fontset": "dejavusans",
    "text.color": INK,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
}


@cache
def _glyphs() -> frozenset[int]:
    """The characters that the figures' typeface holds."""
    return frozenset(get_font(findfont(FontProperties(family="DejaVu Sans"))).get_charmap())


def plain(text: str, limit: int = 48) -> str:
    """Somebody's own words made safe to print: one line, known glyphs only, not too long."""
    line = " ".join(text.split())
    line = "".join(letter if ord(letter) in _glyphs() else "?" for letter in line)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def page(width: float, height: float, title: str, subtitle: str, corner: str = "") -> Figure:
    """An empty figure with a headline, a wrapped line or two below it, and a run's name.

    Args:
        width: inches.
        height: inches of the picture proper; the headline's height is added to it.
        title: what one sees, in a few words.
        subtitle: how to read it; wrapped to the width.
        corner: a run's name, printed small at the right of the headline.

    Returns:
        A figure whose constrained layout leaves the headline free.
    """
    lines = textwrap.wrap(subtitle, int(width * 13))
    head = TITLE_INCHES + SUBTITLE_INCHES * len(lines) + 0.06
    total = height + head
    layout = ConstrainedLayoutEngine(
        rect=(0.008, 0.008, 0.984, 1 - head / total - 0.008), w_pad=0.06, h_pad=0.05
    )
    figure = Figure(figsize=(width, total), dpi=DPI, layout=layout)
    FigureCanvasAgg(figure)
    left = 0.12 / width
    figure.text(left, 1 - 0.12 / total, title, size=14, weight="bold", va="top", ha="left")
    for number, line in enumerate(lines):
        y = 1 - (TITLE_INCHES + SUBTITLE_INCHES * number) / total
        figure.text(left, y, line, size=10, color=MUTED, va="top", ha="left", parse_math=False)
    room = int((width - 0.5 - 0.13 * len(title)) / 0.085)  # inches that one letter takes
    if corner and room >= 8:
        y = 1 - 0.17 / total
        name = plain(corner, min(room, 40))
        figure.text(
            1 - left, y, name, size=9.5, color=MUTED, va="top", ha="right", parse_math=False
        )
    return figure


def picture_axes(axes: Axes) -> None:
    """Turn axes into a bare frame for pictures: no ticks, no spines."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def grid(axes: Axes, axis: Literal["x", "y", "both"] = "both") -> None:
    """Grid lines below what is drawn."""
    axes.grid(axis=axis)
    axes.set_axisbelow(True)


def number_ticks(axis: Axis, form: str = ",.0f") -> None:
    """Numbers at the major ticks of an axis, with a true minus, and none at the minor ones."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: minus(f"{value:{form}}")))
    axis.set_minor_formatter(NullFormatter())


def beside(axes: Axes, words: str, at: Place, shift: Place, **how: Any) -> None:
    """Words at a distance, in points, from a place in the data."""
    axes.annotate(words, at, xytext=shift, textcoords="offset points", **how)


def outline(width: float = 2.5) -> list[AbstractPathEffect]:
    """A white rim that keeps text legible on any colour."""
    return [withStroke(linewidth=width, foreground="white")]


def label_colours(count: int) -> np.ndarray:
    """`count` colours as rows of red, green, blue in [0, 1].

    Up to ten come from a scheme that is safe for the colour-blind; more are spread over `turbo`,
    where neighbours resemble each other and the order carries the meaning.
    """
    from matplotlib import colormaps
    from matplotlib.colors import to_rgb

    if count <= len(LABEL_COLOURS):
        return np.array([to_rgb(colour) for colour in LABEL_COLOURS[:count]])
    return colormaps["turbo"](np.linspace(0.04, 0.96, count))[:, :3]
