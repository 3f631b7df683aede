"""The bound, the estimates of log p(x), and where the bound is lost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from elbax.data.source import Split
from elbax.evaluate import bounds, elbo_split, likelihoods, weights
from elbax.evaluate.likelihoods import LogLikelihoodEstimate
from elbax.evaluate.quantities import LOG_LIKELIHOOD
from elbax.evaluate.tiles import Rows, stored
from elbax.run import measure as measuring
from elbax.run.evaluation.task import Task, number, plain

if TYPE_CHECKING:
    from elbax.model.latent_variable_model import LatentVariableModel

MANY_ROWS = 2000  # above, an estimate by default takes fewer samples a row
SANDWICHED = 30  # simulated rows: as many as chains fill one product of `annealed`


def weighted_samples(rows: int) -> int:
    """Importance samples a row where nothing is asked for."""
    return 1000 if rows <= MANY_ROWS else 200


def bound_of(task: Task, samples: int | None) -> dict[str, Any]:
    """The evidence lower bound and its parts, which estimates of log p(x) are shown beside."""
    started = time.perf_counter()
    samples = samples or measuring.default_samples(len(task.rows))
    part = Split(stored(task.rows), task.labels)
    found = measuring.measure(task.run.model, part, task.seed, samples) or {}
    kind = bounds.quantity(task.run.model, task.rows)
    return {
        "samples": samples,
        "quantity": kind,
        "quantity_in_words": LOG_LIKELIHOOD[kind].words,
        **found,
        "seconds": round(time.perf_counter() - started, 3),
    }


def elbo(task: Task, _: str, __: int | None, bound: dict[str, Any]) -> dict[str, Any]:
    """The bound alone."""
    return {
        **bound,
        "rows": len(task.rows),
        "log_likelihood": None,  # a bound on it: how far below, it does not say
        "bits_per_dimension": _bits(task, bound["quantity"], bound["elbo"]),
        "effective_sample_size": None,
        "pareto_k": None,
        "trust": "yes",
        "reason": (
            "a lower bound on average whatever the encoder does; how far below it does not say"
        ),
    }


def log_likelihood(
    task: Task, estimator: str, samples: int | None, bound: dict[str, Any]
) -> dict[str, Any]:
    """An estimate of log p(x), with what is needed to judge it."""
    assert samples is not None
    model, rows = task.run.model, task.rows
    found = estimate(estimator, model, rows, task.key, samples)
    trust, reason = found.trust()
    parts = {name: value for name, value in bound.items() if name not in ("samples", "seconds")}
    result = {
        "samples": samples,
        "rows": len(rows),
        **parts,
        "log_likelihood": {
            **plain(found.mean()),
            "monte_carlo_error": number(found.mean_monte_carlo_error()),
            "is": LOG_LIKELIHOOD[bound["quantity"]].words,
        },
        "bits_per_dimension": _bits(task, bound["quantity"], found.mean().mean),
        "effective_sample_size": _spread(found.effective_sample_size),
        "pareto_k": _pareto(found),
        "trust": trust,
        "reason": reason,
    }
    if estimator == "prior":
        result["samples_needed"] = _needed(task)
    if estimator == "annealed":
        result["sandwich"] = _sandwich(task, samples)
    return result


def estimate(
    estimator: str, model: LatentVariableModel, rows: Rows, key: Any, samples: int
) -> LogLikelihoodEstimate:
    """One of the estimators of log p(x) by its name; `samples` are chains for the annealed one."""
    if estimator == "annealed":
        from elbax.evaluate.annealed import annealed

        return annealed(model, rows, key=key, chains=samples)
    function = likelihoods.importance if estimator == "importance" else likelihoods.prior
    return function(model, rows, key=key, samples=samples)


def _bits(task: Task, kind: str, nats: float) -> float | None:
    if kind != "log-mass":
        return None
    return number(bounds.bits_per_dimension(nats, task.run.model))


def _spread(values: np.ndarray) -> dict[str, float | None]:
    return {
        "mean": number(np.mean(values)),
        "median": number(np.median(values)),
        "minimum": number(np.min(values)),
    }


def _pareto(found: LogLikelihoodEstimate) -> dict[str, float | None] | None:
    if found.pareto_k is None:
        return None
    threshold = weights.pareto_k_threshold(found.samples)
    return {"threshold": number(threshold), "share_above": number(np.mean(found.heavy_tailed))}


def _needed(task: Task) -> dict[str, float | None] | None:
    """How many draws of the prior would be enough, from importance weights of the same rows."""
    samples = weighted_samples(len(task.rows))
    try:
        found = likelihoods.importance(task.run.model, task.rows, key=task.key, samples=samples)
    except ValueError:  # a posterior without a density: there are no such weights
        return None
    if found.kl_posterior_prior is None:
        return None
    powers = likelihoods.samples_needed(found.kl_posterior_prior)
    return {"log10_median": number(np.median(powers)), "log10_maximum": number(np.max(powers))}


def _sandwich(task: Task, chains: int) -> dict[str, Any]:
    """How far the schedule may be from log p(x), on data simulated from the model."""
    from elbax.evaluate.annealed import sandwich

    found = sandwich(task.run.model, key=task.key, count=SANDWICHED, chains=chains)
    return {"gap": plain(found.gap()), "count": SANDWICHED}


def gap(task: Task, _: str, samples: int | None, __: Any) -> dict[str, Any]:
    """What the family and the encoder cost, and what the bound is made of."""
    from elbax.evaluate import gaps

    model, rows, key = task.run.model, task.rows, task.key
    assert samples is not None
    found = gaps.inference_gap(model, rows, key=key, samples=samples)
    split = elbo_split(model, rows, key=key)
    rate = gaps.rate_distortion(model, rows, key=key, samples=10)
    kind = bounds.quantity(model, rows)
    return {
        "samples": samples,
        "quantity": kind,
        "quantity_in_words": LOG_LIKELIHOOD[kind].words,
        **{name: plain(value) for name, value in found.means().items()},
        "rate": plain(rate.rate),
        "distortion": plain(rate.distortion),
        "elbo_split": {
            "reconstruction": number(split.reconstruction),
            "mutual_information": number(split.mutual_information),
            "aggregate_kl": number(split.aggregate_kl),
            "count": split.count,
            "ceiling": number(split.ceiling),
        },
    }
