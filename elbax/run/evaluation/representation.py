"""What the latents hold, and how they match the factors that data were made from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from elbax.evaluate import Mean, posterior_moments, total_correlation
from elbax.evaluate.latents import probes, units
from elbax.evaluate.tiles import Rows
from elbax.model.compatibility import latent_kind
from elbax.run import measure as measuring
from elbax.run import settle
from elbax.run.evaluation.task import PROBE_ROWS, Task, number, plain
from elbax.run.labels import conditioned

CORRELATED_ROWS = 2000  # for the total correlation, which takes the square of it
FACTOR_ROWS = 10_000  # rows that scores of disentanglement are taken over


def latents_in_use(task: Task, _: str, __: Any, ___: Any) -> dict[str, Any]:
    """Which latents are used, what they cost and share, and how they tell labels."""
    undefined: dict[str, str] = {}
    model, rows, key = task.run.model, task.rows, task.key

    def defined(name: str, function: Callable[[], Any]) -> Any:
        try:
            return function()
        except ValueError as why:  # every metric says for which latents it is defined
            undefined[name] = str(why)
            return None

    active = defined("active", lambda: units.active_units(model, rows))
    kl = defined("kl_by_latent", lambda: units.kl_by_latent(model, rows, key=key))
    few = rows[:CORRELATED_ROWS]
    correlation = defined("total_correlation", lambda: total_correlation(model, few, key=key))
    verdict = None
    if active is not None and kl is not None:
        asked = settle.objective_options(task.run.config)
        verdict = units.collapse(
            np.array([value.mean for value in kl]),
            active,
            beta=asked.get("beta", 1.0),
            warm_up=asked.get("warm_up", 0),
        )
    codes = measuring.codes_in_use(model, rows, task.seed)
    accuracies = {
        "neighbour_accuracy": probes.neighbour_accuracy,
        "linear_probe_accuracy": probes.linear_probe_accuracy,
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
            for name, probe in accuracies.items()
        },
        "undefined": undefined,
        **({} if codes is None else {"codes": codes}),
    }


def _probe(task: Task, probe: Callable[..., Mean]) -> dict[str, float | None]:
    if latent_kind(task.run.model) == "codes":
        raise ValueError("a probe is of real latents, and these are codes")
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


def disentanglement(task: Task, _: str, __: Any, ___: Any) -> dict[str, Any]:
    """How single latents match single factors (`elbax.evaluate.latents.disentangle`)."""
    from elbax.evaluate.latents import disentangle

    model, seed = task.run.model, task.seed
    rows, factors, names = factors_of(task)
    codes = posterior_moments(model, rows)["mean"]
    forests = disentangle.dci(codes, factors, seed=seed)
    undefined: dict[str, str] = {}
    explicit = None
    try:
        explicit = plain(disentangle.explicitness(codes, factors))
    except ValueError as why:  # of some tens of rows: the other scores stand
        undefined["explicitness"] = str(why)
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
        "beta_vae": plain(disentangle.beta_vae_score(codes, factors, seed=seed)),
        "modularity": plain(disentangle.modularity(codes, factors)),
        "explicitness": explicit,
        "undefined": undefined,
    }


def factors_of(task: Task) -> tuple[Rows, np.ndarray, tuple[str, ...]]:
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
