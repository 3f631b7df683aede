"""How often each code is chosen, level by level."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from elbax.evaluate.latents.usage import code_use
from elbax.figures.drawing.style import BLUE, DASHED, RED, grid, page
from elbax.figures.needs import held_out
from elbax.run.labels import conditioned
from elbax.run.run import Run
from elbax.util.keys import of_seed

ROWS = 2000


def figure(run: Run) -> Figure:
    """The share of each code, most chosen first, and what it would be if all were chosen alike."""
    split, which = held_out(run.dataset)
    rows = conditioned(run.model, split)[:ROWS]
    use = code_use(run.model, rows, key=of_seed(run.seed, "figure code use"))
    depth, count = use.counts.shape
    each = f" on each of {depth} levels" if depth > 1 else ""
    drawing = page(
        9.8,
        1.6 + 2.1 * depth,
        f"{', '.join(map(str, use.used))} of {count:,} codes are used{each}",
        f"By {len(rows):,} {which} rows, {use.counts[0].sum():,} choices a level. The perplexity "
        "is exp of the entropy of use: as many codes as there would be if all of them were chosen "
        "alike (dashed).",
        run.name,
    )
    panels = drawing.subplots(depth, 1, sharex=True, squeeze=False)[:, 0]
    for level, axes in enumerate(panels):
        shares = np.sort(use.counts[level])[::-1] / use.counts[level].sum()
        axes.fill_between(np.arange(count + 1), np.append(shares, 0.0), step="post", color=BLUE)
        axes.axhline(1 / count, color=RED, linewidth=1.2, linestyle=DASHED)
        axes.set_xlim(0, count)
        axes.set_ylim(0)
        axes.set_ylabel("share")
        name = f"level {level + 1}: " if depth > 1 else ""
        axes.set_title(f"{name}perplexity {use.perplexity[level]:.1f} of {count:,}")
        grid(axes, "y")
    panels[-1].set_xlabel("codes, most chosen first")
    return drawing
