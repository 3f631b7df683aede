"""The latent space from above: what the decoder makes of a grid of Gaussian quantiles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import ndtr

from elbax.evaluate import decode, posterior_moments, preprocess
from elbax.figures.drawing import latent_grid
from elbax.figures.drawing.heat import colour_scale, heat
from elbax.figures.drawing.style import page
from elbax.figures.needs import few, held_out
from elbax.run.run import Run
from elbax.util.mosaic import display_range, gap_for, is_image, mosaic, standardise, to_rgb
from elbax.util.words import minus

COUNT = 20  # points along an axis
PANELS = 12  # features shown where the data are vectors
TICKS = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)


def figure(run: Run) -> Figure:
    """A sheet of decoded images, or one map per feature for vectors."""
    axes = latent_axes(run)
    model = run.model
    grid = latent_grid.quantile_grid(axes, model.latent_dim, COUNT)
    decoded = decode(model, grid.reshape(-1, model.latent_dim).astype(np.float32))
    split, _ = held_out(run.dataset)
    real = preprocess(model, split.x[: latent_grid.ACTIVITY_ROWS])
    if is_image(tuple(model.shape)):
        return _sheet(run, axes, decoded, display_range(real))
    return _maps(run, axes, decoded, real)


def rehearse(run: Run) -> None:
    """Compiles what `figure` computes with beside what that of `generated` does."""
    decode(run.model, np.zeros((1, run.model.latent_dim), np.float32))
    posterior_moments(run.model, few(run.dataset).x)


def latent_axes(run: Run) -> np.ndarray:
    """The latents along the axes, first the horizontal one; one only for a model of one latent.

    One or two latents keep their order; of more, the two most active over the held-out rows.
    """
    latents = run.model.latent_dim
    if latents <= 2:
        return np.arange(latents)
    split, _ = held_out(run.dataset)
    rows = split.x[: latent_grid.ACTIVITY_ROWS]
    moments = posterior_moments(run.model, rows)
    return latent_grid.most_active(moments["mean"])


def which_latents(axes: np.ndarray, latents: int) -> str:
    """A sentence's end that names what the map leaves out; empty where it shows every latent."""
    if latents <= 2:
        return ""
    return (
        f" Of {latents} latents, the two most active are shown (z{axes[0]} and z{axes[1]}: largest "
        "variance of the posterior mean); the others are held at 0."
    )


def quantile_ticks(
    axes: Axes,
    latents: np.ndarray,
    across: tuple[float, float] = (0.0, 1.0),
    up: tuple[float, float] = (0.0, 1.0),
    values: Sequence[float] = TICKS,
) -> None:
    """Label axes that are even in probability by the values of z.

    Args:
        axes: their data coordinates run evenly in probability.
        latents: the one or two latents shown.
        across: the horizontal coordinates of probability 0 and 1.
        up: the vertical coordinates of probability 0 and 1.
        values: the values of z to label.
    """
    share = ndtr(values)
    names = [minus(f"{value:g}") for value in values]
    axes.set_xticks(across[0] + (across[1] - across[0]) * share, names)
    axes.set_xlabel(f"$z_{{{latents[0]}}}$")
    if len(latents) == 2:
        axes.set_yticks(up[0] + (up[1] - up[0]) * share, names)
        axes.set_ylabel(f"$z_{{{latents[1]}}}$", rotation=0, labelpad=8, va="center")
    else:
        axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _sheet(run: Run, axes: np.ndarray, decoded: np.ndarray, limits: tuple[float, float]) -> Figure:
    tiles = to_rgb(decoded, limits).reshape(-1, COUNT, *decoded.shape[1:3], 3)[::-1]
    image, _, _ = mosaic(tiles, 0 if len(axes) == 2 else gap_for(*tiles.shape[2:4]))
    height, width = image.shape[:2]
    inches = min(7.3, 9.0 * width / height)
    tall = inches * height / width + (0.65 if len(axes) == 2 else 0.95)
    drawing = page(
        max(7.0, inches + 0.9),
        tall,
        "The latent space from above, decoded",
        "Places are Gaussian quantiles, evenly spaced in probability, so each tile stands for the "
        "same share of the "
        "prior; each shows the mean of p(x|z)." + which_latents(axes, run.model.latent_dim),
        run.name,
    )
    plot = drawing.subplots()
    plot.imshow(image)
    quantile_ticks(plot, axes, (-0.5, width - 0.5), (height - 0.5, -0.5))
    plot.tick_params(length=3)
    return drawing


def _maps(run: Run, axes: np.ndarray, decoded: np.ndarray, real: np.ndarray) -> Figure:
    (table,) = standardise(real, decoded)
    features = np.sort(np.argsort(-table.var(axis=0), kind="stable")[:PANELS])
    columns = min(4, len(features))
    rows = -(-len(features) // columns)
    flat = len(axes) == 1
    drawing = page(
        9.8,
        rows * (1.15 if flat else 2.25) + 0.5,
        "The latent space from above, one feature at a time",
        "Places are Gaussian quantiles, evenly spaced in probability. Colour is the mean of "
        f"p(x|z), in standard deviations of the data; shown: the {len(features)} features that "
        "vary most." + which_latents(axes, run.model.latent_dim),
        run.name,
    )
    panels = np.atleast_1d(drawing.subplots(rows, columns, sharex=True, sharey=True)).ravel()
    shown = None
    for panel, feature in zip(panels, features, strict=False):
        places = table[:, feature].reshape(-1, COUNT)
        shown = heat(panel, places, origin="lower", extent=(0, 1, 0, 1))
        panel.set_title(f"feature {feature}", size=10)
        quantile_ticks(panel, axes, values=(-2.0, -1.0, 0.0, 1.0, 2.0))
        panel.label_outer()
    for panel in panels[len(features) :]:
        panel.set_axis_off()
    if shown is not None:
        colour_scale(drawing, panels, shown, 0.8)
    return drawing
