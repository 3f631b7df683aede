"""Vectors side by side: each datum a line of a heat map."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from elbax.figures.drawing.style import page

LIMIT = 2.5  # standard deviations at the ends of the colour scale


def heat(axes: Axes, table: np.ndarray, **how: Any) -> AxesImage:
    """A table of standard deviations as colours."""
    how |= {"aspect": "auto", "cmap": "RdBu_r", "interpolation": "nearest"}
    return axes.imshow(table, vmin=-LIMIT, vmax=LIMIT, **how)


def colour_scale(drawing: Figure, panels: Iterable[Axes], shown: AxesImage, shrink: float) -> None:
    """What the colours of `heat` mean, beside the panels."""
    words: dict[str, Any] = {"label": "standard deviations", "extend": "both"}
    drawing.colorbar(shown, ax=list(panels), shrink=shrink, pad=0.02, **words)


def heat_rows(tables: Mapping[str, np.ndarray], title: str, subtitle: str, corner: str) -> Figure:
    """One panel per table (n, features) with a common colour scale in standard deviations."""
    drawing = page(10.2, 5.2, title, subtitle, corner)
    panels = np.atleast_1d(drawing.subplots(1, len(tables), sharey=True))
    shown = None
    for axes, (name, table) in zip(panels, tables.items(), strict=True):
        shown = heat(axes, table)
        axes.set_title(name)
        axes.set_xlabel("feature")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.tick_params(left=False, labelleft=False)
    if shown is not None:
        colour_scale(drawing, panels, shown, 0.7)
    return drawing
