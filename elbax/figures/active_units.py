"""Which latents hold something: how far the posterior mean of each moves, and its KL."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from elbax.evaluate import elbo, has_bound, posterior_moments
from elbax.evaluate.latents.units import ACTIVE
from elbax.figures.drawing.latent_grid import ACTIVITY_ROWS
from elbax.figures.drawing.style import BLUE, DASHED, MUTED, RED, beside, grid, outline, page
from elbax.figures.needs import held_out
from elbax.run.labels import conditioned
from elbax.run.run import Run
from elbax.util.keys import of_seed

NAMED = 40  # latents: beyond that the ticks would touch
FLOOR = 1e-7  # variances below it are drawn at it: float32 says nothing smaller of means around 1


def figure(run: Run) -> Figure:
    """Var_x E[z|x] of every latent, most active first, and its KL beside it."""
    split, which = held_out(run.dataset)
    rows = conditioned(run.model, split)[:ACTIVITY_ROWS]
    means = posterior_moments(run.model, rows)["mean"]
    activity = np.var(np.asarray(means, np.float64), axis=0)
    kl = None
    if has_bound(run.model):
        key = of_seed(run.seed, "figure active units")
        kl = elbo(run.model, rows, key=key, samples=1).kl_per_latent
    order = np.argsort(-activity, kind="stable")
    active, latents = int((activity > ACTIVE).sum()), len(activity)
    verb = "is" if active == 1 else "are"
    drawing = page(
        9.8,
        min(1.3 + 0.27 * latents, 7.0),
        f"{active} of {latents} latent{'s' * (latents > 1)} {verb} active",
        "A latent that is used has a posterior mean that moves with the datum: its variance over "
        f"{len(rows):,} {which} rows exceeds {ACTIVE:g} (Burda, Grosse & Salakhutdinov 2015, "
        "§5.2)."
        + ("" if kl is None else " Its KL to the prior is what it costs, in nats per datum."),
        run.name,
    )
    panels = np.atleast_1d(drawing.subplots(1, 1 if kl is None else 2, sharey=True))
    colours = [BLUE if activity[latent] > ACTIVE else MUTED for latent in order]
    _variances(panels[0], np.maximum(activity[order], FLOOR), colours)
    if kl is not None:
        _nats(panels[1], np.asarray(kl, np.float64).mean(axis=0)[order], colours)
    panels[0].set_ylim(latents - 0.4, -0.6)
    if latents <= NAMED:
        panels[0].set_yticks(range(latents), [f"$z_{{{latent}}}$" for latent in order])
    else:
        panels[0].set_ylabel("latents, most active first")
    return drawing


def _variances(axes: Axes, values: np.ndarray, colours: list[str]) -> None:
    places = np.arange(len(values))
    low = min(10 ** np.floor(np.log10(values.min())), ACTIVE / 10)
    axes.hlines(places, low, values, colors=colours, linewidth=1.6)
    axes.scatter(values, places, c=colours, s=34, zorder=3)
    axes.axvline(ACTIVE, color=RED, linewidth=1.2, linestyle=DASHED)
    axes.set_xscale("log")
    axes.set_xlim(low, 10 ** np.ceil(np.log10(max(values.max(), 1.0)) + 0.02))
    axes.set_title("variance of the posterior mean", pad=20)
    above = {"transform": axes.get_xaxis_transform(), "ha": "center", "va": "bottom"}
    words = f"active above {ACTIVE:g}"
    axes.text(ACTIVE, 1.01, words, color=RED, size=9, path_effects=outline(), **above)
    axes.set_xlabel("Var over the data of E[z|x] (log scale)")
    _bare(axes)


def _nats(axes: Axes, values: np.ndarray, colours: list[str]) -> None:
    axes.barh(np.arange(len(values)), values, color=colours, height=0.62)
    axes.set_xlim(0, max(values.max() * 1.14, 0.1))
    if len(values) <= NAMED:
        for place, value in enumerate(np.maximum(values, 0.0)):
            beside(axes, f"{value:.2f}", (value, place), (4, 0), va="center", size=9, color=MUTED)
    axes.set_title(f"KL to the prior: {values.sum():.1f} nats in all", pad=20)
    axes.set_xlabel("nats per datum")
    _bare(axes)


def _bare(axes: Axes) -> None:
    grid(axes, "x")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
