"""Random held-out data beside their reconstructions."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from elbax import evaluate
from elbax.figures.drawing.heat import heat_rows
from elbax.figures.drawing.style import BLUE, MUTED, page, picture_axes
from elbax.figures.needs import few, held_out
from elbax.model.codes.families import AbstractCodes
from elbax.run.labels import conditioned
from elbax.run.run import Run
from elbax.util.keys import of_seed
from elbax.util.mosaic import (
    about_holes,
    display_range,
    gap_for,
    interleave,
    is_image,
    mosaic,
    order_rows,
    standardise,
    to_rgb,
)

PAIRS, COLUMNS = 100, 20


def figure(run: Run) -> Figure:
    """100 random test data: a sheet of images, or rows of a heat map for vectors."""
    split, which = held_out(run.dataset)
    key = of_seed(run.seed, "figure reconstruct")
    count = min(PAIRS, len(split))
    rows = np.random.default_rng(run.seed).choice(len(split), count, replace=False)
    originals, means = evaluate.reconstruct(run.model, conditioned(run.model, split)[rows], key)
    if is_image(tuple(run.model.shape)):
        return _sheet(run, originals, means, which)
    return _heat(run, originals, means, which)


def rehearse(run: Run) -> None:
    """Compiles what `figure` computes with."""
    rows = conditioned(run.model, few(run.dataset))
    evaluate.reconstruct(run.model, rows, of_seed(run.seed, "figure reconstruct"))


def _latent_in_words(run: Run) -> str:
    """What a datum is rebuilt from: real numbers, or codes."""
    family = getattr(run.model.encoder, "posterior", None)
    count, what = run.model.latent_dim, "number"
    if isinstance(family, AbstractCodes):
        count, what = family.sites * family.depth, "code"
    return f"{count} {what}{'s' * (count > 1)}"


def _sheet(run: Run, originals: np.ndarray, means: np.ndarray, which: str) -> Figure:
    limits = display_range(originals)
    tiles = interleave(to_rgb(means, limits), to_rgb(originals, limits), COLUMNS)
    height, width = tiles.shape[2:4]
    gap = gap_for(height, width)
    image, columns, _ = mosaic(tiles, gap, group=2, group_gap=4 * gap)
    seen = (
        " Each is binarised, as the encoder saw it."
        if run.model.preprocessing.binarize == "dynamic"
        else ""
    ) + about_holes(originals)
    inches = 9.9
    tall = inches * image.shape[0] / image.shape[1] + 0.35
    drawing = page(
        inches + 0.3,
        tall,
        f"{len(originals)} {which} images, each rebuilt from {_latent_in_words(run)}",
        "Columns are counted from 0: an even column is the reconstruction (the mean of p(x|z) at "
        "the mean of q(z|x)), the odd column to its right the original. The images were chosen at "
        "random." + seen,
        run.name,
    )
    axes = drawing.subplots()
    axes.imshow(image)
    picture_axes(axes)
    axes.xaxis.tick_top()
    used = columns[: 2 * len(originals)]
    axes.set_xticks(used, [str(number) for number in range(len(used))])
    axes.tick_params(axis="x", length=0, pad=2)
    for number, label in enumerate(axes.get_xticklabels()):
        label.set_color(BLUE if number % 2 == 0 else MUTED)
        label.set_fontweight("bold" if number % 2 == 0 else "normal")
    return drawing


def _heat(run: Run, originals: np.ndarray, means: np.ndarray, which: str) -> Figure:
    table, reconstruction = standardise(originals, originals, means)
    order = order_rows(table)
    return heat_rows(
        {
            "original": table[order],
            "reconstruction": reconstruction[order],
            "reconstruction − original": (reconstruction - table)[order],
        },
        f"{len(table)} {which} rows, their reconstructions and what is missing",
        "Each line is one row, each column one feature in standard deviations from its mean; like "
        "rows stand together. The reconstruction is the mean of p(x|z) at the mean of q(z|x).",
        run.name,
    )
