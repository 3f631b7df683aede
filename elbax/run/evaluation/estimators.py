"""The estimators of ``elbax evaluate``: one record each, and their run over some rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from elbax.data.source import Split
from elbax.evaluate import has_bound
from elbax.model.compatibility import latent_kind
from elbax.model.latent_variable_model import ClassifyingEncoder
from elbax.run import measure as measuring
from elbax.run.evaluation import density, representation, samples
from elbax.run.evaluation.task import Task
from elbax.run.labels import conditioned
from elbax.run.run import Run

if TYPE_CHECKING:
    from elbax.model.latent_variable_model import LatentVariableModel

SLOW_ROWS = 100  # rows that the slow ones take where nothing is asked for


@dataclass(frozen=True)
class Estimator:
    """One way to measure a model.

    Attributes:
        measure: From the task, its name, the number of draws and the bound to its result.
        draws: Draws a row (chains, for annealed) by the number of rows, where nothing is asked for;
            None where it has none.
        reads_bound: Whether the bound is part of its result.
        weighs: Whether it weighs draws of the latents, and so does not sum labels out.
        bounded: Whether it needs a density q(z|x).
        slow: Whether it takes few rows where nothing is asked for.
    """

    measure: Callable[[Task, str, int | None, Any], dict[str, Any]]
    draws: Callable[[int], int | None] = lambda rows: None  # noqa: ARG005
    reads_bound: bool = False
    weighs: bool = False
    bounded: bool = False
    slow: bool = False


def _log_likelihood(draws: Callable[[int], int], **traits: bool) -> Estimator:
    return Estimator(density.log_likelihood, draws, reads_bound=True, weighs=True, **traits)


ESTIMATORS = {
    "elbo": Estimator(density.elbo, measuring.default_samples, reads_bound=True, bounded=True),
    "importance": _log_likelihood(density.weighted_samples, bounded=True),
    "prior": _log_likelihood(density.weighted_samples),
    "annealed": _log_likelihood(lambda _: 16, slow=True),
    "gap": Estimator(density.gap, density.weighted_samples, weighs=True, bounded=True, slow=True),
    "latents": Estimator(representation.latents_in_use),
    "samples": Estimator(samples.quality),
    "disentanglement": Estimator(representation.disentanglement),
}
DEFAULT = ("elbo", "importance")
LIKELIHOODS = ("importance", "prior", "annealed")  # estimates of log p(x)
WITHOUT_BOUND = ("latents", "samples")  # the default of a posterior that is a point


def make_task(
    run: Run,
    split: str,
    *,
    estimators: Sequence[str],
    limit: int | None,
    seed: int,
    samples: int | None = None,
    features: str | None = None,
) -> Task:
    """The rows of a split, the first `limit` of them.

    Without a limit the slow estimators take the first 100, and so do the others beside them: their
    figures are then of the same rows.
    """
    x, labels = run.rows(split)
    rows = conditioned(run.model, Split(x, labels))
    if limit is None and any(ESTIMATORS[name].slow for name in estimators):
        limit = SLOW_ROWS
    labels = None if labels is None else labels[:limit]
    return Task(run, split, rows[:limit], labels, seed, samples, features)


def default(model: LatentVariableModel) -> tuple[str, ...]:
    """The estimators where nothing is asked for."""
    if isinstance(model.encoder, ClassifyingEncoder):
        return ("elbo", "latents")
    if latent_kind(model) == "codes":
        return ("elbo", "latents")
    return DEFAULT if has_bound(model) else WITHOUT_BOUND


def check(task: Task, estimators: Sequence[str]) -> None:
    """Refuses what cannot be measured before anything is.

    Raises:
        ValueError: The latent space allows no annealing, or there is no bound; in one line.
    """
    if "disentanglement" in estimators:
        representation.factors_of(task)
    model = task.run.model
    if isinstance(model.encoder, ClassifyingEncoder):
        weighed = [name for name in estimators if ESTIMATORS[name].weighs]
        if weighed:
            raise ValueError(
                f"estimator (--estimator) is {weighed[0]}, and the labels of "
                f"{task.run.path} are latent too: take elbo, which sums them out"
            )
    elif model.condition_dim and "gap" in estimators:
        raise ValueError(
            f"estimator (--estimator) is gap, and {task.run.path} is conditioned on labels, "
            "for which it is not there yet: take another"
        )
    bounded = [name for name in estimators if ESTIMATORS[name].bounded]
    if bounded and not has_bound(task.run.model):
        raise ValueError(
            f"estimator (--estimator) is {bounded[0]}, which needs q(z|x), and the posterior of "
            f"{task.run.path} is a point: it has no bound; take "
            f"{', '.join(name for name, other in ESTIMATORS.items() if not other.bounded)}"
        )
    if latent_kind(model) == "codes":
        weighed = [name for name in ("importance", "annealed", "gap") if name in estimators]
        if weighed:
            raise ValueError(
                f"estimator (--estimator) is {weighed[0]}, and q(z|x) of {task.run.path} has all "
                "its mass on one choice of codes, whose bound is all there is: take elbo, latents, "
                "samples or prior"
            )
    if "annealed" in estimators:
        from elbax.evaluate.annealed import check_annealable

        check_annealable(task.run.model)


def measure(task: Task, estimators: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The estimators' objects, one after another, in the order asked for.

    Raises:
        ValueError: An estimator isn't defined for this model or these rows; in one line.
    """
    bound: dict[str, Any] | None = None
    # Of a model without a bound it has other terms.
    if any(ESTIMATORS[name].reads_bound for name in estimators):
        # Beside others the ELBO keeps its own number of draws: more would move nothing but time.
        alone = tuple(estimators) == ("elbo",)
        bound = density.bound_of(task, task.samples if alone else None)
    for name in estimators:
        started, estimator = time.perf_counter(), ESTIMATORS[name]
        draws = task.samples or estimator.draws(len(task.rows))
        found = {**task.head(name), **estimator.measure(task, name, draws, bound)}
        seconds = round(time.perf_counter() - started, 3)
        yield {**found, "seconds": found.get("seconds", seconds)}
