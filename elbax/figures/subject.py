"""What a figure is drawn from, and what it says of itself; plain dataclasses, nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from elbax.data import Dataset, Split
    from elbax.model import LatentVariableModel


class FigureUnavailable(ValueError):
    """A figure cannot be drawn from this run; the message is one line that says why."""


@dataclass(frozen=True)
class RatePoint:
    """One model's place on the curve of rate and distortion, in nats per datum.

    Attributes:
        name: what the point is labelled with.
        rate: E KL(q(z|x) ‖ p(z)).
        distortion: −E log p(x|z).
        rate_error: one standard error over the data.
        distortion_error: the same.
        beta: the weight of the KL in training; None where it is not known.
    """

    name: str
    rate: float
    distortion: float
    rate_error: float
    distortion_error: float
    beta: float | None = None


@dataclass(frozen=True, eq=False)
class Subject:
    """Everything that a figure may look at.

    Attributes:
        model: the trained model.
        dataset: the data that it was trained on, with its three splits.
        history: the run's metrics: arrays `step`, `elbo`, `reconstruction`, `kl` of equal length
            (nats per datum), and `validation`, a mapping with the same keys (or none).
        seed: whatever a figure draws at random follows from this number alone.
        title: the run's name, printed in the corner of each picture.
        curve: rate and distortion of several models on the same rows, for `rate_distortion`.
        thorough: whether a figure may take half a minute for what it says: `bound` then has the
            annealed value too.
    """

    model: LatentVariableModel
    dataset: Dataset
    history: Mapping[str, Any]
    seed: int = 0
    title: str = ""
    curve: tuple[RatePoint, ...] = ()
    thorough: bool = False


@dataclass(frozen=True)
class FigureSpec:
    """One entry of the registry `FIGURES`.

    Attributes:
        name: what `elbax plot` calls it; also the module that draws it and the file's stem.
        title: a heading of a few words.
        caption: what the picture shows and what to see in it.
        needs: answers a subject with None where it can be drawn, else with one line that says
            why not.
    """

    name: str
    title: str
    caption: str
    needs: Callable[[Subject], str | None]

    def unavailable(self, subject: Subject) -> str | None:
        """Why this figure cannot be drawn from `subject` (one line), or None where it can."""
        return self.needs(subject)


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


def needs_nothing(subject: Subject) -> str | None:  # noqa: ARG001
    """For figures that explain the method: always available."""
    return None


def needs_rows(subject: Subject) -> str | None:
    """For figures that encode data: at least one row in some split."""
    try:
        held_out(subject.dataset)
    except FigureUnavailable as error:
        return str(error)
    return None


def needs_history(subject: Subject) -> str | None:
    """For the training curves: at least two logged steps."""
    logged = len(subject.history.get("step", ()))
    if logged < 2:
        return f"train_process needs two logged steps or more: this run has {logged}"
    return None


def needs_labels(subject: Subject) -> str | None:
    """For the map of labels: as `needs_map`, and labels on the training and held-out rows."""
    without = needs_map(subject)
    if without is not None:
        return without
    name = subject.dataset.name
    if subject.dataset.train.label is None or len(subject.dataset.train) == 0:
        return f"top_label needs labels: the data set {name!r} has none"
    split, which = held_out(subject.dataset)
    if split.label is None:
        return f"top_label needs labels: the {which} rows of {name!r} have none"
    return None


def needs_map(subject: Subject) -> str | None:
    """For maps of the latent space by quantiles of the prior: rows, and a standard normal prior."""
    without = needs_rows(subject)
    if without is not None:
        return without
    from elbax.model.priors import StandardNormal

    if subject.model.condition_dim:
        return "a map of the latent space is of one label, and this model is told one besides"
    prior = subject.model.prior
    if isinstance(prior, StandardNormal):
        return None
    name = getattr(prior, "name", type(prior).__name__)
    return (
        "a map of the latent space needs a standard normal prior, whose quantiles are its places: "
        f"this model's is {name}"
    )


def needs_means(subject: Subject) -> str | None:
    """For what the posterior means do over the data: rows, and real latents with a mean."""
    without = needs_rows(subject)
    if without is not None:
        return without
    from elbax.evaluate import active_units
    from elbax.run.labels import told

    try:
        active_units(subject.model, told(subject.model, held_out(subject.dataset)[0])[:2])
    except ValueError as why:
        return f"active_units needs real latents with a mean: {why}"
    return None


def needs_moves(subject: Subject) -> str | None:
    """For moving one latent at a time: images, and real latents with a mean."""
    without = _needs_images(subject, "traverse") or needs_means(subject)
    return None if without is None else without.replace("active_units", "traverse")


def needs_ways(subject: Subject) -> str | None:
    """For ways between two data: two images, and latents that are not one of a few."""
    without = _needs_images(subject, "interpolate")
    if without is not None:
        return without
    if len(held_out(subject.dataset)[0]) < 2:
        return "interpolate needs two rows"
    from elbax.evaluate.fitted_prior import latent_kind

    if latent_kind(subject.model) == "categorical":
        return "interpolate needs latents with something between them: this model's are one-hot"
    return None


def _needs_images(subject: Subject, name: str) -> str | None:
    from elbax.figures.mosaic import is_image

    without = needs_rows(subject)
    if without is None and not is_image(tuple(subject.model.shape)):
        return f"{name} is of images, and a datum of {subject.dataset.name!r} is a row of numbers"
    return without


def needs_held_out(subject: Subject) -> str | None:
    """For comparing samples with the training data: training rows, and others."""
    without = needs_rows(subject)
    if without is not None:
        return without
    name = subject.dataset.name
    if len(subject.dataset.train) == 0:
        return f"nearest needs training rows: the data set {name!r} has none"
    if held_out(subject.dataset)[1] == "training":
        return f"nearest needs held-out rows: the data set {name!r} has training rows only"
    return None


def needs_curve(subject: Subject) -> str | None:
    """For rate against distortion: two models or more, for one is a point and no curve."""
    if len(subject.curve) >= 2:
        return None
    return (
        "rate_distortion needs several models, and one run is one point: "
        "`elbax plot RUN rate_distortion --betas 0.25,0.5,1,2,4` trains the others, and "
        "`elbax compare RUN RUN …` takes runs that you have"
    )
