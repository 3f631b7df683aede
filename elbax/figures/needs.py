"""What a figure says of itself, and what a run must have for it; importing this is light."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from elbax.data import Dataset, Split
    from elbax.run.run import Run


class FigureUnavailable(ValueError):
    """A figure cannot be drawn from this run; the message is one line that says why."""


@dataclass(frozen=True)
class FigureSpec:
    """One entry of the registry `FIGURES`.

    Attributes:
        name: what `elbax plot` calls it; also the module that draws it and the file's stem.
        title: a heading of a few words.
        caption: what the picture shows and what to see in it.
        needs: answers a run with None where it can be drawn, else with one line that says why not.
        thorough: whether it has more to show where it may take half a minute.
    """

    name: str
    title: str
    caption: str
    needs: Callable[[Run], str | None]
    thorough: bool = False

    def unavailable(self, run: Run) -> str | None:
        """Why this figure cannot be drawn of a run (one line), or None where it can."""
        return self.needs(run)


def held_out(dataset: Dataset) -> tuple[Split, str]:
    """The first non-empty split of test, validation and training, with its name.

    Raises:
        FigureUnavailable: all three are empty.
    """
    for split, name in (
        (dataset.test, "test"),
        (dataset.validation, "validation"),
        (dataset.train, "training"),
    ):
        if len(split) > 0:
            return split, name
    raise FigureUnavailable(f"the data set {dataset.name!r} has no rows to draw")


def needs_nothing(run: Run) -> str | None:  # noqa: ARG001
    """For figures that explain the method: always available."""
    return None


def needs_rows(run: Run) -> str | None:
    """For figures that encode data: at least one row in some split."""
    try:
        held_out(run.dataset)
    except FigureUnavailable as error:
        return str(error)
    return None


def needs_history(run: Run) -> str | None:
    """For the training curves: at least two logged steps."""
    logged = len(run.history.get("step", ()))
    if logged < 2:
        return f"train_process needs two logged steps or more: this run has {logged}"
    return None


def needs_labels(run: Run) -> str | None:
    """For the map of labels: as `needs_map`, and labels on the training and held-out rows."""
    without = needs_map(run)
    if without is not None:
        return without
    name = run.dataset.name
    if run.dataset.train.label is None or len(run.dataset.train) == 0:
        return f"top_label needs labels: the data set {name!r} has none"
    split, which = held_out(run.dataset)
    if split.label is None:
        return f"top_label needs labels: the {which} rows of {name!r} have none"
    return None


def needs_map(run: Run) -> str | None:
    """For maps of the latent space by quantiles of the prior: rows, and a standard normal prior."""
    without = needs_rows(run)
    if without is not None:
        return without
    from elbax.model.priors import StandardNormal

    if run.model.condition_dim:
        return "a map of the latent space is of one label, and this model is conditioned on one"
    prior = run.model.prior
    if isinstance(prior, StandardNormal):
        return None
    name = getattr(prior, "name", type(prior).__name__)
    return (
        "a map of the latent space needs a standard normal prior, whose quantiles are its places: "
        f"this model's is {name}"
    )


def needs_means(run: Run) -> str | None:
    """For what the posterior means do over the data: rows, and real latents with a mean."""
    without = needs_rows(run)
    if without is not None:
        return without
    from elbax.evaluate import active_units
    from elbax.run.labels import conditioned

    try:
        active_units(run.model, conditioned(run.model, held_out(run.dataset)[0])[:2])
    except ValueError as why:
        return f"active_units needs real latents with a mean: {why}"
    return None


def needs_moves(run: Run) -> str | None:
    """For moving one latent at a time: images, and real latents with a mean."""
    without = _needs_images(run, "traverse") or needs_means(run)
    return None if without is None else without.replace("active_units", "traverse")


def needs_ways(run: Run) -> str | None:
    """For ways between two data: two images, and latents that are not one of a few."""
    without = _needs_images(run, "interpolate")
    if without is not None:
        return without
    if len(held_out(run.dataset)[0]) < 2:
        return "interpolate needs two rows"
    from elbax.model.compatibility import latent_kind

    if latent_kind(run.model) == "categorical":
        return "interpolate needs latents with something between them: this model's are one-hot"
    return None


def _needs_images(run: Run, name: str) -> str | None:
    from elbax.util.mosaic import is_image

    without = needs_rows(run)
    if without is None and not is_image(tuple(run.model.shape)):
        return f"{name} is of images, and a datum of {run.dataset.name!r} is a row of numbers"
    return without


def needs_held_out(run: Run) -> str | None:
    """For comparing samples with the training data: training rows, and others."""
    without = needs_rows(run)
    if without is not None:
        return without
    name = run.dataset.name
    if len(run.dataset.train) == 0:
        return f"nearest needs training rows: the data set {name!r} has none"
    if held_out(run.dataset)[1] == "training":
        return f"nearest needs held-out rows: the data set {name!r} has training rows only"
    return None


def needs_several(run: Run) -> str:  # noqa: ARG001
    """For rate against distortion: `draw_curve` draws it of several models."""
    return (
        "rate_distortion needs several models, and one run is one point: "
        "`elbax plot RUN rate_distortion --betas 0.25,0.5,1,2,4` trains the others, and "
        "`elbax compare RUN RUN …` takes runs that you have"
    )
