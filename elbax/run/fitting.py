"""Fitting a run on disk: from its newest checkpoint to the last step, with log and progress.

What happens between two chunks of `elbax.train.Trainer.fit` changes no number.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from elbax.model.interfaces import Batch
from elbax.run import labels, metrics
from elbax.run.folder import CHECKPOINTS, METRICS
from elbax.run.signals import Interrupted, SignalWatch
from elbax.train import Checkpoints, Diverged, Outcome, Report, State, Trainer
from elbax.util import environment, files

if TYPE_CHECKING:
    from elbax.run.progress import Progress
    from elbax.run.run import Run
    from elbax.run.settle import Plan

_CHUNKS_KEPT = 1000  # chunk times that a checkpoint carries along, for the median
_STALLED = 5  # validations without a better one before it is remarked on
_KL_EVERY = 100  # steps between logged KLs per latent
_NOTES = 100_000  # bytes of a checkpoint beside its arrays


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
    run: Run, plan: Plan, trainer: Trainer, progress: Progress, watch: SignalWatch
) -> tuple[Trainer, Outcome, Clock]:
    """Trains from the newest checkpoint, or from step 0, to the end; the last state is saved.

    Args:
        run: The run's folder.
        plan: The run, settled.
        trainer: What `elbax.run.training.build` made of it.
        progress: Where progress goes.
        watch: The first signal is noted there, and ends training after the chunk.

    Raises:
        Interrupted: By a signal; the state is saved.
        Diverged: The last good state is saved.
        CheckpointError: The state could not be saved; the last checkpoint is still there.
    """
    with Checkpoints(run / CHECKPOINTS) as checkpoints:
        watch.defer = True
        trainer, clock = _restore(run, trainer, checkpoints, progress)
        recorder = _Recorder(run, plan, checkpoints, progress, clock)
        try:
            outcome = Outcome.STOPPED_EARLY
            if not _stopped_early(run, plan, trainer):
                trainer, outcome = _fit(plan, trainer, recorder, watch)
        except Diverged as error:
            recorder.save(error.report.state)
            raise
        finally:
            progress.settled()
        recorder.save(trainer.state)
        watch.defer = False
    step, best = int(trainer.state.step), trainer.best
    if watch.received is not None:
        raise Interrupted(watch.received, f" at step {step:,}, saved")
    if outcome is Outcome.STOPPED_EARLY and best is not None:
        progress.note(
            f"note    stopped at step {step:,}: no better validation since step "
            f"{int(best.step):,}, whose parameters are kept"
        )
    return trainer, outcome, clock


def _fit(
    plan: Plan, trainer: Trainer, recorder: _Recorder, watch: SignalWatch
) -> tuple[Trainer, Outcome]:
    training = plan.options.training
    return trainer.fit(
        batch_of(plan, "train"),
        batch_size=training.batch_size,
        steps=plan.iterations,
        validation=batch_of(plan, "validation") if len(plan.dataset.validation) else None,
        validate_every=training.validate_every,
        patience=training.patience,
        callback=recorder,
        interrupted=lambda: watch.received is not None,
    )


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


def batch_of(plan: Plan, split: str) -> Batch:
    """The rows of a split on the device, with the labels that the model is trained with."""
    rows, data_size = plan.dataset.split(split), len(plan.dataset.train)
    x, label, condition = jnp.asarray(rows.x), None, None
    if plan.options.model.condition == "label" and rows.label is not None:
        condition = jnp.asarray(labels.one_hot(rows.label, plan.classes))
    elif plan.classes and rows.label is not None:
        count = plan.options.data.labelled
        # Where only some rows are labelled, no validation row is: labels would add to their number.
        shown = count if split == "train" or count is None else 0
        label = jnp.asarray(labels.shown(rows.label, shown, plan.options.run.seed))
    return Batch(x, label=label, data_size=data_size, condition=condition)


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
        self._started = self._saved_at = time.monotonic()

    def __call__(self, report: Report) -> None:
        """Records a chunk."""
        self._log(report)
        self._time(report)
        if report.outcome is Outcome.DIVERGED:
            return
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
        size = sum(leaf.nbytes for leaf in jax.tree.leaves(state) if hasattr(leaf, "nbytes"))
        files.check_room(self._run.path, size + _NOTES)
        self._checkpoints.save(state, self._clock.to_json())
        environment.release_memory()

    def _log(self, report: Report) -> None:
        """Appends a chunk's steps, and its validation, to the log."""
        rows: list[dict[str, Any]] = []
        scalars = {name: values for name, values in report.metrics.items() if values.ndim == 1}
        per_latent = report.metrics.get("kl_per_latent")
        for i, step in enumerate(range(report.first_step + 1, report.step + 1)):
            row: dict[str, Any] = {"step": step}
            row.update({name: float(values[i]) for name, values in scalars.items()})
            if per_latent is not None and (step % _KL_EVERY == 0 or step == self._plan.iterations):
                row["kl_per_latent"] = [float(value) for value in per_latent[i]]
            rows.append(row)
        if report.validation is not None:
            numbers = {name: values.tolist() for name, values in report.validation.items()}
            rows.append({"step": report.step, "evaluation": "validation", **numbers})
        metrics.append(self._run / METRICS, rows)

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
