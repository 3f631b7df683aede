"""Estimates of log P(X) against the number of samples, and why the prior's fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from elbax.evaluate import preprocess
from elbax.evaluate.annealed import annealed, check_annealable
from elbax.evaluate.bounds import quantity
from elbax.evaluate.likelihoods import Proposal, draws, of_first
from elbax.evaluate.quantities import LOG_LIKELIHOOD
from elbax.evaluate.tiles import Rows
from elbax.figures.drawing.style import (
    BLUE,
    GREEN,
    INK,
    LINE,
    ORANGE,
    beside,
    grid,
    number_ticks,
    outline,
    page,
    picture_axes,
)
from elbax.figures.needs import FigureUnavailable, few, held_out
from elbax.model.distributions.basic import sample
from elbax.run import cost
from elbax.run.labels import conditioned
from elbax.run.run import Run
from elbax.util.keys import of_seed
from elbax.util.mosaic import display_range, is_image, to_rgb
from elbax.util.words import minus

if TYPE_CHECKING:
    from elbax.model import LatentVariableModel

# Rows of both kinds stand in tiles of four.
ROWS, REPEATS, SAMPLES = 24, 8, 2000
FEWEST = 100
MULTIPLY_ADDS = 4.6e10  # of all decoding, unasked: half a second of two cores, whatever the decoder
BINS = 48
CHAINS, TEMPERATURES, LEAPFROG_STEPS = 10, 100, 5

PRIOR, POSTERIOR = ORANGE, BLUE

GREY = (
    " The pixels are grey: in place of log P(X) stands a lower bound on the expected "
    "log-likelihood of the binarised data."
)


UNASKED = f" `elbax plot RUN bound` takes {SAMPLES:,}, and anneals."


@dataclass(frozen=True)
class Estimates:
    """What the figure shows, in nats.

    Attributes:
        counts: (n,) numbers of samples.
        prior: The estimates from draws of the prior: (repeats, n) of one datum, (rows, n) of many.
        posterior: The same from draws of q(z|x).
        elbo: The bounds of the one datum and of the many: averages of log-weights, over the same
            draws of q(z|x).
        annealed: log P of the one datum by annealed importance sampling, and the average of the
            many; None where it was not asked for, or the latent space does not allow it.
        given_prior: (samples,) log p(x|z) of the one datum, z from the prior.
        given_posterior: (samples,) the same, z from q(z|x).
    """

    counts: np.ndarray
    prior: tuple[np.ndarray, np.ndarray]
    posterior: tuple[np.ndarray, np.ndarray]
    elbo: tuple[float, float]
    annealed: tuple[float, float] | None
    given_prior: np.ndarray
    given_posterior: np.ndarray


def figure(run: Run, *, thorough: bool = False) -> Figure:
    """One datum, the average of a few, and log p(x|z) under prior and posterior."""
    split, which = held_out(run.dataset)
    count = min(ROWS, len(split))
    chosen = np.random.default_rng(run.seed).choice(len(split), count, replace=False)
    rows = conditioned(run.model, split)[np.sort(chosen)]
    try:
        found = estimate(run, rows, thorough=thorough)
    except ValueError as why:
        raise FigureUnavailable(f"bound can't be drawn: {why}") from why
    kind = quantity(run.model, rows)
    noun = "image" if is_image(tuple(run.model.shape)) else "row"
    drawing = page(
        10.2,
        7.4,
        _headline(found),
        "Estimates after n samples z. P(X|z) is nearly zero for most z from the prior, so plain "
        "Monte Carlo needs an extremely large n; of z from Q(z|X), weighted by P(z)/Q(z|X), few "
        f"are enough. Pale: {REPEATS} repetitions; strong: their median."
        + (GREY if kind == "binarised-bound" else "")
        + (UNASKED if found.counts[-1] < SAMPLES else "")
        + (" All given the label." if run.model.condition_dim else ""),
        run.name,
    )
    grid = drawing.add_gridspec(2, 2, height_ratios=[1.7, 1])
    one, many = drawing.add_subplot(grid[0, 0]), drawing.add_subplot(grid[0, 1])
    _one(one, found, LOG_LIKELIHOOD[kind].axis, f"one {which} {noun}")
    _many(many, found, f"the average of {count} {which} {noun}s")
    below = grid[1, :].subgridspec(1, 2, width_ratios=[0.17 if noun == "image" else 1e-3, 1])
    histogram = drawing.add_subplot(below[0, 1])
    _histogram(histogram, found, noun)
    if noun == "image":
        picture = drawing.add_subplot(below[0, 0])
        image = preprocess(run.model, rows[:1])
        picture.imshow(to_rgb(image, display_range(image))[0], interpolation="nearest")
        picture_axes(picture)
        picture.set_title(f"the one {noun}")
    return drawing


def rehearse(run: Run) -> None:
    """Compiles what `figure` computes with beside what that of `generated` does."""
    rows, key = conditioned(run.model, few(run.dataset)), of_seed(run.seed, "figure bound")
    for proposal in ("prior", "posterior"):
        draws(run.model, rows, key=key, samples=affordable_samples(run.model), proposal=proposal)


def estimate(run: Run, rows: Rows, *, thorough: bool = False) -> Estimates:
    """Computes what is shown, the one datum being the first of the rows.

    Raises:
        ValueError: Importance weights do not exist for this model.
    """
    model = run.model
    one_key, many_key, anneal_key = jax.random.split(of_seed(run.seed, "figure bound"), 3)
    samples = SAMPLES if thorough else affordable_samples(model)
    counts = np.unique(np.geomspace(1, samples, 34).round().astype(int))
    repeated = rows[[0] * REPEATS]

    def both(proposal: Proposal) -> tuple[list[np.ndarray], np.ndarray]:
        """The log-weights of the one datum, repeatedly, and of the many; log p(x|z) of the one."""
        how: dict[str, Any] = {"samples": samples, "proposal": proposal}
        one, given = draws(model, repeated, key=one_key, **how)
        return [one, draws(model, rows, key=many_key, **how)[0]], given[0]

    (of_prior, given_prior), (of_posterior, given_posterior) = both("prior"), both("posterior")
    prior, posterior = (
        (of_first(one, counts.tolist()), of_first(many, counts.tolist()))
        for one, many in (of_prior, of_posterior)
    )
    return Estimates(
        counts,
        prior,
        posterior,
        (float(of_posterior[0].mean()), float(of_posterior[1].mean())),
        _annealed(model, rows, anneal_key) if thorough else None,
        given_prior,
        given_posterior,
    )


def affordable_samples(model: LatentVariableModel) -> int:
    """How many samples a datum take no longer than a picture may: 1,000 for MNIST's networks.

    What `MULTIPLY_ADDS` allows, in hundreds, from 100 to 2,000; the same on every machine.
    """
    condition = jnp.zeros(model.condition_dim) if model.condition_dim else None

    def one(key: jax.Array) -> Any:
        return model.decode(sample(model.prior_distribution(condition), key), condition).mean

    each, _ = cost.products(jax.make_jaxpr(one)(jax.random.key(0)).jaxpr)
    of_all = 2 * (ROWS + REPEATS) * max(each, 1)
    return int(np.clip(MULTIPLY_ADDS / of_all // FEWEST * FEWEST, FEWEST, SAMPLES))


def _annealed(model: LatentVariableModel, rows: Rows, key: jax.Array) -> tuple[float, float] | None:
    try:
        check_annealable(model)
    except ValueError:  # a latent space without gradients: the line is left out
        return None
    schedule = {"temperatures": TEMPERATURES, "leapfrog_steps": LEAPFROG_STEPS}
    found = annealed(model, rows, key=key, chains=CHAINS, **schedule)
    return float(found.log_likelihood[0]), found.mean().mean


def _headline(found: Estimates) -> str:
    ends = [float(np.mean(pair[1][:, -1])) for pair in (found.prior, found.posterior)]
    short = ends[1] - ends[0]
    if short >= 1.0:
        return f"After {found.counts[-1]:,} samples the prior is still {short:.0f} nats short"
    if short <= -1.0:
        return f"After {found.counts[-1]:,} samples the prior is {-short:.0f} nats ahead"
    return f"After {found.counts[-1]:,} samples both estimates agree to a nat"


def _one(axes: Axes, found: Estimates, quantity_name: str, title: str) -> None:
    for curves, colour, name in (
        (found.posterior[0], POSTERIOR, "z from Q(z|X), weighted"),
        (found.prior[0], PRIOR, "z from the prior"),
    ):
        axes.plot(found.counts, curves.T, color=colour, linewidth=0.8, alpha=0.35)
        axes.plot(found.counts, np.median(curves, axis=0), color=colour, linewidth=2.4, label=name)
    _references(axes, found, 0)
    axes.set_title(title)
    axes.set_ylabel(f"estimate of {quantity_name}, nats")
    _frame(axes, found.counts)
    _limits(axes, found.prior[0], float(np.median(found.posterior[0][:, -1])))
    framed = {"frameon": True, "framealpha": 0.9, "edgecolor": "none"}
    axes.legend(loc="lower right", fontsize=9.5, handlelength=1.8, **framed)


def _references(axes: Axes, found: Estimates, which: int) -> None:
    axes.axhline(found.elbo[which], color=GREEN, linewidth=1.6, linestyle=(0, (4, 2)), label="ELBO")
    if found.annealed is not None:
        name, dotted = "annealed importance sampling", (0, (1, 1.5))
        axes.axhline(found.annealed[which], color=INK, linewidth=1.4, linestyle=dotted, label=name)


def _many(axes: Axes, found: Estimates, title: str) -> None:
    ends = []
    for curves, colour in ((found.posterior[1], POSTERIOR), (found.prior[1], PRIOR)):
        curve = curves.mean(axis=0)
        axes.plot(found.counts, curve, color=colour, linewidth=2.4)
        ends.append((float(curve[-1]), colour))
    _references(axes, found, 1)
    axes.set_title(title)
    _frame(axes, found.counts)
    _limits(axes, found.prior[1].mean(axis=0), ends[0][0])
    close = abs(ends[0][0] - ends[1][0]) < 0.06 * float(np.ptp(axes.get_ylim()))
    for (value, colour), aligned in zip(sorted(ends), ("top", "bottom"), strict=True):
        beside(
            axes,
            minus(f"{value:.1f}"),
            (found.counts[-1], value),
            (4, 0),
            color=colour,
            size=9.5,
            weight="bold",
            va=aligned if close else "center",
            annotation_clip=False,
            path_effects=outline(),
        )
    _zoom(axes, found)


def _frame(axes: Axes, counts: np.ndarray) -> None:
    axes.set_xscale("log")
    axes.set_xlim(1, counts[-1])
    axes.set_xticks([10**n for n in range(4) if 10**n <= counts[-1]])
    number_ticks(axes.xaxis)
    axes.set_xlabel("samples n (log scale)")
    number_ticks(axes.yaxis, "g")
    grid(axes)


def _limits(axes: Axes, prior: np.ndarray, reference: float) -> None:
    """From the middle of what one draw of the prior gives to a little above the best estimate."""
    low = float(np.median(prior[..., 0]))
    room = max(reference - low, 1.0)
    axes.set_ylim(reference - 1.08 * room, reference + 0.1 * room)


def _histogram(axes: Axes, found: Estimates, noun: str) -> None:
    low = float(np.quantile(found.given_prior, 0.01))
    high = float(max(found.given_prior.max(), found.given_posterior.max()))
    low = min(low, float(found.given_posterior.min()))
    room = 0.02 * (high - low) + 1e-9
    for values, colour, name, place in (
        (found.given_prior, PRIOR, "z from the prior", 0),
        (found.given_posterior, POSTERIOR, "z from Q(z|X)", 1),
    ):
        counts, edges = np.histogram(values, BINS, (max(low, float(values.min())), values.max()))
        heights = counts / max(counts.max(), 1)
        axes.stairs(heights, edges, fill=True, color=colour, alpha=0.3)
        axes.stairs(heights, edges, color=colour, linewidth=1.6)
        words = f"{name}: half of all P(X|z) lie below {_power(float(np.median(values)))}"
        at = {"transform": axes.transAxes, "ha": "left" if place == 0 else "right", "va": "top"}
        look = {"size": 10, "weight": "bold", "color": colour, "path_effects": outline()}
        axes.text(place, 0.99, words, **at, **look)
    axes.set_xlim(low - room, high + room)
    axes.set_ylim(0, 1.35)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_title(f"P(X|z) of the one {noun}, at {len(found.given_prior):,} draws of z each")
    axes.set_xlabel("log P(X|z), nats (each histogram scaled to its own height)")
    number_ticks(axes.xaxis, "g")


def _power(nats: float) -> str:
    """exp(nats) as a power of ten."""
    return f"$10^{{{nats / np.log(10):.0f}}}$"


def _zoom(axes: Axes, found: Estimates) -> None:
    """The last few nats, where the ELBO, the annealed value and importance sampling differ."""
    curve = found.posterior[1].mean(axis=0)
    lines = [(found.elbo[1], "ELBO", GREEN)]
    if found.annealed is not None:
        lines.append((found.annealed[1], "annealed", INK))
    values = [float(curve[0]), float(curve.max()), *(value for value, _, _ in lines)]
    low, high = min(values), max(values)
    room = max(0.15 * (high - low), 0.05)
    inset = axes.inset_axes((0.42, 0.09, 0.55, 0.42))
    inset.plot(found.counts, curve, color=POSTERIOR, linewidth=2)
    inset.plot(found.counts, found.prior[1].mean(axis=0), color=PRIOR, linewidth=2)
    _references(inset, found, 1)
    for value, name, colour in lines:
        beside(inset, name, (1, value), (3, 2), color=colour, size=8.5, path_effects=outline())
    _frame(inset, found.counts)
    inset.set_xlabel("")
    inset.set_ylim(low - room, high + room)
    inset.set_title("the same, from near", size=9)
    inset.tick_params(labelsize=8)
    for spine in inset.spines.values():
        spine.set_visible(True)
        spine.set_color(LINE)
