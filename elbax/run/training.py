"""Training a settled run: build → fit → save → measure; also of a resumed one."""

from __future__ import annotations

import contextlib
import functools
import statistics
from collections.abc import Callable, Iterator
from typing import Any

from elbax.evaluate import losses
from elbax.evaluate.latents.expost import ROWS as FITTED_ROWS
from elbax.evaluate.latents.expost import fitted
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.model.serialise import save_model
from elbax.recipes import build as recipes_build
from elbax.run import measure as measuring
from elbax.run import metrics
from elbax.run.fitting import Clock, batch_of, fit
from elbax.run.fitting import follow as follow_fit
from elbax.run.folder import BEST, METRICS, MODEL, RESULTS, SCHEMA
from elbax.run.labels import conditioned
from elbax.run.progress import Progress
from elbax.run.run import LAST_GOOD, NOT_THE_RATE, Run
from elbax.run.settle import Plan
from elbax.run.signals import Interrupted, SignalWatch
from elbax.run.use import tables
from elbax.train import CheckpointError, Diverged, Outcome, Trainer, merge
from elbax.util import environment, files, processes
from elbax.util.keys import evaluation_key
from elbax.util.layout import Layout

_ROWS = {"train": "training", "test": "test"}


def build(plan: Plan) -> Trainer:
    """The model with its initial parameters, objective, optimiser, and the state before step 1."""
    trainer = recipes_build.build(
        plan.options.model,
        plan.options.training,
        plan.dataset.train.x,
        likelihood=plan.likelihood,
        steps=plan.horizon or plan.iterations,
        seed=plan.options.run.seed,
        keep_best=len(plan.dataset.validation) > 0,
        preprocessing=plan.preprocessing,
        features=tables.features(plan.dataset),
        holed=plan.dataset.holes,
        classes=plan.classes,
    )
    environment.release_memory()
    return trainer


def write_config(run: Run, plan: Plan, parameters: int, device: Any) -> None:
    """Writes ``config.json``: from here on the folder is a run, and can be resumed."""
    run.write_config(
        plan.to_config(
            parameters=parameters,
            device=device.device_kind,
            versions=environment.versions(),
        )
    )


@contextlib.contextmanager
def resumable(run: Run, progress: Progress) -> Iterator[SignalWatch]:
    """Catches signals in the block; they and write errors name the command that resumes the run.

    Raises:
        Interrupted: By a signal.
        WriteError: The disk is full, or the folder cannot be written.
    """
    with SignalWatch() as watch:
        try:
            yield watch
        except Interrupted as stop:
            progress.settled()
            message = f"stopped{stop.message}; resume with: {run.resume_command}"
            raise Interrupted(stop.number, message) from None
        except (files.WriteError, CheckpointError) as error:
            progress.settled()
            raise files.WriteError(f"{error}; then: {run.resume_command}") from error


def rehearsals(plan: Plan, trainer: Trainer) -> list[Callable[[], None]]:
    """What compiles the programs of the measures beforehand, for `elbax.run.rehearsal`."""
    if plan.options.training.fit_prior != "none":  # the measured model is of another structure
        return []
    data, seed = plan.dataset, plan.options.run.seed
    return [functools.partial(measuring.rehearse, trainer.trained[0], data.train, seed)]


def layout_of(plan: Plan) -> Layout | None:
    """The devices that the run's batches are spread over; None of a single one.

    Raises:
        LayoutError: There are not so many, or they cannot share a batch.
        ProcessError: Processes differ in their data, options or versions.
    """
    processes.check_same(
        {
            "data": plan.dataset.fingerprint,
            "options": repr(
                (plan.options.model, plan.options.training, plan.options.run.seed, plan.iterations)
            ),
            "versions": repr(environment.versions()),
        }
    )
    return devices_of(plan)


def devices_of(plan: Plan) -> Layout | None:
    """As `layout_of`, without a look at the other processes.

    Raises:
        LayoutError: There are not so many, or they cannot share a batch.
    """
    run = plan.options.run
    return Layout.of(run.devices, plan.options.training.batch_size, run.device)


def follow(plan: Plan, trainer: Trainer, watch: SignalWatch) -> None:
    """Trains along with the process that has the run's folder, and waits until it has done.

    Raises:
        Interrupted: By a signal, to any process.
        Diverged: As there.
    """
    follow_fit(plan, trainer, layout_of(plan), watch)
    processes.leave("done")


def train(
    run: Run,
    plan: Plan,
    trainer: Trainer,
    progress: Progress,
    watch: SignalWatch,
    rehearsed: Callable[[], object] = lambda: None,
) -> LatentVariableModel:
    """Trains from the newest checkpoint, or from step 0, to the end; saves and measures.

    Args:
        run: The run's folder, with its ``config.json``.
        plan: The run, settled.
        trainer: What `build` made of it.
        progress: Where progress goes.
        watch: From `resumable`.
        rehearsed: Waits for what is compiled beside the training.

    Returns:
        The run's model.

    Raises:
        Interrupted: By a signal; the state is saved.
        Diverged: The last good state is saved.
        WriteError: The disk is full; the last checkpoint is still there.
    """
    layout = layout_of(plan)
    try:
        trainer, outcome, clock = fit(run, plan, trainer, progress, watch, layout)
    except Diverged as error:
        raise keep_last_good(error, run, plan, trainer) from None
    return conclude(run, plan, trainer, outcome, clock, progress, rehearsed)


def conclude(
    run: Run,
    plan: Plan,
    trainer: Trainer,
    outcome: Outcome,
    clock: Clock,
    progress: Progress,
    rehearsed: Callable[[], object] = lambda: None,
) -> LatentVariableModel:
    """Saves the models of a run whose training has ended, and measures the one that is the run's.

    Args:
        run: The run's folder.
        plan: The run, settled.
        trainer: At its last state.
        outcome: How training ended.
        clock: How long it took.
        progress: Where progress goes.
        rehearsed: Waits for what is compiled beside the training.

    Returns:
        The run's model.

    Raises:
        WriteError: The disk is full.
    """
    model, which = _save_models(run, plan, trainer, progress)
    rehearsed()
    results = _measure(plan, trainer, model, which, outcome, clock, progress)
    progress.settled()
    files.write_sealed(run / RESULTS, {**results, "log": metrics.sealed(run / METRICS)})
    return model


def keep_last_good(error: Diverged, run: Run, plan: Plan, trainer: Trainer) -> Diverged:
    """Writes the model of the last good state of a run that diverged; the error with its mend."""
    state = error.report.state
    model, _ = merge(state.parameters, trainer.model, trainer.objective)
    save_model(run / MODEL, model, {"step": int(state.step), "which": LAST_GOOD})
    return Diverged(_mend(error, run, plan), error.report)


def _mend(error: Diverged, run: Run, plan: Plan) -> str:
    """What went wrong, what is kept, and what may help."""
    rate, step = plan.options.training.learning_rate, int(error.report.state.step)
    mend = f"Try a learning rate below {rate:g}, or --gradient-clip 10"
    if step == 0:  # no step was taken: the learning rate cannot be the reason
        mend = f"Try {NOT_THE_RATE}"
    return f"{error}; the state of step {step:,} is kept in {run.path}. {mend}"


def _save_models(
    run: Run, plan: Plan, trainer: Trainer, progress: Progress
) -> tuple[LatentVariableModel, str]:
    """Writes the last model and the best by validation; returns the one that is the run's.

    With patience that is the best one, whether the run stopped early or came to its end first.
    """
    kind = plan.options.training.fit_prior
    if kind != "none":
        progress.note(f"prior   fitting one to the latents: {kind.replace('-', ' ')}")
    notes = {"data": plan.dataset.name, "recipe": plan.options.recipe}
    last, step = finished_model(trainer.trained[0], plan), int(trainer.state.step)
    notes_of_last = {**notes, "step": step, "which": "last"}
    if trainer.best is None:
        save_model(run / MODEL, last, notes_of_last)
        return last, "last"
    best, notes_of_best = last, {**notes, "step": int(trainer.best.step), "which": "best"}
    if int(trainer.best.step) != step:
        best = finished_model(trainer.at_best().trained[0], plan)
    save_model(run / BEST, best, notes_of_best)
    if plan.options.training.patience is None:
        save_model(run / MODEL, last, notes_of_last)
        return last, "last"
    save_model(run / MODEL, best, notes_of_best)
    return best, "best"


def finished_model(model: LatentVariableModel, plan: Plan) -> LatentVariableModel:
    """The model after training: with a density fitted to its latents for its prior, if asked."""
    kind = plan.options.training.fit_prior
    if kind == "none":
        return model
    rows = conditioned(model, plan.dataset.train)[:FITTED_ROWS]
    return fitted(model, rows, kind, seed=plan.options.run.seed)


def _measure(
    plan: Plan,
    trainer: Trainer,
    model: LatentVariableModel,
    which: str,
    outcome: Outcome,
    clock: Clock,
    progress: Progress,
) -> dict[str, Any]:
    """The content of ``results.json``."""
    seed = plan.options.run.seed
    bounds = {}
    for name in ("train", "test"):
        split = plan.dataset.split(name)
        progress.doing(f"measuring the model on {len(split):,} {_ROWS[name]} rows")
        bounds[name] = bound = measuring.measure(model, split, seed)
        if bound is not None and "elbo" not in bound:
            bound["terms"] = _terms(plan, trainer, model, name)
    rows = conditioned(model, plan.dataset.test if len(plan.dataset.test) else plan.dataset.train)
    best = None
    if trainer.best is not None:
        best = {"step": int(trainer.best.step), "validation_loss": float(trainer.best.loss)}
    return {
        "schema": SCHEMA,
        "iterations": int(trainer.state.step),
        "asked": plan.iterations,
        "seconds": round(clock.seconds, 3),
        "compile_seconds": round(clock.compile_seconds, 3),
        "ms_per_step": round(statistics.median(clock.chunk_ms), 4) if clock.chunk_ms else None,
        **bounds,
        "outcome": outcome.value,
        "model": which,
        "best": best,
        "active_latents": measuring.count_active(model, rows),
        "codes": measuring.codes_in_use(model, rows, seed),
        "latent_dim": model.latent_dim,
    }


def _terms(
    plan: Plan, trainer: Trainer, model: LatentVariableModel, split: str
) -> dict[str, float]:
    """The loss and its terms on a split, of a model without a bound."""
    return losses(
        model,
        trainer.trained[1],
        batch_of(plan, split),
        batch_size=plan.options.training.batch_size,
        state=trainer.state.objective_state,
        step=int(trainer.state.step),
        key=evaluation_key(plan.options.run.seed),
    )
