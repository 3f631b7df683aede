"""Vectors side by side: each datum a line of a heat map."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from elbax.figures.drawing.style import page

LIMIT = 2.5  # standard deviations at the ends of the colour scale


def heat_rows(tables: Mapping[str, np.ndarray], title: str, subtitle: str, corner: str) -> Figure:
    """One panel per table (n, features) with a common colour scale in standard deviations."""
    drawing = page(10.2, 5.2, title, subtitle, corner)
    panels = np.atleast_1d(drawing.subplots(1, len(tables), sharey=True))
    shown = None
    for axes, (name, table) in zip(panels, tables.items(), strict=True):
        shown = axes.imshow(
            table, aspect="auto", cmap="RdBu_r", vmin=-LIMIT, vmax=LIMIT, interpolation="nearest"
        )
        axes.set_title(name)
        axes.set_xlabel("feature")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.tick_params(left=False, labelleft=False)
    if shown is not None:
        drawing.colorbar(
            shown, ax=list(panels), label="standard deviations", shrink=0.7, pad=0.02, extend="both"
        )
    return drawing
