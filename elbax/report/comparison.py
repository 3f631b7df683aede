"""Several runs measured on the same rows with the same noise, so that differences are paired."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from elbax.data.source import Split
from elbax.evaluate import bounds, elbo, has_bound, likelihoods, mean
from elbax.evaluate.likelihoods import LogLikelihoodEstimate
from elbax.evaluate.quantities import LOG_LIKELIHOOD
from elbax.evaluate.tiles import Rows
from elbax.figures.rate_distortion import RatePoint
from elbax.model.latent_variable_model import ClassifyingEncoder
from elbax.recipes.choice import Choice
from elbax.report.evaluation_words import pm
from elbax.run import measure as measuring
from elbax.run import settle
from elbax.run.evaluation import number, plain
from elbax.run.folder import SCHEMA
from elbax.run.labels import conditioned
from elbax.run.run import Binarize, Run
from elbax.run.use import other_data
from elbax.util.keys import evaluation_key

MEASURES = ("elbo", "log_likelihood", "rate", "distortion")

ERRORS = (
    "± is one standard error over the rows; a difference is paired: of the same rows, with the "
    "same noise. Neither covers the seed of training, nor bias: estimates of log p are on average "
    "too low."
)
SEEDS = (
    "Runs that differ by nothing but their seed: the average over them, ± its standard error over "
    "seeds (not over rows)."
)
# What a run's numbers do not depend on, or what names the run itself.
_SILENT = {
    "run.device",
    "run.devices",
    "run.report",
    "training.checkpoint_seconds",
    "training.epochs",
}


@dataclass(frozen=True, eq=False)
class Measured:
    """One run, row by row, in nats.

    Attributes:
        name: What the table calls it.
        run: Its model and data.
        settings: Its options by their dotted names.
        per_row: `elbo`, `log_likelihood`, `rate` and `distortion` of each row.
        estimate: What the log-likelihood is worth.
        active: How many latents are active on these rows; None where that is not defined.
    """

    name: str
    run: Run
    settings: Mapping[str, Any]
    per_row: Mapping[str, np.ndarray]
    estimate: LogLikelihoodEstimate
    active: int | None


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs that compare.

    Attributes:
        runs: As they were given; differences are to the first.
        split: Which rows.
        count: How many.
        samples: Importance samples a row.
        seed: Of the noise that all runs share.
        quantity: What the log-likelihood is (`elbax.evaluate.quantity`).
    """

    runs: tuple[Measured, ...]
    split: str
    count: int
    samples: int
    seed: int
    quantity: str


def open_runs(paths: Sequence[Path], binarize: Binarize | None = None) -> list[Run]:
    """The runs with their data, all of which compare.

    Raises:
        ValueError: Fewer than two, or two that do not compare: both are named, with the reason.
    """
    if len(paths) < 2:
        raise ValueError("compare needs two runs or more: give their folders")
    found = [other_data.on(Run(path), binarize=binarize) for path in paths]
    check(found)
    return found


def check(found: Sequence[Run]) -> None:
    """Refuses runs that do not compare.

    Raises:
        ValueError: One without a bound, or two of different things: both are named.
    """
    for one in found:
        if isinstance(one.model.encoder, ClassifyingEncoder):
            raise ValueError(
                f"{one.path} does not compare: its labels are latent too; `elbax "
                "evaluate` has its bound with the labels summed out"
            )
        if not has_bound(one.model):
            raise ValueError(
                f"{one.path} does not compare: its posterior is a point, so it has no "
                "bound; `elbax evaluate` says how good its latents and samples are"
            )
    for other in found[1:]:
        _check_pair(found[0], other)


def _check_pair(one: Run, other: Run) -> None:
    names = f"{one.path} and {other.path} do not compare"
    how = (one.binarize, other.binarize)
    if how[0] != how[1]:
        raise ValueError(
            f"{names}: their data are binarised differently ({how[0]} and {how[1]}); --binarize "
            "dynamic or static measures both alike"
        )
    if one.dataset.fingerprint != other.dataset.fingerprint:
        data = (one.dataset.name, other.dataset.name)
        which = f"{data[0]} and {data[1]}" if data[0] != data[1] else f"both {data[0]}"
        raise ValueError(
            f"{names}: their data or their splits are different ({which}, SHA-256 "
            f"{one.dataset.fingerprint[:8]}… and {other.dataset.fingerprint[:8]}…)"
        )
    rows = one.dataset.test.x if len(one.dataset.test) else one.dataset.train.x
    if one.model.condition_dim != other.model.condition_dim:
        raise ValueError(
            f"{names}: one is conditioned on labels, and gives a bound on log p(x|y), and the "
            "other is not"
        )
    kinds = [bounds.quantity(run.model, rows) for run in (one, other)]
    if kinds[0] != kinds[1]:
        raise ValueError(
            f"{names}: one gives a {LOG_LIKELIHOOD[kinds[0]].words}, the other a "
            f"{LOG_LIKELIHOOD[kinds[1]].words}"
        )


def compare(
    found: Sequence[Run],
    split: str,
    *,
    limit: int,
    samples: int,
    seed: int,
    said: Callable[[str], None],
) -> Comparison:
    """Measures each run on the first rows of a split.

    Args:
        found: What `open_runs` gave.
        split: Which rows.
        limit: How many at most.
        samples: Importance samples a row.
        seed: Of the noise, the same for all.
        said: Told what is being measured.
    """
    part = Split(*found[0].rows(split))
    names = _names([run.path for run in found])
    runs = []
    for name, run in zip(names, found, strict=True):
        rows = conditioned(run.model, part)[:limit]
        said(f"measuring {name}: {len(rows):,} rows × {samples:,} samples")
        runs.append(_measure(name, run, rows, seed, samples))
    kind = bounds.quantity(found[0].model, part.x[:limit])
    return Comparison(tuple(runs), split, len(part.x[:limit]), samples, seed, kind)


def _measure(name: str, run: Run, rows: Rows, seed: int, samples: int) -> Measured:
    model, key = run.model, evaluation_key(seed)
    terms = elbo(model, rows, key=key, samples=measuring.default_samples(len(rows)))
    estimate = likelihoods.importance(model, rows, key=key, samples=samples)
    per_row = {
        "elbo": terms.elbo,
        "log_likelihood": estimate.log_likelihood,
        "rate": terms.kl,
        "distortion": -terms.reconstruction,
    }
    return Measured(
        name,
        run,
        _settings(run),
        {key: np.asarray(values, np.float64) for key, values in per_row.items()},
        estimate,
        measuring.count_active(model, rows),
    )


def _names(paths: Sequence[Path]) -> list[str]:
    """The folders' last names, where they differ; else their paths."""
    short = [path.resolve().name for path in paths]
    return short if len(set(short)) == len(short) else [str(path) for path in paths]


def _settings(run: Run) -> dict[str, Any]:
    config = run.config
    flat = {"recipe": config["recipe"], "likelihood": str(run.likelihood)}
    for section in ("model", "training", "run"):
        for name, value in config[section].items():
            part = Choice.of(value) if isinstance(value, dict) else None
            flat[f"{section}.{name}"] = value if part is None else str(part)
    # The objective's own options count one by one: a β more is not another objective.
    objective = Choice.of(config["training"]["objective"])
    flat["training.objective"] = None if objective is None else objective.name
    flat |= {f"objective.{name}": v for name, v in settle.objective_options(config).items()}
    flat["training.iterations"] = config["iterations"]
    flat["data.binarize"] = config["data"]["binarize"]
    return {name: value for name, value in flat.items() if name not in _SILENT}


def differing(comparison: Comparison) -> list[dict[str, Any]]:
    """For each run, the options that are not the same in all of them."""
    names = dict.fromkeys(name for run in comparison.runs for name in run.settings)
    names = [
        name for name in names if len({repr(run.settings.get(name)) for run in comparison.runs}) > 1
    ]
    return [
        {name.split(".")[-1]: run.settings.get(name) for name in names} for run in comparison.runs
    ]


def differences(comparison: Comparison, run: Measured) -> dict[str, dict[str, float | None]]:
    """Paired differences to the first run, with standard errors over the rows."""
    first = comparison.runs[0]
    return {name: plain(mean(run.per_row[name] - first.per_row[name])) for name in MEASURES}


def seed_groups(comparison: Comparison) -> list[list[Measured]]:
    """Runs that differ by their seed alone, where there are two or more."""
    groups: dict[str, list[Measured]] = {}
    for run in comparison.runs:
        same = {name: value for name, value in run.settings.items() if name != "run.seed"}
        groups.setdefault(repr(sorted(same.items())), []).append(run)
    return [
        group
        for group in groups.values()
        if len({run.settings["run.seed"] for run in group}) == len(group) > 1
    ]


def over_seeds(group: Sequence[Measured]) -> dict[str, Any]:
    """The averages of a group over its seeds, with standard errors over the seeds."""
    return {
        "runs": [run.name for run in group],
        "seeds": [run.settings["run.seed"] for run in group],
        **{
            name: plain(mean(np.array([run.per_row[name].mean() for run in group])))
            for name in MEASURES
        },
    }


def rate_points(comparison: Comparison) -> tuple[RatePoint, ...]:
    """The runs' places on the curve of rate and distortion."""
    return tuple(
        point(run.name, run.per_row["rate"], run.per_row["distortion"], run.settings)
        for run in comparison.runs
    )


def point(
    name: str, rate: np.ndarray, distortion: np.ndarray, settings: Mapping[str, Any]
) -> RatePoint:
    """A model's place on the curve, from its rate and distortion row by row."""
    rates, distortions = mean(rate), mean(distortion)
    errors = (rates.standard_error, distortions.standard_error)
    return RatePoint(
        name, rates.mean, distortions.mean, *errors, beta=settings.get("objective.beta")
    )


def to_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison as one object."""
    runs = []
    for run, options in zip(comparison.runs, differing(comparison), strict=True):
        values = {name: plain(mean(run.per_row[name])) for name in MEASURES}
        values["log_likelihood"]["monte_carlo_error"] = number(
            run.estimate.mean_monte_carlo_error()
        )
        trust, reason = run.estimate.trust()
        runs.append(
            {
                "name": run.name,
                "run": str(run.run.path),
                "options": options,
                **values,
                "active_latents": run.active,
                "latent_dim": run.run.model.latent_dim,
                "trust": trust,
                "reason": reason,
                "difference": differences(comparison, run),
            }
        )
    first = comparison.runs[0].run
    return {
        "schema": SCHEMA,
        "data": first.dataset.name,
        "split": comparison.split,
        "binarize": first.binarize,
        "count": comparison.count,
        "samples": comparison.samples,
        "seed": comparison.seed,
        "quantity": comparison.quantity,
        "quantity_in_words": LOG_LIKELIHOOD[comparison.quantity].words,
        "runs": runs,
        "seeds": [over_seeds(group) for group in seed_groups(comparison)],
    }


# --- in words ----------------------------------------------------------------------------------


def heading(found: Mapping[str, Any]) -> str:
    """What was compared, in one line."""
    binarised = "" if found["binarize"] == "none" else f", binarised ({found['binarize']})"
    symbol = LOG_LIKELIHOOD[found["quantity"]].symbol
    return (
        f"{found['data']}, {found['split']}: {found['count']:,} rows{binarised}; "
        f"{symbol}: {found['quantity_in_words']}, by {found['samples']:,} "
        "importance samples a row"
    )


def columns(found: Mapping[str, Any]) -> tuple[str, ...]:
    """The table's head; for grey pixels the estimate is called what it is, a bound."""
    name = LOG_LIKELIHOOD[found["quantity"]].symbol
    parts = ("rate", "distortion", "active")
    return ("run", "options", "ELBO", name, "Δ ELBO", f"Δ {name}", *parts)


def cells(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The table's rows, without its head."""
    return [
        (
            run["name"],
            _options(run["options"]),
            pm(run["elbo"]),
            pm(run["log_likelihood"]) + ("" if run["trust"] == "yes" else f" ({run['trust']})"),
            "" if place == 0 else pm(run["difference"]["elbo"]),
            "" if place == 0 else pm(run["difference"]["log_likelihood"]),
            pm(run["rate"]),
            pm(run["distortion"]),
            "undefined"
            if run["active_latents"] is None
            else f"{run['active_latents']} of {run['latent_dim']}",
        )
        for place, run in enumerate(found["runs"])
    ]


def _options(options: Mapping[str, Any]) -> str:
    def shown(value: Any) -> str:
        if isinstance(value, float) and math.isfinite(value):
            return f"{value:g}"
        return ",".join(map(str, value)) if isinstance(value, list) else str(value)

    return " ".join(f"{name}={shown(value)}" for name, value in options.items())


def in_words(found: Mapping[str, Any]) -> list[str]:
    """The table and what its errors are, for a terminal."""
    table = [columns(found), *cells(found)]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = [heading(found)]
    lines += [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
    lines += [seeds_in_words(found, group) for group in found["seeds"]]
    doubtful = [run for run in found["runs"] if run["trust"] != "yes"]
    lines += [f"trust of {run['name']}: {run['trust']}: {run['reason']}" for run in doubtful]
    return [*lines, ERRORS, *([SEEDS] if found["seeds"] else [])]


def seeds_in_words(found: Mapping[str, Any], group: Mapping[str, Any]) -> str:
    """A group of seeds in one line."""
    symbol = LOG_LIKELIHOOD[found["quantity"]].symbol
    return (
        f"{len(group['seeds'])} seeds ({', '.join(group['runs'])}): ELBO {pm(group['elbo'])}, "
        f"{symbol} {pm(group['log_likelihood'])}, rate {pm(group['rate'])}, "
        f"distortion {pm(group['distortion'])} over seeds"
    )
