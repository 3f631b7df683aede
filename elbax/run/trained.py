"""What a run has when its training is over: its model, its results, its figures and its report."""

from __future__ import annotations

import shlex
from typing import Any

from elbax.figures import Subject, render_all
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.model.serialise import load_model
from elbax.run.directory import MODEL, REPORT, RunDirectory
from elbax.run.settle import Plan
from elbax.train.loop import Outcome
from elbax.util import environment, files


def resume_command(directory: RunDirectory) -> str:
    """The exact command that goes on with a run."""
    return f"{environment.program()} resume {shlex.quote(str(directory.path))}"


def model_of(directory: RunDirectory) -> LatentVariableModel:
    """The model in ``model.safetensors``.

    Raises:
        ValueError: The training hasn't got that far, or the file is damaged.
    """
    if not (directory / MODEL).exists():
        raise ValueError(
            f"{directory.path} has no {MODEL} yet: finish it with `{resume_command(directory)}`"
        )
    return load_model(directory / MODEL)


def finished(directory: RunDirectory, iterations: int | None = None) -> dict[str, Any] | None:
    """The results of a run that has nothing left to train, or None.

    Args:
        directory: The run's folder.
        iterations: Steps in all that are asked for; None asks for those of ``config.json``.
    """
    results = directory.results()
    if results is None or not (directory / MODEL).exists():
        return None
    if iterations is None:
        stopped_early = results["outcome"] == Outcome.STOPPED_EARLY.value
        return (
            results
            if stopped_early or results["iterations"] >= directory.config()["iterations"]
            else None
        )
    return results if results["iterations"] >= iterations else None


def subject_of(directory: RunDirectory, plan: Plan) -> Subject:
    """What the figures of a run are drawn from."""
    return Subject(
        model_of(directory),
        plan.dataset,
        directory.history(),
        plan.options.run.seed,
        directory.path.name,
    )


def illustrate(directory: RunDirectory, plan: Plan, model: LatentVariableModel) -> None:
    """Draws every figure that this run allows, and the report around them."""
    from elbax.report.page import write_report
    from elbax.report.verdict import facts_from_run

    history, name = directory.history(), directory.path.name
    subject = Subject(model, plan.dataset, history, plan.options.run.seed, name)
    try:
        directory.figures.mkdir(exist_ok=True)
    except OSError as error:
        raise files.write_error(directory.figures, error) from error
    pictures, left_out = render_all(subject, directory.figures)
    facts = facts_from_run(
        name,
        directory.config(),
        directory.results() or {},
        history,
        left_out=left_out,
        resume=resume_command(directory),
    )
    write_report(directory / REPORT, facts, pictures)


def complete(directory: RunDirectory, plan: Plan) -> None:
    """Draws what a finished run lacks: figures or the report, deleted or never reached."""
    from elbax.figures import FIGURES

    if not plan.options.run.report:
        return

    subject = subject_of(directory, plan)
    wanted = [name for name, spec in FIGURES.items() if spec.unavailable(subject) is None]
    there = all((directory.figures / f"{name}.png").exists() for name in wanted)
    if not (there and (directory / REPORT).exists()):
        illustrate(directory, plan, subject.model)
