"""A run trained again at other weights β of the KL, for the curve of rate and distortion."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from elbax.evaluate import elbo
from elbax.figures.needs import held_out
from elbax.figures.rate_distortion import RatePoint
from elbax.recipes import options as option_tools
from elbax.recipes import parts
from elbax.report import comparison
from elbax.report.console import Console
from elbax.run import folder, settle, training
from elbax.run.labels import conditioned
from elbax.run.run import Run
from elbax.run.settle import Plan
from elbax.util import environment
from elbax.util.keys import evaluation_key

LONGEST = 2000  # steps that each of them trains at most
ROWS = 2000  # rows that rate and distortion are measured on


def curve(run: Run, betas: Sequence[float], said: Callable[[str], None]) -> tuple[RatePoint, ...]:
    """Rate and distortion at each β, all trained equally long and measured on the same rows.

    The copies are runs of their own, under betas/ in the run's folder, and are used again where
    they are there already.

    Args:
        run: The run that is copied.
        betas: The weights.
        said: Told what happens.

    Raises:
        ValueError: The run's objective has no such weight, or its data have changed.
    """
    folder.check_links(run.path)
    plan = settle.of_run(run)
    _check_weight(plan)
    steps = min(plan.iterations, LONGEST)
    points = []
    for beta in betas:
        copy = _plan(plan, beta, steps)
        trained = Run(run / folder.BETAS / f"{beta:g}")
        if not _is_there(trained, copy):
            said(f"training at β = {beta:g}: {steps:,} steps into {trained.path}")
            trained = _train(trained.path, copy)
        model = trained.model
        rows = conditioned(model, held_out(plan.dataset)[0])[:ROWS]
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
        plan, options=options, iterations=steps, command=settle.command(plan.argument, options)
    )


def _is_there(run: Run, plan: Plan) -> bool:
    """Whether the folder holds this very run, finished."""
    try:
        config = run.config
    except folder.RunFolderError:
        return False
    same = all(
        config[section] == option_tools.to_json(getattr(plan.options, section))
        for section in ("model", "training")
    )
    data = config["data"]["fingerprint"] == plan.dataset.fingerprint
    seed = config["run"]["seed"] == plan.options.run.seed
    return same and data and seed and run.finished()


def _train(path: Path, plan: Plan) -> Run:
    trainer, silent = training.build(plan), Console()
    with (
        folder.new(path, plan.dataset.name, force=True),
        environment.on_device(plan.options.run.device) as device,
    ):
        run = Run(path)
        training.write_config(run, plan, trainer.parameter_count, device)
        with training.resumable(run, silent) as watch:
            training.train(run, plan, trainer, silent, watch)
    return run
