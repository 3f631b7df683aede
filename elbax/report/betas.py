"""A run trained again at other weights β of the KL, for the curve of rate and distortion."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence

from elbax.evaluate import elbo
from elbax.figures import RatePoint
from elbax.figures.subject import held_out
from elbax.recipes import options as option_tools
from elbax.recipes import parts
from elbax.report import comparison
from elbax.report.console import Narrator
from elbax.run import directory as directories
from elbax.run import settle as plans
from elbax.run import trained
from elbax.run import training as job
from elbax.run.directory import BETAS, RunDirectory
from elbax.run.labels import told
from elbax.run.settle import Plan
from elbax.util.keys import evaluation_key

LONGEST = 2000  # steps that each of them trains at most
ROWS = 2000  # rows that rate and distortion are measured on


def curve(
    directory: RunDirectory, betas: Sequence[float], said: Callable[[str], None]
) -> tuple[RatePoint, ...]:
    """Rate and distortion at each β, all trained equally long and measured on the same rows.

    The copies are runs of their own, under betas/ in the run's folder, and are used again where
    they are there already.

    Args:
        directory: The run that is copied.
        betas: The weights.
        said: Told what happens.

    Raises:
        ValueError: The run's objective has no such weight, or its data have changed.
    """
    plan = plans.from_config(directory)
    _check_weight(plan)
    steps = min(plan.iterations, LONGEST)
    points = []
    for beta in betas:
        copy = _plan(plan, beta, steps)
        folder = RunDirectory(directory.path / BETAS / f"{beta:g}")
        if not _is_there(folder, copy):
            said(f"training at β = {beta:g}: {steps:,} steps into {folder.path}")
            _train(folder, copy)
        model = trained.model_of(folder)
        rows = told(model, held_out(plan.dataset)[0])[:ROWS]
        terms = elbo(model, rows, key=evaluation_key(plan.options.run.seed))
        settings = {"objective.beta": beta}
        points.append(comparison.point(f"β = {beta:g}", terms.kl, -terms.reconstruction, settings))
    return tuple(points)


def _check_weight(plan: Plan) -> None:
    """Refuses an objective without a weight β, or without a rate that it would weigh.

    Raises:
        ValueError: One line.
    """
    part = parts.find("objective", plan.options.training.objective.name)
    if "beta" not in part.options or not part.constructor.has_bound:
        raise ValueError(
            f"betas (--betas) are weights of the KL, and the objective {part.name} has none: name "
            "a run whose objective is elbo"
        )


def _plan(plan: Plan, beta: float, steps: int) -> Plan:
    changed = plan.options.training.objective.with_options({"beta": beta})
    training = dataclasses.replace(
        plan.options.training, objective=changed, iterations=steps, epochs=None, patience=None
    )
    run = dataclasses.replace(plan.options.run, report=False)
    options = dataclasses.replace(plan.options, training=training, run=run)
    return dataclasses.replace(
        plan, options=options, iterations=steps, command=plans.command(plan.argument, options)
    )


def _is_there(folder: RunDirectory, plan: Plan) -> bool:
    """Whether the folder holds this very run, finished."""
    try:
        config = folder.config()
    except directories.RunDirectoryError:
        return False
    same = all(
        config[section] == option_tools.to_json(getattr(plan.options, section))
        for section in ("model", "training")
    )
    data = config["data"]["fingerprint"] == plan.dataset.fingerprint
    seed = config["run"]["seed"] == plan.options.run.seed
    return same and data and seed and trained.finished(folder) is not None


def _train(folder: RunDirectory, plan: Plan) -> None:
    parts = job.build(plan)
    made, _ = directories.create(folder.path, plan.dataset.name, force=True)
    with contextlib.closing(made), job.on_device(plan.options.run.device) as device:
        job.begin(made, plan, parts, device)
        job.work(made, plan, parts, Narrator())
