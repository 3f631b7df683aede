"""What ``elbax evaluate`` measures: each estimator's result as an object ready for JSON.

Every object has `schema`, `estimator`, `data`, `split`, `count` (rows), `seed` and `seconds`. All
averages are in nats per datum, with `standard_error` over the rows; `monte_carlo_error` is the
standard deviation of an average over the draws alone. Neither covers bias.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from elbax.data.source import Split
from elbax.evaluate import (
    Mean,
    bounds,
    elbo_split,
    has_bound,
    latents,
    likelihoods,
    posterior_moments,
    preprocess,
    total_correlation,
    weights,
)
from elbax.evaluate.likelihoods import LogLikelihoodEstimate
from elbax.evaluate.tiles import Rows, stored
from elbax.model.latent_variable_model import ClassifyingEncoder
from elbax.run import measure as measuring
from elbax.run import settle
from elbax.run.folder import SCHEMA
from elbax.run.labels import conditioned
from elbax.run.run import Run
from elbax.run.use import apply, tables
from elbax.util import environment
from elbax.util.keys import evaluation_key

if TYPE_CHECKING:
    from elbax.evaluate.samples.features import Features
    from elbax.model.latent_variable_model import LatentVariableModel

LIKELIHOODS = ("importance", "prior", "annealed")
ESTIMATORS = ("elbo", *LIKELIHOODS, "gap", "latents", "samples", "disentanglement")
DEFAULT = ("elbo", "importance")
BOUNDED = ("elbo", "importance", "gap")  # what a posterior that is a point does not have
WITHOUT_BOUND = ("latents", "samples")  # the default there
SLOW = ("annealed", "gap")

SLOW_ROWS = 100  # rows that the slow ones take where nothing is asked for
MANY_ROWS = 2000  # above, an estimate by default takes fewer samples a row
CORRELATED_ROWS = 2000  # for the total correlation, which takes the square of it
PROBE_ROWS = 10_000  # training rows that probes, neighbours and classifiers see
SANDWICHED = 30  # simulated rows: as many as chains fill one product of `annealed`
FACTOR_ROWS = 10_000  # rows that scores of disentanglement are taken over
SAMPLE_ROWS = 2000  # samples, and rows, that distances and coverage compare

QUANTITIES = {
    "log-mass": "log P(x), a probability mass",
    "log-density": "log p(x), a density",
    "binarised-bound": (
        "lower bound on the expected log-likelihood of the binarised data (grey pixels under a "
        "Bernoulli likelihood)"
    ),
}


@dataclass(frozen=True)
class Task:
    """What is measured, and on what.

    Attributes:
        run: The model and its data.
        split: Which rows they are.
        rows: The rows as stored, already limited.
        labels: Their labels, where there are any.
        seed: Of every draw.
        samples: Draws a row, chains, or None for each estimator's own default.
        features: The feature space of `samples`; None for the default.
    """

    run: Run
    split: str
    rows: Rows
    labels: np.ndarray | None
    seed: int
    samples: int | None = None
    features: str | None = None

    @property
    def key(self) -> Any:
        """The randomness of evaluation, the same as after training."""
        return evaluation_key(self.seed)

    def head(self, estimator: str) -> dict[str, Any]:
        """What every object begins with."""
        return {
            "schema": SCHEMA,
            "run": str(self.run.path),
            "estimator": estimator,
            "data": self.run.dataset.name,
            "split": self.split,
            "binarize": self.run.binarize,
            "count": len(self.rows),
            "seed": self.seed,
        }


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
    if limit is None and set(SLOW) & set(estimators):
        limit = SLOW_ROWS
    labels = None if labels is None else labels[:limit]
    return Task(run, split, rows[:limit], labels, seed, samples, features)


def default_samples(estimator: str, rows: int) -> int | None:
    """Draws a row (chains, for annealed) where nothing is asked for; None where it has none."""
    if estimator == "elbo":
        return measuring.default_samples(rows)
    if estimator in ("importance", "prior", "gap"):
        return 1000 if rows <= MANY_ROWS else 200
    return 16 if estimator == "annealed" else None


def default(model: LatentVariableModel) -> tuple[str, ...]:
    """The estimators where nothing is asked for."""
    if isinstance(model.encoder, ClassifyingEncoder):
        return ("elbo", "latents")
    return DEFAULT if has_bound(model) else WITHOUT_BOUND


def check(task: Task, estimators: Sequence[str]) -> None:
    """Refuses what cannot be measured before anything is.

    Raises:
        ValueError: The latent space allows no annealing, or there is no bound; in one line.
    """
    if "disentanglement" in estimators:
        _factors(task)
    model = task.run.model
    if isinstance(model.encoder, ClassifyingEncoder):
        weighed = [name for name in estimators if name in (*LIKELIHOODS, "gap")]
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
    bounded = [name for name in estimators if name in BOUNDED]
    if bounded and not has_bound(task.run.model):
        raise ValueError(
            f"estimator (--estimator) is {bounded[0]}, which needs q(z|x), and the posterior of "
            f"{task.run.path} is a point: it has no bound; take "
            f"{', '.join(name for name in ESTIMATORS if name not in BOUNDED)}"
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
    if set(estimators) & {"elbo", *LIKELIHOODS}:  # of a model without a bound it has other terms
        # Beside others the ELBO keeps its own number of draws: more would move nothing but time.
        alone = tuple(estimators) == ("elbo",)
        bound = _bound(task, task.samples if alone else None)
    for estimator in estimators:
        started = time.perf_counter()
        found = {**task.head(estimator), **_MEASURES[estimator](task, estimator, bound)}
        seconds = round(time.perf_counter() - started, 3)
        yield {**found, "seconds": found.get("seconds", seconds)}


def plain(value: Mean) -> dict[str, float | None]:
    """An average for JSON, which has no NaN."""
    return {"mean": number(value.mean), "standard_error": number(value.standard_error)}


def number(value: float | np.floating[Any]) -> float | None:
    """A number for JSON: None where it is not finite."""
    return float(value) if math.isfinite(value) else None


# --- bounds and estimates of log p(x) ----------------------------------------------------------


def _bound(task: Task, samples: int | None) -> dict[str, Any]:
    started = time.perf_counter()
    samples = samples or measuring.default_samples(len(task.rows))
    part = Split(stored(task.rows), task.labels)
    found = measuring.measure(task.run.model, part, task.seed, samples) or {}
    kind = bounds.quantity(task.run.model, task.rows)
    units = tables.own_units(task.run.dataset, stored(task.rows))
    if units is not None:  # added to a mean in nats, it is that of the table's own units
        found["log_jacobian"] = units
    return {
        "samples": samples,
        "quantity": kind,
        "quantity_in_words": QUANTITIES[kind],
        **found,
        "seconds": round(time.perf_counter() - started, 3),
    }


def _elbo(task: Task, _: str, bound: dict[str, Any]) -> dict[str, Any]:
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


def _log_likelihood(task: Task, estimator: str, bound: dict[str, Any]) -> dict[str, Any]:
    model, rows = task.run.model, task.rows
    samples = task.samples or default_samples(estimator, len(rows)) or 1
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
            "is": QUANTITIES[bound["quantity"]],
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
    above = ~(found.pareto_k <= threshold)  # a row whose tail cannot be fitted is above too
    return {"threshold": number(threshold), "share_above": number(np.mean(above))}


def _needed(task: Task) -> dict[str, float | None] | None:
    """How many draws of the prior would be enough, from importance weights of the same rows."""
    samples = default_samples("importance", len(task.rows)) or 1
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


# --- where the bound is lost -------------------------------------------------------------------


def _gap(task: Task, _: str, __: Any) -> dict[str, Any]:
    from elbax.evaluate import gaps

    model, rows, key = task.run.model, task.rows, task.key
    samples = task.samples or default_samples("gap", len(rows)) or 1
    found = gaps.inference_gap(model, rows, key=key, samples=samples)
    split = elbo_split(model, rows, key=key)
    rate = gaps.rate_distortion(model, rows, key=key, samples=10)
    kind = bounds.quantity(model, rows)
    named = {
        name: plain(bounds.mean(getattr(found, name)))
        for name in ("log_likelihood", "best_elbo", "elbo", "approximation", "amortisation")
    }
    return {
        "samples": samples,
        "quantity": kind,
        "quantity_in_words": QUANTITIES[kind],
        **named,
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


# --- latents -----------------------------------------------------------------------------------


def _latents(task: Task, _: str, __: Any) -> dict[str, Any]:
    undefined: dict[str, str] = {}
    model, rows, key = task.run.model, task.rows, task.key

    def defined(name: str, function: Callable[[], Any]) -> Any:
        try:
            return function()
        except ValueError as why:  # every metric says for which latents it is defined
            undefined[name] = str(why)
            return None

    active = defined("active", lambda: latents.active_units(model, rows))
    kl = defined("kl_by_latent", lambda: latents.kl_by_latent(model, rows, key=key))
    few = rows[:CORRELATED_ROWS]
    correlation = defined("total_correlation", lambda: total_correlation(model, few, key=key))
    verdict = None
    if active is not None and kl is not None:
        asked = settle.objective_options(task.run.config)
        verdict = latents.collapse(
            np.array([value.mean for value in kl]),
            active,
            beta=asked.get("beta", 1.0),
            warm_up=asked.get("warm_up", 0),
        )
    probes = {
        "neighbour_accuracy": latents.neighbour_accuracy,
        "linear_probe_accuracy": latents.linear_probe_accuracy,
    }
    return {
        "latent_dim": model.latent_dim,
        "active": None if active is None else int(active.sum()),
        "kl_by_latent": None if kl is None else [plain(value) for value in kl],
        "total_correlation": None
        if correlation is None
        else {
            **plain(correlation.estimate),
            "mutual_information": plain(correlation.mutual_information),
            "count": correlation.count,
            "ceiling": correlation.ceiling,
            "saturated": bool(correlation.saturated),
        },
        "collapse": None if verdict is None else dataclasses.asdict(verdict),
        **{
            name: defined(name, lambda probe=probe: _probe(task, probe))
            for name, probe in probes.items()
        },
        "undefined": undefined,
    }


def _probe(task: Task, probe: Callable[..., Mean]) -> dict[str, float | None]:
    if task.split in ("train", "all"):
        raise ValueError(
            f"a probe is fitted to the training rows, and the {task.split} rows hold them: "
            "give --split test"
        )
    train, model = task.run.dataset.train, task.run.model
    fitted = posterior_moments(model, conditioned(model, train)[:PROBE_ROWS])["mean"]
    given = posterior_moments(model, task.rows)["mean"]
    labels = None if train.label is None else train.label[:PROBE_ROWS]
    return plain(probe(fitted, labels, given, task.labels))


# --- disentanglement ---------------------------------------------------------------------------


def _disentanglement(task: Task, _: str, __: Any) -> dict[str, Any]:
    from elbax.evaluate.latents import disentangle

    model, seed = task.run.model, task.seed
    rows, factors, names = _factors(task)
    codes = posterior_moments(model, rows)["mean"]
    forests = disentangle.dci(codes, factors, seed=seed)
    return {
        "factors": list(names),
        "rows": len(rows),
        "latent_dim": model.latent_dim,
        "mutual_information_gap": plain(disentangle.mutual_information_gap(codes, factors)),
        "dci": {
            "disentanglement": number(forests.disentanglement),
            "completeness": number(forests.completeness),
            "informativeness": plain(forests.informativeness),
            "importance": [[number(value) for value in row] for row in forests.importance],
        },
        "sap": plain(disentangle.attribute_predictability(codes, factors)),
        "factor_vae": plain(disentangle.factor_vae_score(codes, factors, seed=seed)),
    }


def _factors(task: Task) -> tuple[Rows, np.ndarray, tuple[str, ...]]:
    """Rows with the factors that they were made from, and these factors' names.

    Raises:
        ValueError: The data do not say from what they were made.
    """
    from elbax.data import shapes

    dataset = task.run.dataset
    if dataset.name != "shapes":
        raise ValueError(
            "disentanglement is judged by the factors that data were made from, and "
            f"{dataset.name} does not say them: take a run on shapes, or elbax.evaluate with "
            "factors of your own"
        )
    before = {"train": 0, "all": 0, "validation": len(dataset.train)}
    before["test"] = len(dataset.train) + len(dataset.validation)
    rows = task.rows[:FACTOR_ROWS]
    factors = shapes.factors()[before[task.split] :][: len(rows)]
    return rows, factors, shapes.FACTORS


# --- samples -----------------------------------------------------------------------------------


def _samples(task: Task, _: str, __: Any) -> dict[str, Any]:
    from elbax.evaluate import samples

    model, key = task.run.model, task.key
    rows = stored(task.rows)[:SAMPLE_ROWS]
    if task.run.dataset.columns and np.isnan(rows).any():
        raise ValueError(
            "the estimator samples compares whole rows, and these have missing cells: leave it "
            "out, or give --data without any"
        )
    # 0/1 data are compared with draws, grey and real-valued ones with means: a draw of every pixel
    # by itself would be told from them by its grain alone.
    binary = bounds.quantity(model, rows) == "log-mass"
    drawn = apply.sample(model, len(rows), seed=task.seed, draw=binary)["x"]
    train = preprocess(model, task.run.dataset.train.x[:PROBE_ROWS], jax.random.fold_in(key, 1))
    space = _feature_space(task, train)
    real, generated = space(preprocess(model, rows, key)), space(drawn)
    shares = samples.precision_recall_density_coverage(real, generated)
    copies = samples.memorisation(space(train), real, generated)
    return {
        "generated": len(drawn),
        "compared": len(rows),
        "samples_are": f"{'draws from' if binary else 'means of'} p(x|z) at z from the prior",
        "feature_space": space.name,
        "frechet_distance": number(samples.frechet_distance(real, generated)),
        "kernel_distance": plain(samples.kernel_distance(real, generated, seed=task.seed)),
        **{
            name: plain(getattr(shares, name))
            for name in ("precision", "recall", "density", "coverage")
        },
        "memorisation": {
            "training_rows": len(train),
            "share": plain(copies.share),
            "held_out_share": number(copies.held_out_share),
            "z_score": number(copies.z_score),
        },
    }


def _feature_space(task: Task, train: np.ndarray) -> Features:
    from elbax.evaluate.samples import features

    label = task.run.dataset.train.label
    chosen = task.features or ("pca" if label is None else "classifier")
    if chosen == "raw":
        return features.raw()
    if chosen == "pca":
        return features.pca(train)
    if label is None:
        raise ValueError(
            f"features (--features) is classifier, and {task.run.dataset.name} has no labels to "
            "train one on: give --features pca"
        )
    return _cached_classifier(task, train, label[: len(train)])


def _cached_classifier(task: Task, train: np.ndarray, label: np.ndarray) -> Features:
    """The classifier of these very data, trained once and kept in the user's cache."""
    from elbax.evaluate.samples import features

    folder = environment.cache_folder() / "features"
    data = f"{task.run.dataset.fingerprint[:16]}-{task.run.binarize}-{len(train)}"
    path = folder / f"{data}.safetensors"
    try:
        return features.load(path)
    except (OSError, ValueError):  # not there yet, or damaged: it is made anew
        made = features.classifier(train, label)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        features.save(made, path)  # which appears whole or not at all
    except OSError:  # a cache that can't be written costs seconds, no more
        return made
    return made


_MEASURES: dict[str, Callable[..., dict[str, Any]]] = {
    "elbo": _elbo,
    **dict.fromkeys(LIKELIHOODS, _log_likelihood),
    "gap": _gap,
    "latents": _latents,
    "samples": _samples,
    "disentanglement": _disentanglement,
}
