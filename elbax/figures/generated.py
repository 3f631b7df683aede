"""New data: latents from the prior, decoded."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from elbax.evaluate import generate, preprocess
from elbax.figures.drawing.heat import heat_rows
from elbax.figures.drawing.style import page, picture_axes
from elbax.figures.needs import few, held_out
from elbax.run.labels import to_generate
from elbax.run.run import Run
from elbax.util.keys import of_seed
from elbax.util.mosaic import (
    display_range,
    gap_for,
    is_image,
    lay_out,
    mosaic,
    order_rows,
    standardise,
    to_rgb,
)

SIDE = 10


def figure(run: Run) -> Figure:
    """100 latents from the prior: the mean of p(x|z), and a draw from it."""
    key = of_seed(run.seed, "figure generated")
    condition = to_generate(run.model, SIDE * SIDE)
    means, draws = (
        generate(run.model, SIDE * SIDE, key, draw=draw, condition=condition)[0]
        for draw in (False, True)
    )
    split, which = held_out(run.dataset)
    real = preprocess(run.model, split.x[:200])
    if is_image(tuple(run.model.shape)):
        return _sheets(run, means, draws, display_range(real))
    return _heat(run, means, draws, real, which)


def rehearse(run: Run) -> None:
    """Compiles what `figure` computes with."""
    condition, key = to_generate(run.model, 1), of_seed(run.seed, "figure generated")
    for draw in (False, True):
        generate(run.model, 1, key, draw=draw, condition=condition)
    preprocess(run.model, few(run.dataset).x)


def _sheets(run: Run, means: np.ndarray, draws: np.ndarray, limits: tuple[float, float]) -> Figure:
    images = []
    for batch in (means, draws):
        tiles = lay_out(to_rgb(batch, limits), SIDE)
        images.append(mosaic(tiles, gap_for(*tiles.shape[2:4]))[0])
    aspect = images[0].shape[0] / images[0].shape[1]
    inches = min(4.75, 6.5 / aspect)
    tall = inches * aspect + 0.35
    drawing = page(
        max(7.5, 2 * inches + 0.45),
        tall,
        "100 images that nobody drew",
        _from(run)
        + " Left: the mean of p(x|z), the decoder's best guess. Right: a draw from p(x|z) at the "
        "same z; every pixel is drawn by itself, hence the grain.",
        run.name,
    )
    for axes, image, title in zip(
        drawing.subplots(1, 2), images, ("the mean of p(x|z)", "a draw from p(x|z)"), strict=True
    ):
        axes.imshow(image)
        axes.set_title(title)
        picture_axes(axes)
    return drawing


def _from(run: Run) -> str:
    classes = run.model.condition_dim
    if classes == 0:
        return "Each z is drawn from the prior."
    each = "each column has another" if SIDE % classes == 0 else "one after the other"
    return f"Each z is drawn from the prior, and the decoder is conditioned on a label: {each}."


def _heat(run: Run, means: np.ndarray, draws: np.ndarray, real: np.ndarray, which: str) -> Figure:
    mean, draw, data = standardise(real, means, draws, real[: SIDE * SIDE])
    order = order_rows(mean)
    return heat_rows(
        {
            "the mean of p(x|z)": mean[order],
            "a draw from p(x|z)": draw[order],
            f"{which} rows, to compare": data[order_rows(data)],
        },
        "100 rows from the prior",
        "Each line is one row, each column one feature in standard deviations of the real rows; "
        "like rows stand together. The draw is made at the same z as the mean beside it.",
        run.name,
    )
