"""Generated data and the training data nearest to them: has the model learned, or memorised?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from elbax.evaluate import generate, preprocess
from elbax.evaluate.samples.neighbours import nearest
from elbax.figures.drawing.heat import heat
from elbax.figures.drawing.style import (
    BLUE,
    DASHED,
    INK,
    MUTED,
    ORANGE,
    beside,
    grid,
    page,
    picture_axes,
)
from elbax.figures.needs import FigureUnavailable, held_out
from elbax.run.labels import to_generate
from elbax.run.run import Run
from elbax.util.keys import of_seed
from elbax.util.mosaic import display_range, gap_for, is_image, lay_out, mosaic, standardise, to_rgb

SHOWN, NEIGHBOURS = 8, 6  # samples on the sheet, and training rows beside each
COMPARED = 300  # samples, and held-out rows, in the histogram
SEARCHED = 20_000  # training rows searched: a second, and 60 MB, for MNIST
BINS = 28


@dataclass(frozen=True)
class Neighbours:
    """Samples, what they resemble, and how close.

    Attributes:
        samples: (n, *shape) means of p(x|z) at draws from the prior.
        neighbours: (shown, k, *shape) the training rows nearest to the first samples.
        of_samples: (n,) distance from each sample to the nearest training row.
        of_held_out: (m,) the same for held-out rows.
        searched: How many training rows were searched.
    """

    samples: np.ndarray
    neighbours: np.ndarray
    of_samples: np.ndarray
    of_held_out: np.ndarray
    searched: int


def figure(run: Run) -> Figure:
    """A sheet of samples with their neighbours, and the histograms of both distances."""
    found = find(run)
    which = held_out(run.dataset)[1]
    first = "" if found.searched == len(run.dataset.train) else "first "
    values = "values as they are modelled" if run.dataset.columns else "raw values"
    explained = (
        "A sample is the mean of p(x|z) at a z from the prior; nearest is by Euclidean distance "
        f"between {values}, among the {first}{found.searched:,} training rows. A model that "
        f"memorises puts its samples far closer to them than new ({which}) rows lie."
    )
    images = is_image(tuple(run.model.shape))
    drawing = page(10.2, 4.9, "Samples, and the training data nearest to them", explained, run.name)
    if images:
        left, right = drawing.subplots(1, 2, width_ratios=[0.92, 1])
        _sheet(left, found)
    else:
        left, middle, right = drawing.subplots(1, 3, width_ratios=[0.7, 0.7, 1.3])
        _heat(left, middle, found)
    _histogram(right, found, which)
    return drawing


def find(run: Run) -> Neighbours:
    """Samples from the prior and the training rows nearest to them, in the space of raw values."""
    model, (held, _) = run.model, held_out(run.dataset)
    real, new = _whole(run.dataset.train.x)[:SEARCHED], _whole(held.x)[:COMPARED]
    if not (len(real) and len(new)):
        which = "held-out" if len(real) else "training"
        raise FigureUnavailable(
            f"nearest compares whole rows, and every {which} row of these data has missing cells"
        )
    real, new = preprocess(model, real), preprocess(model, new)
    key = of_seed(run.seed, "figure nearest")
    samples, _ = generate(model, COMPARED, key, condition=to_generate(model, COMPARED))
    wanted = np.concatenate([_flat(samples), _flat(new)])
    near, distances = nearest(_flat(real), wanted, min(NEIGHBOURS, len(real)))
    of_samples, of_new = np.split(distances[:, 0], [len(samples)])
    return Neighbours(samples, real[near[:SHOWN]], of_samples, of_new, len(real))


def _whole(rows: np.ndarray) -> np.ndarray:
    """The rows without missing cells."""
    if rows.dtype == np.uint8:
        return rows
    return rows[~np.isnan(rows.reshape(len(rows), -1)).any(axis=1)]


def _flat(rows: np.ndarray) -> np.ndarray:
    return rows.reshape(len(rows), -1)


def _sheet(axes: Axes, found: Neighbours) -> None:
    shown = np.concatenate([found.samples[:SHOWN, None], found.neighbours], axis=1)
    count, columns = shown.shape[:2]
    limits = display_range(found.neighbours)
    tiles = lay_out(to_rgb(shown.reshape(count * columns, *shown.shape[2:]), limits), columns)
    height, width = tiles.shape[2:4]
    gap = gap_for(height, width)
    # The first column stands apart.
    image, _, _ = mosaic(tiles, gap)
    sample, rest = image[:, :width], image[:, width + gap :]
    white = np.ones((image.shape[0], max(6 * gap, width // 3), 3), np.float32)
    axes.imshow(np.concatenate([sample, white, rest], axis=1), interpolation="nearest")
    picture_axes(axes)
    axes.set_anchor("N")
    start = width + white.shape[1]
    for x, name, colour in ((0, "sample", BLUE), (start, "nearest training data, in order", INK)):
        weight = "bold" if colour == BLUE else "normal"
        how = {"color": colour, "size": 10, "weight": weight, "annotation_clip": False}
        beside(axes, name, (x, 0), (0, 6), **how)


def _heat(left: Axes, middle: Axes, found: Neighbours) -> None:
    """For vectors: each line a sample, and on the right the training row nearest to it."""
    near = found.neighbours[:, 0]
    everything = np.concatenate([found.samples, near])
    tables = standardise(everything, found.samples[:SHOWN], near)
    for axes, table, name in zip(
        (left, middle), tables, ("samples", "nearest training row"), strict=True
    ):
        heat(axes, table)
        axes.set_title(name)
        axes.set_xlabel("feature")
        axes.set_yticks([])
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))


def _histogram(axes: Axes, found: Neighbours, which: str) -> None:
    both = np.concatenate([found.of_samples, found.of_held_out])
    high = max(float(both.max()), 1e-12) * 1.02
    edges = np.linspace(0.0, high, BINS + 1)
    highest = 0.0
    for values, colour, name in (
        (found.of_held_out, ORANGE, f"{which} rows"),
        (found.of_samples, BLUE, "samples"),
    ):
        shares, _ = np.histogram(values, edges)
        shares = shares / len(values)
        highest = max(highest, float(shares.max()))
        axes.stairs(shares, edges, fill=True, color=colour, alpha=0.28)
        axes.stairs(shares, edges, color=colour, linewidth=1.8, label=f"{len(values):,} {name}")
        axes.axvline(float(np.median(values)), color=colour, linewidth=1.2, linestyle=DASHED)
    axes.set_xlim(0, high)
    axes.set_ylim(0, highest * 1.18)
    axes.set_title("distance to the nearest training row")
    axes.set_xlabel("Euclidean distance (dashed: medians)")
    axes.set_ylabel("share of rows")
    grid(axes, "y")
    axes.tick_params(labelsize=9, colors=MUTED)
    axes.legend(loc="upper left", handlelength=1.2)
