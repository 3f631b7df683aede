"""Fitting a run on disk: from its newest checkpoint to the last step, with log and progress.

What happens between two chunks of `elbax.train.Trainer.fit` changes no number.
"""

from __future__ import annotations

import functools
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from elbax.data.errors import DataError
from elbax.model.interfaces import Batch
from elbax.run import labels, metrics
from elbax.run.folder import CHECKPOINTS, METRICS
from elbax.run.signals import Interrupted, SignalWatch
from elbax.train import Checkpoints, Diverged, Outcome, Report, State, Streamed, Trainer
from elbax.train.state import from_arrays, to_arrays
from elbax.util import environment, files, processes, words
from elbax.util.layout import Layout

if TYPE_CHECKING:
    from elbax.run.progress import Progress
    from elbax.run.run import Run
    from elbax.run.settle import Plan

_CHUNKS_KEPT = 1000  # chunk times that a checkpoint carries along, for the median
_STALLED = 5  # validations without a better one before it is remarked on
_KL_EVERY = 100  # steps between logged KLs per latent
_NOTES = 100_000  # bytes of a checkpoint beside its arrays, for each run in it


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


def fit(
    run: Run,
    plan: Plan,
    trainer: Trainer,
    progress: Progress,
    watch: SignalWatch,
    layout: Layout | None = None,
) -> tuple[Trainer, Outcome, Clock]:
    """Trains from the newest checkpoint, or from step 0, to the end; the last state is saved.

    Args:
        run: The run's folder.
        plan: The run, settled.
        trainer: What `elbax.run.training.build` made of it.
        progress: Where progress goes.
        watch: The first signal is noted there, and ends training after the chunk.
        layout: The devices; where they are of several processes, the others `follow`.

    Raises:
        Interrupted: By a signal, to any process; the state is saved.
        Diverged: The last good state is saved.
        CheckpointError: The state could not be saved; the last checkpoint is still there.
        DataError: Rows can no longer be read; the state is saved.
    """
    with Checkpoints(run / CHECKPOINTS) as checkpoints:
        watch.defer = True
        trainer, clock = _restore(run, trainer, checkpoints, progress)
        recorder = _Recorder(run, plan, checkpoints, progress, clock)
        try:
            outcome = Outcome.STOPPED_EARLY
            trainer = _shared(trainer, layout)
            if not _agree(layout, _stopped_early(run, plan, trainer)):
                trainer, outcome = _trained(plan, trainer, watch, layout, recorder)
        except Diverged as error:
            recorder.save(error.report.state)
            raise
        except DataError as error:  # rows that can no longer be read
            recorder.save_last()
            raise DataError(f"{error}; then: {run.resume_command}") from None
        finally:
            progress.settled()
        recorder.save(trainer.state)
        watch.defer = False
    step, best = int(trainer.state.step), trainer.best
    if outcome is Outcome.INTERRUPTED:
        raise _interrupted(watch, f" at step {step:,}, saved")
    if outcome is Outcome.STOPPED_EARLY and best is not None:
        progress.note(
            f"note    stopped at step {step:,}: no better validation since step "
            f"{int(best.step):,}, whose parameters are kept"
        )
    return trainer, outcome, clock


def follow(plan: Plan, trainer: Trainer, layout: Layout | None, watch: SignalWatch) -> None:
    """Takes the steps of `fit` in a process that has no folder to write to.

    Raises:
        Interrupted: By a signal, to any process.
        Diverged: As there.
    """
    watch.defer = True
    trainer = _shared(trainer, layout)
    if _agree(layout, False):  # the first process knows that patience ran out before
        return
    _, outcome = _trained(plan, trainer, watch, layout, None)
    watch.defer = False
    if outcome is Outcome.INTERRUPTED:
        raise _interrupted(watch, "")


def _trained(
    plan: Plan,
    trainer: Trainer,
    watch: SignalWatch,
    layout: Layout | None,
    callback: Callable[[Report], None] | None,
) -> tuple[Trainer, Outcome]:
    training = plan.options.training
    fit_all = functools.partial(
        trainer.fit,
        training_rows(plan),
        batch_size=training.batch_size,
        steps=plan.iterations,
        validation=batch_of(plan, "validation") if len(plan.dataset.validation) else None,
        validate_every=training.validate_every,
        patience=training.patience,
        callback=callback,
        interrupted=lambda: watch.received is not None,
        layout=layout,
    )
    if layout is None or layout.processes == 1:
        return fit_all()
    try:
        return fit_all()
    except jax.errors.JaxRuntimeError as error:
        raise processes.LostProcess(
            f"another process has ended or cannot be reached ({words.reason(error, 160)}): start "
            "all of them again with `elbax resume RUN`"
        ) from None


def _shared(trainer: Trainer, layout: Layout | None) -> Trainer:
    """The trainer at the state of the first process, which has read the checkpoint."""
    if layout is None or layout.processes == 1:
        return trainer
    arrays = layout.arrays_of_first(to_arrays(trainer.state))
    return trainer.with_state(from_arrays(trainer.state, arrays))


def _interrupted(watch: SignalWatch, message: str) -> Interrupted:
    """What a signal ends with; one that another process got is taken for SIGTERM."""
    return Interrupted(watch.received or signal.SIGTERM, message)


def _stopped_early(run: Run, plan: Plan, trainer: Trainer) -> bool:
    """Whether patience ran out before the run was killed: it is then at its end, and unmeasured.

    A run that was measured at this step is being made longer.
    """
    training, step, best = plan.options.training, int(trainer.state.step), trainer.best
    if training.patience is None or best is None or step % training.validate_every:
        return False
    if (run.results or {}).get("iterations") == step:
        return False
    return (step - int(best.step)) // training.validate_every >= training.patience


def _agree(layout: Layout | None, flag: bool) -> bool:
    """Whether any process says so, in all."""
    if layout is None or layout.processes == 1:
        return flag
    return layout.any(flag)


def batch_of(plan: Plan, split: str) -> Batch:
    """The rows of a split on the device, with the labels that the model is trained with."""
    rows, count = plan.dataset.split(split), plan.options.data.labelled
    # Where only some rows are labelled, no validation row is: labels would add to their number.
    shown = count if split == "train" or count is None else 0
    return _batch(rows.x, rows.label, plan, plan.classes, shown)


def training_rows(plan: Plan) -> Batch | Streamed:
    """The rows to train on, on the device; or read block by block, where they do not fit."""
    stream = plan.dataset.stream
    if stream is None:
        return batch_of(plan, "train")
    return Streamed(stream, functools.partial(_batch, plan=plan, classes=plan.classes))


def _batch(
    x: np.ndarray, label: np.ndarray | None, plan: Plan, classes: int, labelled: int | None = None
) -> Batch:
    """Rows on the device, with what the model is trained with of their labels."""
    own, condition = None, None
    if plan.options.model.condition == "label" and label is not None:
        condition = jnp.asarray(labels.one_hot(label, classes))
    elif classes and label is not None:
        own = jnp.asarray(labels.shown(label, labelled, plan.options.run.seed))
    rows = plan.dataset.training_rows
    return Batch(jnp.asarray(x), label=own, data_size=rows, condition=condition)


def _restore(
    run: Run, trainer: Trainer, checkpoints: Checkpoints, progress: Progress
) -> tuple[Trainer, Clock]:
    """The newest whole checkpoint, with the log cut back to it; step 0 where there is none."""
    restored = checkpoints.restore(trainer.state)
    for warning in restored.warnings:
        progress.note(f"warning {warning}")
    if restored.state is None:
        metrics.cut(run / METRICS, 0)
        return trainer, Clock()
    step = int(restored.state.step)
    metrics.cut(run / METRICS, step)
    if step:
        progress.note(f"from    step {step:,}")
    return trainer.with_state(restored.state), Clock(**restored.extra)


def save(checkpoints: Checkpoints, folder: Path, state: State, extra: Mapping[str, Any]) -> None:
    """Saves a checkpoint, where there is room for it.

    Args:
        checkpoints: Where to.
        folder: A folder on the same disk.
        state: The state of a run, or of several.
        extra: What goes with it.

    Raises:
        CheckpointError: It could not be written.
        WriteError: There is no room for it.
    """
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(state) if hasattr(leaf, "nbytes"))
    files.check_room(folder, size + _NOTES * max(np.size(state.step), 1))
    checkpoints.save(state, extra)
    environment.release_memory()


def log(run: Run, report: Report, iterations: int) -> None:
    """Appends a chunk's steps, and its validation, to a run's log.

    Args:
        run: The run.
        report: The chunk.
        iterations: The length of the run: KLs per latent are logged at its end too.

    Raises:
        WriteError: The disk is full.
    """
    rows: list[dict[str, Any]] = []
    scalars = {name: values for name, values in report.metrics.items() if values.ndim == 1}
    per_latent = report.metrics.get("kl_per_latent")
    for i, step in enumerate(range(report.first_step + 1, report.step + 1)):
        row: dict[str, Any] = {"step": step}
        row.update({name: float(values[i]) for name, values in scalars.items()})
        if per_latent is not None and (step % _KL_EVERY == 0 or step == iterations):
            row["kl_per_latent"] = [float(value) for value in per_latent[i]]
        rows.append(row)
    if report.validation is not None:
        numbers = {name: values.tolist() for name, values in report.validation.items()}
        rows.append({"step": report.step, "evaluation": "validation", **numbers})
    metrics.append(run / METRICS, rows)


class _Recorder:
    """After each chunk: the log, the clock, progress, and a checkpoint when it is time."""

    def __init__(
        self,
        run: Run,
        plan: Plan,
        checkpoints: Checkpoints,
        progress: Progress,
        clock: Clock,
    ) -> None:
        self._run = run
        self._plan = plan
        self._checkpoints = checkpoints
        self._progress = progress
        self._clock = clock
        self._seconds_before = clock.seconds
        self._last: State | None = None
        self._started = self._saved_at = time.monotonic()

    def __call__(self, report: Report) -> None:
        """Records a chunk."""
        log(self._run, report, self._plan.iterations)
        self._time(report)
        if report.outcome is Outcome.DIVERGED:
            return
        self._last = report.state
        self._progress.progressed(report, self._plan)
        self._remark(report)
        if time.monotonic() - self._saved_at >= self._plan.options.training.checkpoint_seconds:
            self.save(report.state)
            self._saved_at = time.monotonic()

    def save(self, state: State) -> None:
        """Saves a checkpoint.

        Raises:
            CheckpointError: It could not be written.
            WriteError: There is no room for it.
        """
        save(self._checkpoints, self._run.path, state, self._clock.to_json())

    def save_last(self) -> None:
        """Saves the state after the last chunk, where there was any.

        Raises:
            CheckpointError: It could not be written.
            WriteError: There is no room for it.
        """
        if self._last is not None:
            self.save(self._last)

    def _time(self, report: Report) -> None:
        clock = self._clock
        clock.compile_seconds += report.compile_seconds
        if report.compile_seconds:
            environment.release_memory()
        if report.step > report.first_step:
            clock.chunk_ms.append(1e3 * report.seconds / (report.step - report.first_step))
        clock.seconds = self._seconds_before + time.monotonic() - self._started

    def _remark(self, report: Report) -> None:
        """Says when validation has stopped improving."""
        best = report.state.best
        if report.validation is None or best is None or report.outcome is not None:
            return
        if report.step - int(best.step) >= _STALLED * self._plan.options.training.validate_every:
            self._progress.stalled(int(best.step), float(best.loss))
