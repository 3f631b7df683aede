"""The pictures of a run, by the paper summary's own names.

`FIGURES` lists them, `draw` makes one, `figure_png` turns it into bytes. Listing them imports
neither JAX nor Matplotlib; drawing does.
"""

from __future__ import annotations

import io
from importlib import import_module
from typing import TYPE_CHECKING

from elbax.figures.needs import (
    FigureSpec,
    FigureUnavailable,
    needs_codes,
    needs_held_out,
    needs_history,
    needs_labels,
    needs_map,
    needs_means,
    needs_moves,
    needs_nothing,
    needs_rows,
    needs_several,
    needs_ways,
    needs_weights,
)
from elbax.util.files import write_bytes
from elbax.util.words import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from elbax.figures.rate_distortion import RatePoint
    from elbax.run.run import Run

__all__ = [
    "FIGURES",
    "REHEARSED",
    "FigureSpec",
    "FigureUnavailable",
    "draw",
    "draw_curve",
    "figure_png",
    "find",
    "rehearse",
    "render_all",
]

FIGURES: dict[str, FigureSpec] = {
    spec.name: spec
    for spec in (
        FigureSpec(
            "reconstruct",
            "Reconstructions",
            "Random held-out data (100 where there are as many) and what the decoder makes of "
            "them after the encoder has squeezed each into a handful of numbers. Of images, the "
            "even columns (counted from 0) hold the reconstructions and the odd columns the "
            "originals. A reconstruction is the mean of p(x|z) at the mean of q(z|x) (where a "
            "mean is no latent, at its most probable point): what the bottleneck lost shows as "
            "blur, and small or unusual strokes go first.",
            needs_rows,
        ),
        FigureSpec(
            "generated",
            "New data from the prior",
            "Latents drawn from the prior (N(0, I), where no other was chosen) and decoded, with "
            "no input at all. The mean of p(x|z) is smooth; a draw from p(x|z) decides "
            "every pixel independently, so its grain is the model's noise and not a fault "
            "of the picture.",
            needs_rows,
        ),
        FigureSpec(
            "train_process",
            "How it learned",
            "At first both parts of the loss fall: P gets good at producing the average of the "
            "data, and Q finds its subspace of the latent space. Then they trade: the KL starts "
            "to rise, because a latent that says something about x must leave the prior, while "
            "the total still goes down. In a correctly trained VAE on structured data the KL "
            "cannot be 0: that would mean the data are almost completely random. The turning "
            "point is the deepest valley of the smoothed KL between the spike of the first steps "
            "and the highest value after it.",
            needs_history,
        ),
        FigureSpec(
            "top_infer",
            "The latent space, decoded",
            "Sampled spatially from the Gaussian of the latent space and seen from above: at each "
            "z, what the decoder makes of it. Neighbouring places look alike and one form turns "
            "into the next; with digits one sees slant and thickness change smoothly.",
            needs_map,
        ),
        FigureSpec(
            "top_label",
            "The latent space, labelled",
            "The same places with what they decode to shown as a colour, beside encoded data "
            "coloured by their true label. No label was used in training: the network has learned "
            "a non-linear transformation that cuts the Gaussian into subspaces, one or more for "
            "each kind of datum.",
            needs_labels,
        ),
        FigureSpec(
            "bound",
            "What log P(X) is, and how it is found",
            "P(X) is the average of P(X|Z) over the prior, and for most Z, P(X|Z) will be nearly "
            "zero: so the plain Monte Carlo estimate needs an extremely large number of samples, "
            "and until then lies nats below the truth. Drawing Z from Q(Z|X), and weighting each "
            "by P(Z)/Q(Z|X), gets there with a handful. The ELBO is short of log P(X) by exactly "
            "KL(Q(Z|X) ‖ P(Z|X)).",
            needs_weights,
            thorough=True,
        ),
        FigureSpec(
            "active_units",
            "Which latents are used",
            "A latent is active where its posterior mean moves with the datum (Burda's "
            "definition). One that is not follows the prior, costs nothing and says nothing; where "
            "none is, the posterior has collapsed.",
            needs_means,
        ),
        FigureSpec(
            "code_use",
            "Which codes are used",
            "How often each code is chosen. Codes that nothing is encoded by are dead: they cost "
            "bits under a uniform prior and say nothing. A few codes that are chosen for most "
            "places leave the others little to do.",
            needs_codes,
        ),
        FigureSpec(
            "traverse",
            "What each latent does",
            "One datum, and what the decoder makes of it when one latent is moved and the others "
            "stay. Where latents are disentangled, each row changes one thing (a place, a size, a "
            "turn); a row that does not change belongs to a latent that says nothing.",
            needs_moves,
        ),
        FigureSpec(
            "interpolate",
            "From one to another",
            "Latents on the way from one datum's to another's, decoded. Where the latent space is "
            "well filled, what lies between two data looks like data, too.",
            needs_ways,
        ),
        FigureSpec(
            "nearest",
            "Learned, or memorised?",
            "Data drawn from the prior, beside the training data nearest to them, and how near "
            "that is compared with new data. Samples that lie much closer to the training data "
            "than new data do are copies; the mean of p(x|z) is smoother than any datum, so a "
            "moderately smaller distance is no sign of it.",
            needs_held_out,
        ),
        FigureSpec(
            "rate_distortion",
            "Rate against distortion",
            "What the latents hold (rate: the KL) against what the decoder still misses "
            "(distortion: minus the reconstruction), for several weights β of the KL (Alemi et al. "
            "2018). On a line of slope −1 all models have the same ELBO; the curve touches its "
            "highest such line at the best of them.",
            needs_several,
        ),
        FigureSpec(
            "normal",
            "Why a Gaussian prior is enough",
            "For any latent distribution there is (one may suppose) a deterministic map that "
            "turns a normal distribution into it: here z/10 + z/‖z‖ turns a blob into a ring. So "
            "P(Z) = N(0, I) is a safe start, and the decoder learns the map.",
            needs_nothing,
        ),
        FigureSpec(
            "reparam",
            "The reparameterisation",
            "To train encoder and decoder together by gradient descent, every operation between "
            "them must be differentiable, and drawing a sample is not. Sampling ε ~ N(0, I) as an "
            "input and forming z = μ(x) + Σ(x)^(1/2) ε gives the same z, and the gradient flows. "
            "(The KL needs no sample: its gradient reaches the encoder either way.)",
            needs_nothing,
        ),
    )
}


# Together they have all programs of the common figures, and none in common.
REHEARSED = ("reconstruct", "generated", "top_infer", "bound")


def find(name: str) -> FigureSpec:
    """The registry's entry of that name.

    Raises:
        ValueError: there is none; the message offers the nearest name.
    """
    if name in FIGURES:
        return FIGURES[name]
    raise ValueError(f"unknown figure {name!r}: {did_you_mean(name, FIGURES)}")


def draw(name: str, run: Run, *, thorough: bool = False) -> Figure:
    """Draw one figure; the same run gives the same picture.

    Args:
        name: one of `FIGURES`.
        run: its model, data and history are drawn.
        thorough: whether it may take half a minute for what it says: `bound` then has the annealed
            value too.

    Raises:
        ValueError: no such figure.
        FigureUnavailable: it cannot be drawn of this run.
    """
    spec = find(name)
    spec.needs(run)
    import matplotlib

    from elbax.figures.drawing.style import RC

    # Each figure's module is imported when it is drawn: some bring scikit-learn with them.
    module = import_module(f"{__name__}.{name}")
    with matplotlib.rc_context(RC):
        return (
            module.figure(run, thorough=True) if thorough and spec.thorough else module.figure(run)
        )


def rehearse(name: str, run: Run) -> None:
    """Compiles what a figure computes with, and imports what draws it, if it will be drawn.

    Args:
        name: one of `REHEARSED`.
        run: with a model and data like those of the drawing; the model need not be trained.
    """
    if find(name).unavailable(run) is None:
        import_module(f"{__name__}.{name}").rehearse(run)


def draw_curve(points: Sequence[RatePoint], title: str = "") -> Figure:
    """Draw rate against distortion of several models, two or more."""
    import matplotlib

    from elbax.figures import rate_distortion
    from elbax.figures.drawing.style import RC

    with matplotlib.rc_context(RC):
        return rate_distortion.figure(points, title)


def figure_png(figure: Figure) -> bytes:
    """The figure as a PNG, the same bytes each time (no date or version inside)."""
    import matplotlib
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    from elbax.figures.drawing.style import RC

    canvas, buffer = FigureCanvasAgg(figure), io.BytesIO()
    with matplotlib.rc_context(RC):
        # The same pixels as of `savefig`, which goes through the whole drawing twice.
        canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
    # Of zlib's nine levels the third: half the time of the sixth, and pictures as small.
    picture.save(buffer, "png", compress_level=3, dpi=(figure.dpi, figure.dpi))
    return buffer.getvalue()


def render_all(
    run: Run, folder: Path | None = None, doing: Callable[[str], None] | None = None
) -> tuple[dict[str, bytes], dict[str, str]]:
    """Every figure that this run allows.

    Args:
        run: its model, data and history are drawn.
        folder: where to save them as NAME.png, if anywhere; it must exist.
        doing: is told which figure is being drawn.

    Returns:
        The PNGs by name, and for each figure left out the line that says why.
    """
    pictures: dict[str, bytes] = {}
    left_out: dict[str, str] = {}
    for number, name in enumerate(FIGURES, 1):
        if doing is not None:
            doing(f"drawing {name}, picture {number} of {len(FIGURES)}")
        try:
            pictures[name] = figure_png(draw(name, run))
        except FigureUnavailable as why:
            left_out[name] = str(why)
            continue
        if folder is not None:
            write_bytes(folder / f"{name}.png", pictures[name])
    return pictures, left_out
