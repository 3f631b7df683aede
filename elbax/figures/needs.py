"""What a figure says of itself, and what a run must have for it; importing this is light."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
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
        needs: raises `FigureUnavailable` for a run that it cannot be drawn of.
        thorough: whether it has more to show where it may take half a minute.
    """

    name: str
    title: str
    caption: str
    needs: Callable[[Run], None]
    thorough: bool = False

    def unavailable(self, run: Run) -> str | None:
        """Why this figure cannot be drawn of a run (one line), or None where it can."""
        try:
            self.needs(run)
        except FigureUnavailable as why:
            return str(why)
        return None


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


def few(dataset: Dataset) -> Split:
    """Two rows of `held_out`, or one: enough to compile what will be asked of all.

    Raises:
        FigureUnavailable: There are none.
    """
    split, _ = held_out(dataset)
    return replace(split, x=split.x[:2], label=None if split.label is None else split.label[:2])


def needs_nothing(run: Run) -> None:
    """For figures that explain the method: always available."""


def needs_rows(run: Run) -> None:
    """For figures that encode data: at least one row in some split."""
    held_out(run.dataset)


def needs_history(run: Run) -> None:
    """For the training curves: at least two logged steps."""
    logged = len(run.history.get("step", ()))
    if logged < 2:
        raise FigureUnavailable(
            f"train_process needs two logged steps or more: this run has {logged}"
        )


def needs_labels(run: Run) -> None:
    """For the map of labels: as `needs_map`, and labels on the training and held-out rows."""
    needs_map(run)
    data, (split, which) = run.dataset, held_out(run.dataset)
    if data.train.label is None or len(data.train) == 0:
        raise FigureUnavailable(f"top_label needs labels: the data set {data.name!r} has none")
    if split.label is None:
        raise FigureUnavailable(
            f"top_label needs labels: the {which} rows of {data.name!r} have none"
        )


def needs_map(run: Run) -> None:
    """For maps of the latent space by quantiles of the prior: rows, and a standard normal prior."""
    needs_rows(run)
    from elbax.model.priors import StandardNormal

    if run.model.condition_dim:
        raise FigureUnavailable(
            "a map of the latent space is of one label, and this model is conditioned on one"
        )
    prior = run.model.prior
    if not isinstance(prior, StandardNormal):
        name = getattr(prior, "name", type(prior).__name__)
        raise FigureUnavailable(
            "a map of the latent space needs a standard normal prior, whose quantiles are its "
            f"places: this model's is {name}"
        )


def needs_means(run: Run, name: str = "active_units") -> None:
    """For what the posterior means do over the data: rows, and real latents with a mean."""
    rows, _ = held_out(run.dataset)
    from elbax.evaluate import active_units
    from elbax.run.labels import conditioned

    try:
        active_units(run.model, conditioned(run.model, rows)[:2])
    except ValueError as why:
        raise FigureUnavailable(f"{name} needs real latents with a mean: {why}") from why


def needs_weights(run: Run) -> None:
    """For estimates of log p(x): rows, and draws of q(z|x) that differ."""
    needs_rows(run)
    from elbax.model.compatibility import latent_kind

    if latent_kind(run.model) == "codes":
        raise FigureUnavailable(
            "bound needs draws of q(z|x) to weigh: this model's has all its mass on one choice of "
            "codes"
        )


def needs_codes(run: Run) -> None:
    """For the use of codes: rows, and latents that are codes."""
    needs_rows(run)
    from elbax.model.compatibility import latent_kind

    if latent_kind(run.model) != "codes":
        raise FigureUnavailable("code_use is of codes: this model's latents are others")


def needs_moves(run: Run) -> None:
    """For moving one latent at a time: images, and real latents with a mean."""
    _needs_images(run, "traverse")
    needs_means(run, "traverse")


def needs_ways(run: Run) -> None:
    """For ways between two data: two images, and latents that are not one of a few."""
    _needs_images(run, "interpolate")
    if len(held_out(run.dataset)[0]) < 2:
        raise FigureUnavailable("interpolate needs two rows")
    from elbax.model.compatibility import latent_kind

    kind = latent_kind(run.model)
    if kind in ("categorical", "codes"):
        what = {"categorical": "one-hot"}.get(kind, kind)
        raise FigureUnavailable(
            f"interpolate needs latents with something between them: this model's are {what}"
        )


def _needs_images(run: Run, name: str) -> None:
    needs_rows(run)
    from elbax.util.mosaic import is_image

    if not is_image(tuple(run.model.shape)):
        raise FigureUnavailable(
            f"{name} is of images, and a datum of {run.dataset.name!r} is a row of numbers"
        )


def needs_held_out(run: Run) -> None:
    """For comparing samples with the training data: training rows, and others."""
    data, (_, which) = run.dataset, held_out(run.dataset)
    if len(data.train) == 0:
        raise FigureUnavailable(f"nearest needs training rows: the data set {data.name!r} has none")
    if which == "training":
        raise FigureUnavailable(
            f"nearest needs held-out rows: the data set {data.name!r} has training rows only"
        )


def needs_several(run: Run) -> None:  # noqa: ARG001
    """For rate against distortion: `draw_curve` draws it of several models."""
    raise FigureUnavailable(
        "rate_distortion needs several models, and one run is one point: "
        "`elbax plot RUN rate_distortion --betas 0.25,0.5,1,2,4` trains the others, and "
        "`elbax compare RUN RUN …` takes runs that you have"
    )
