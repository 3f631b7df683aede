"""What each latent does: one latent moved at a time, the others left where a datum puts them."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from elbax.evaluate import decode, elbo, has_bound, posterior_moments, preprocess, reconstruct
from elbax.evaluate.latents.units import ACTIVE
from elbax.evaluate.tiles import Rows
from elbax.figures.drawing.latent_grid import same_condition
from elbax.figures.drawing.style import BLUE, MUTED, page, picture_axes
from elbax.figures.needs import held_out
from elbax.model.priors import StandardNormal
from elbax.run.labels import conditioned
from elbax.run.run import Run
from elbax.util.keys import of_seed
from elbax.util.mosaic import about_holes, display_range, gap_for, mosaic, to_rgb
from elbax.util.words import minus

STEPS, REACH = 11, 2.5  # places along a latent, in standard deviations either way
MOST = 16  # latents that are drawn
ROWS = 1000  # from which the latents' KL and spread are taken


def figure(run: Run) -> Figure:
    """A row of decoded images for each latent, those with the highest KL first."""
    model = run.model
    split, which = held_out(run.dataset)
    rows = conditioned(model, split)[:ROWS]
    means = posterior_moments(model, rows)["mean"]
    worth, unit = _worth(run, rows, means)
    order = np.argsort(-worth, kind="stable")[:MOST]
    chosen = int(np.random.default_rng(run.seed).integers(len(rows)))
    at, spread, whose = _places(run, means)
    places = np.tile(means[chosen], (len(order), STEPS, 1))
    for row, latent in enumerate(order):
        places[row, :, latent] = at[latent] + spread[latent] * np.linspace(-REACH, REACH, STEPS)
    given = same_condition(rows[[chosen] * STEPS * len(order)], places)
    decoded = decode(model, given)
    datum = reconstruct(model, rows[chosen : chosen + 1], of_seed(run.seed, "figure traverse"))
    limits = display_range(preprocess(model, rows[:200]))
    tiles = to_rgb(decoded, limits).reshape(len(order), STEPS, *to_rgb(datum[0], limits).shape[1:])
    first = np.ones((len(order), 2, *tiles.shape[2:]), np.float32)
    first[0] = np.concatenate([to_rgb(one, limits) for one in datum])
    sheet = np.concatenate([first, tiles], axis=1)
    height, width = sheet.shape[2:4]
    image, columns, lines = mosaic(sheet, gap_for(height, width))
    inches = 9.0
    left_out = model.latent_dim - len(order)
    more = f" The {left_out} others are left out." if left_out else ""
    more += about_holes(datum[0])
    drawing = page(
        inches + 0.7,
        inches * image.shape[0] / image.shape[1] + 0.4,
        f"What each of {model.latent_dim} latents does",
        f"Top left: one {which} image and its reconstruction. Each row moves one latent of it, by "
        f"standard deviations of {whose}, and leaves the others. The latent with the "
        f"highest {unit} comes first; those in grey are not active.{more}",
        run.name,
    )
    axes = drawing.subplots()
    axes.imshow(image, interpolation="nearest")
    picture_axes(axes)
    axes.set_yticks(lines, [f"$z_{{{latent}}}$  {worth[latent]:.2f}" for latent in order])
    axes.xaxis.tick_top()
    steps = np.linspace(-REACH, REACH, STEPS)
    axes.set_xticks(
        columns, ["x", "x̂", *(minus(f"{step:+.1f}").replace("+0.0", "0") for step in steps)]
    )
    axes.tick_params(length=0, pad=3)
    active = np.var(np.asarray(means, np.float64), axis=0) > ACTIVE
    for label, latent in zip(axes.get_yticklabels(), order, strict=True):
        label.set_color(BLUE if active[latent] else MUTED)
    return drawing


def _worth(run: Run, rows: Rows, means: np.ndarray) -> tuple[np.ndarray, str]:
    """What the latents are ordered by: their KL, or where it does not split how they vary."""
    if has_bound(run.model):
        key = of_seed(run.seed, "figure traverse")
        kl = elbo(run.model, rows, key=key, samples=1).kl_per_latent
        if kl is not None:
            return np.asarray(kl, np.float64).mean(axis=0), "KL, in nats,"
    return np.var(np.asarray(means, np.float64), axis=0), "variance of its mean over the data"


def _places(run: Run, means: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
    """The middle and the standard deviation of each latent, and whose these are."""
    if isinstance(run.model.prior, StandardNormal) and has_bound(run.model):
        return np.zeros(means.shape[1]), np.ones(means.shape[1]), "the prior"
    return means.mean(axis=0), means.std(axis=0), "the latent over the data"
