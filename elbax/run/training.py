"""One training run from plan to report: the same path for a new run and a resumed one.

Signals, checkpoints, the log and the terminal sit between the reports of `elbax.train.loop.fit`;
nothing here
changes a number.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from elbax.evaluate import losses
from elbax.evaluate.fitted_prior import ROWS as FITTED_ROWS
from elbax.evaluate.fitted_prior import fitted
from elbax.model.distributions.divergences import kl_per_dimension
from elbax.model.interfaces import AbstractObjective, Batch
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.model.serialise import save_model
from elbax.recipes.compose import compose, objective, optimizer, wants_data
from elbax.recipes.parts import find as parts_of
from elbax.run import labels, metrics, tables
from elbax.run import measure as measuring
from elbax.run.folder import BEST, CHECKPOINTS, METRICS, MODEL, RESULTS, SCHEMA
from elbax.run.labels import told
from elbax.run.progress import Progress
from elbax.run.run import Run
from elbax.run.settle import Plan
from elbax.run.signals import Interrupted, SignalWatch
from elbax.train.checkpoint import CheckpointError, Checkpoints
from elbax.train.loop import Outcome, Report, State, fit, init_state, merge
from elbax.util import environment, files
from elbax.util.keys import evaluation_key, keys

_CHUNKS_KEPT = 1000  # chunk times that a checkpoint carries along, for the median
_STALLED = 5  # validations without a better one before it is remarked on
_KL_EVERY = 100  # steps between logged KLs per latent
_NOTES = 100_000  # bytes of a checkpoint beside its arrays
_STARTS = 2000  # rows, evenly spaced, that a prior may start at
_OBJECTIVE = 1 << 16  # the stream of the objective's own weights: no part of the model has it


class Diverged(RuntimeError):
    """The loss stopped being a number; the last good state is saved."""


@dataclass
class Clock:
    """Times that add up over resumptions.

    Attributes:
        seconds: Of training: compilation, validation and saving included.
        compile_seconds: Of compilation.
        chunk_ms: Milliseconds per step, chunk by chunk, without compilation, validation and saving.
    """

    seconds: float = 0.0
    compile_seconds: float = 0.0
    chunk_ms: list[float] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """What a checkpoint carries along."""
        return {
            "seconds": self.seconds,
            "compile_seconds": self.compile_seconds,
            "chunk_ms": [round(ms, 4) for ms in self.chunk_ms[-_CHUNKS_KEPT:]],
        }


@dataclass(frozen=True)
class Parts:
    """What trains, put together from a plan."""

    model: LatentVariableModel
    objective: AbstractObjective
    optimizer: Any
    state: State

    @property
    def parameters(self) -> int:
        """How many numbers are trained."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.state.parameters))


def build(plan: Plan) -> Parts:
    """The model with its initial parameters, objective, optimiser, and the state before step 1."""
    model_key, run_key, _ = keys(plan.options.run.seed)
    training = plan.options.training
    rows = plan.dataset.train.x
    # One program instead of one for each small operation: a hundred megabytes less.
    model = eqx.filter_jit(compose)(
        plan.options.model,
        shape=plan.dataset.shape,
        likelihood=plan.likelihood,
        scale=plan.scale,
        binarize=plan.options.data.binarize,
        precision=training.precision,
        data=rows[:: -(-len(rows) // _STARTS)] if wants_data(plan.options.model) else None,
        features=tables.features(plan.dataset),
        classes=plan.classes,
        classify=parts_of("objective", training.objective.name).constructor.needs_labels,
        key=model_key,
    )
    goal = objective(
        training,
        steps=plan.iterations,
        latent_dim=plan.options.model.latent_dim,
        key=jax.random.fold_in(model_key, _OBJECTIVE),
    )
    _check_free_bits(model, getattr(goal, "free_bits", 0.0))
    mover = optimizer(training, plan.iterations)
    validates = len(plan.dataset.validation) > 0
    state = init_state(model, goal, mover, run_key, keep_best=validates)
    environment.release_memory()
    return Parts(model, goal, mover, state)


def _check_free_bits(model: LatentVariableModel, free_bits: float) -> None:
    """Refuses free bits where there is no KL of each latent, before anything is written.

    Raises:
        ValueError: One line with the mend.
    """

    def kl(x: Any) -> Any:
        condition = jnp.zeros(model.condition_dim) if model.condition_dim else None
        return kl_per_dimension(model.encode(x, condition), model.prior_distribution(condition))

    example = jax.ShapeDtypeStruct(model.shape, jnp.float32)
    if free_bits > 0 and eqx.filter_eval_shape(kl, example) is None:
        raise ValueError(
            f"free_bits (--free-bits) is {free_bits:g}, of the KL of each latent, and prior and "
            "posterior do not both factorise: leave it out, or take --prior standard-normal and "
            "--posterior diagonal-normal"
        )


@contextlib.contextmanager
def on_device(name: str | None) -> Iterator[Any]:
    """Computes on the named device inside the block.

    Raises:
        DeviceError: There is none of that kind.
    """
    device = environment.device(name)
    if name is None:
        yield device
    else:
        with jax.default_device(device):
            yield device


def begin(run: Run, plan: Plan, parts: Parts, device: Any) -> None:
    """Writes ``config.json``: from here on the folder is a run, and can be resumed."""
    run.write_config(
        plan.to_config(
            parameters=parts.parameters,
            device=device.device_kind,
            versions=environment.versions(),
        )
    )


@contextlib.contextmanager
def resumable(run: Run, progress: Progress) -> Iterator[SignalWatch]:
    """Inside the block a signal, or a full disk, ends the run in one line that says how to resume.

    Raises:
        Interrupted: By a signal; the state is saved.
        WriteError: The disk is full; the last checkpoint is still there.
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


def fit_and_measure(
    run: Run, plan: Plan, parts: Parts, progress: Progress, watch: SignalWatch
) -> LatentVariableModel:
    """Trains from the newest checkpoint, or from step 0, to the end; measures; writes the results.

    Returns:
        The run's model.

    Raises:
        Interrupted: By a signal; the state is saved.
        Diverged: The last good state is saved.
        WriteError: The disk is full; the last checkpoint is still there.
    """
    with Checkpoints(run / CHECKPOINTS) as checkpoints:
        watch.defer = True
        state, outcome, clock = _train(run, plan, parts, checkpoints, progress, watch)
        watch.defer = False
        if watch.received is not None:
            raise Interrupted(watch.received, f" at step {int(state.step):,}, saved")
    model, which = _save_models(run, parts, state, plan, progress)
    results = _measure(plan, parts, model, which, state, outcome, clock)
    files.write_json(run / RESULTS, results)
    return model


def _train(
    run: Run,
    plan: Plan,
    parts: Parts,
    checkpoints: Checkpoints,
    progress: Progress,
    watch: SignalWatch,
) -> tuple[State, Outcome, Clock]:
    """The loop between the loop's reports. Ends early, the state saved, when a signal has come."""
    training = plan.options.training
    state, clock = _restore(run, parts, checkpoints, progress)
    if int(state.step):
        progress.note(f"from    step {int(state.step):,}")
    saved_at = started = time.monotonic()
    before = clock.seconds
    outcome = Outcome.FINISHED
    for report in _fit(plan, parts, state):
        state = report.state
        _log(run, report, last=plan.iterations)
        clock.compile_seconds += report.compile_seconds
        if report.compile_seconds:
            environment.release_memory()
        if report.step > report.first_step:
            clock.chunk_ms.append(1e3 * report.seconds / (report.step - report.first_step))
        clock.seconds = before + time.monotonic() - started
        if report.outcome is Outcome.DIVERGED:
            _save(run, checkpoints, state, clock)
            _give_up(run, parts, state, report, progress, plan)
        progress.progressed(report, plan)
        _remark(report, plan, progress)
        stop = report.outcome is not None or watch.received is not None
        if stop or time.monotonic() - saved_at >= training.checkpoint_seconds:
            _save(run, checkpoints, state, clock)
            saved_at = time.monotonic()
        if report.outcome is not None:
            outcome = report.outcome
        if watch.received is not None:
            break
    progress.settled()
    if outcome is Outcome.STOPPED_EARLY and state.best is not None:
        progress.note(
            f"note    stopped at step {int(state.step):,}: no better validation since step "
            f"{int(state.best.step):,}, whose parameters are kept"
        )
    return state, outcome, clock


def _fit(plan: Plan, parts: Parts, state: State) -> Iterator[Report]:
    training = plan.options.training
    validation = rows_of(plan, "validation") if len(plan.dataset.validation) else None
    return fit(
        parts.model,
        parts.objective,
        rows_of(plan, "train"),
        optimizer=parts.optimizer,
        batch_size=training.batch_size,
        steps=plan.iterations,
        state=state,
        transform=parts.model.preprocessing,
        validation=validation,
        validate_every=training.validate_every,
        patience=training.patience,
    )


def rows_of(plan: Plan, split: str) -> Batch:
    """The rows of a split on the device, with their labels where training is told them."""
    rows, data_size = plan.dataset.split(split), len(plan.dataset.train)
    x, label, condition = jnp.asarray(rows.x), None, None
    if plan.options.model.condition == "label" and rows.label is not None:
        condition = jnp.asarray(labels.one_hot(rows.label, plan.classes))
    elif plan.classes and rows.label is not None:
        count = plan.options.data.labelled
        # Of few labels none is for validation: then they would be more.
        shown = count if split == "train" or count is None else 0
        label = jnp.asarray(labels.shown(rows.label, shown, plan.options.run.seed))
    return Batch(x, label=label, data_size=data_size, condition=condition)


def _restore(
    run: Run, parts: Parts, checkpoints: Checkpoints, progress: Progress
) -> tuple[State, Clock]:
    """The newest whole checkpoint, with the log cut back to it; step 0 where there is none."""
    restored = checkpoints.restore(parts.state)
    for warning in restored.warnings:
        progress.note(f"warning {warning}")
    metrics.cut(run / METRICS, 0 if restored.state is None else int(restored.state.step))
    if restored.state is None:
        return parts.state, Clock()
    return restored.state, Clock(**restored.extra)


def _log(run: Run, report: Report, *, last: int) -> None:
    """Appends a chunk's steps, and its validation, to the log."""
    rows: list[dict[str, Any]] = []
    scalars = {name: values for name, values in report.metrics.items() if values.ndim == 1}
    per_latent = report.metrics.get("kl_per_latent")
    for i in range(report.step - report.first_step):
        step = report.first_step + i + 1
        row: dict[str, Any] = {"step": step}
        row.update({name: float(values[i]) for name, values in scalars.items()})
        if per_latent is not None and (step % _KL_EVERY == 0 or step == last):
            row["kl_per_latent"] = [float(value) for value in per_latent[i]]
        rows.append(row)
    if report.validation is not None:
        numbers = {n: v.tolist() for n, v in report.validation.items()}
        rows.append({"step": report.step, "evaluation": "validation", **numbers})
    metrics.append(run / METRICS, rows)


def _save(run: Run, checkpoints: Checkpoints, state: State, clock: Clock) -> None:
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(state) if hasattr(leaf, "nbytes"))
    files.check_room(run.path, size + _NOTES)
    checkpoints.save(state, clock.to_json())
    environment.release_memory()


def _remark(report: Report, plan: Plan, progress: Progress) -> None:
    """Says once that validation has stopped improving."""
    best = report.state.best
    if report.validation is None or best is None or report.outcome is not None:
        return
    if report.step - int(best.step) >= _STALLED * plan.options.training.validate_every:
        progress.stalled(int(best.step), float(best.loss))


def _give_up(
    run: Run,
    parts: Parts,
    state: State,
    report: Report,
    progress: Progress,
    plan: Plan,
) -> None:
    """Saves the last good parameters of a run whose loss stopped being a number."""
    progress.settled()
    model, _ = merge(state.parameters, parts.model, parts.objective)
    step = int(state.step)
    _save_model(run, MODEL, model, {"step": step, "which": "last good"})
    # Before the first step no learning rate has moved anything: the values are too large.
    mend = (
        f"Try a learning rate below {plan.options.training.learning_rate:g}, or --gradient-clip 10"
    )
    if step == 0:
        mend = (
            "The data are too large for float32 sums of squares: scale them (see `elbax inspect`)"
        )
    raise Diverged(f"{report.message}; the state of step {step:,} is kept in {run.path}. {mend}")


def _save_models(
    run: Run, parts: Parts, state: State, plan: Plan, progress: Progress
) -> tuple[LatentVariableModel, str]:
    """Writes the last model and the best by validation; answers with the one that is the run's.

    With patience that is the best one, whether the run stopped early or came to its end first.
    """
    last = finished_model(merge(state.parameters, parts.model, parts.objective)[0], plan, progress)
    best = None
    notes = {"data": plan.dataset.name, "recipe": plan.options.recipe}
    if state.best is not None and np.isfinite(float(state.best.loss)):
        best = last
        if int(state.best.step) != int(state.step):
            best, _ = merge(state.best.parameters, parts.model, parts.objective)
            best = finished_model(best, plan, progress)
        _save_model(run, BEST, best, {**notes, "step": int(state.best.step), "which": "best"})
    patient = plan.options.training.patience is not None
    if patient and best is not None and state.best is not None:
        metadata = {**notes, "step": int(state.best.step), "which": "best"}
        _save_model(run, MODEL, best, metadata)
        return best, "best"
    _save_model(run, MODEL, last, {**notes, "step": int(state.step), "which": "last"})
    return last, "last"


def finished_model(
    model: LatentVariableModel, plan: Plan, progress: Progress
) -> LatentVariableModel:
    """The model after training: with a density fitted to its latents for its prior, if asked."""
    kind = plan.options.training.fit_prior
    if kind == "none":
        return model
    rows = told(model, plan.dataset.train)[:FITTED_ROWS]
    progress.note(
        f"prior   fitting a {kind.replace('-', ' ')} to the latents of {len(rows):,} rows"
    )
    return fitted(model, rows, kind, seed=plan.options.run.seed)


def _save_model(run: Run, name: str, model: eqx.Module, metadata: dict[str, Any]) -> None:
    try:
        save_model(run / name, model, metadata)
    except OSError as error:
        raise files.write_error(run / name, error) from error


def _measure(
    plan: Plan,
    parts: Parts,
    model: LatentVariableModel,
    which: str,
    state: State,
    outcome: Outcome,
    clock: Clock,
) -> dict[str, Any]:
    """The content of ``results.json``."""
    seed = plan.options.run.seed
    splits = {name: plan.dataset.split(name) for name in ("train", "test")}
    bounds = {name: measuring.measure(model, split, seed) for name, split in splits.items()}
    for name, bound in bounds.items():
        if bound is not None and "elbo" not in bound:
            bound["terms"] = _terms(plan, parts, model, state, name)
        units = tables.own_units(plan.dataset, splits[name].x)
        if bound is not None and units is not None:
            bound["log_jacobian"] = units
    rows = told(model, plan.dataset.test if len(plan.dataset.test) else plan.dataset.train)
    best = None
    if state.best is not None and np.isfinite(float(state.best.loss)):
        best = {"step": int(state.best.step), "validation_loss": float(state.best.loss)}
    return {
        "schema": SCHEMA,
        "iterations": int(state.step),
        "seconds": round(clock.seconds, 3),
        "compile_seconds": round(clock.compile_seconds, 3),
        "ms_per_step": round(statistics.median(clock.chunk_ms), 4) if clock.chunk_ms else None,
        **bounds,
        "outcome": outcome.value,
        "model": which,
        "best": best,
        "active_latents": measuring.count_active(model, rows),
        "latent_dim": model.latent_dim,
    }


def _terms(
    plan: Plan, parts: Parts, model: LatentVariableModel, state: State, split: str
) -> dict[str, float]:
    """The loss and its terms on a split, of a model without a bound."""
    _, objective = merge(state.parameters, parts.model, parts.objective)
    return losses(
        model,
        objective,
        rows_of(plan, split),
        batch_size=plan.options.training.batch_size,
        state=state.objective_state,
        step=int(state.step),
        key=evaluation_key(plan.options.run.seed),
    )
