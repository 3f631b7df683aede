"""From one datum to another through the latent space, straight and along the sphere."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from elbax.evaluate import decode, posterior_moments, reconstruct
from elbax.figures.drawing.latent_grid import same_condition
from elbax.figures.drawing.style import page, picture_axes
from elbax.figures.needs import held_out
from elbax.model.compatibility import latent_kind
from elbax.run.labels import conditioned
from elbax.run.run import Run
from elbax.util.keys import of_seed
from elbax.util.mosaic import about_holes, display_range, gap_for, mosaic, to_rgb

PAIRS, STEPS = 5, 9


def figure(run: Run) -> Figure:
    """For each of five pairs of held-out images the way between, linear and spherical."""
    model = run.model
    split, which = held_out(run.dataset)
    pairs = min(PAIRS, len(split) // 2)
    chosen = np.random.default_rng(run.seed).choice(len(split), 2 * pairs, replace=False)
    rows = conditioned(model, split)[chosen]
    means = posterior_moments(model, rows)["mean"]
    # Between points of a sphere the straight line is no way of latents.
    ways = {"spherical": spherical, "linear": linear}
    if latent_kind(model) != "sphere":
        ways = {"linear": linear, "spherical": spherical}
    else:
        del ways["linear"]
    share = np.linspace(0.0, 1.0, STEPS)
    paths = [
        way(means[2 * i], means[2 * i + 1], share) for i in range(pairs) for way in ways.values()
    ]
    # Under the condition of the first of each pair, where there is one.
    first = np.repeat(np.arange(0, 2 * pairs, 2), len(ways) * STEPS)
    decoded = decode(model, same_condition(rows[first], np.concatenate(paths)))
    originals = reconstruct(model, rows, of_seed(run.seed, "figure interpolate"))[0]
    limits = display_range(originals)
    given = np.repeat(to_rgb(originals, limits).reshape(pairs, 2, *_tile(originals)), len(ways), 0)
    between = to_rgb(decoded, limits).reshape(len(paths), STEPS, *_tile(originals))
    sheet = np.concatenate([given[:, :1], between, given[:, 1:]], axis=1)
    image, columns, lines = mosaic(sheet, gap_for(*sheet.shape[2:4]))
    inches = 8.6
    drawing = page(
        inches + 1.0,
        inches * image.shape[0] / image.shape[1] + 0.4,
        "From one image to another",
        f"Left and right: pairs of {which} images, chosen at random. Between: decoded latents on "
        "the way from the mean of one's q(z|x) to the other's. The straight way passes nearer to "
        "the origin, where a normal prior of many dimensions has little mass; the spherical one "
        "turns instead (White 2016, arXiv:1609.04468)."
        + (" All under the label of the left one." if model.condition_dim else "")
        + about_holes(originals),
        run.name,
    )
    axes = drawing.subplots()
    axes.imshow(image, interpolation="nearest")
    picture_axes(axes)
    axes.set_yticks(lines, list(ways) * pairs)
    axes.xaxis.tick_top()
    axes.set_xticks(columns, ["x", *(f"{step:.2g}" for step in share), "x′"])
    axes.tick_params(length=0, pad=3)
    return drawing


def _tile(images: np.ndarray) -> tuple[int, ...]:
    return (*images.shape[1:3], 3)


def linear(a: np.ndarray, b: np.ndarray, share: np.ndarray) -> np.ndarray:
    """(steps, latents): a + share (b − a)."""
    return a + share[:, None] * (b - a)


def spherical(a: np.ndarray, b: np.ndarray, share: np.ndarray) -> np.ndarray:
    """(steps, latents): from a to b at even angles, seen from the origin (Shoemake 1985).

    Vectors of one length keep it on the way. Where there is no angle between the two (the same
    direction, the opposite one, or a vector of nothing) it is the straight way.
    """
    lengths = np.linalg.norm(a) * np.linalg.norm(b)
    angle = np.arccos(np.clip(a @ b / lengths, -1.0, 1.0)) if lengths > 0 else 0.0
    if np.sin(angle) < 1e-6:
        return linear(a, b, share)
    weights = np.sin(np.stack([1.0 - share, share]) * angle) / np.sin(angle)
    return weights[0][:, None] * a + weights[1][:, None] * b
