"""Training some runs of a sweep: abreast in one program where their shapes are the same."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from elbax.recipes import compose
from elbax.report.console import Console
from elbax.run import fitting, metrics, training
from elbax.run.fitting import Clock, batch_of
from elbax.run.folder import CHECKPOINTS, METRICS
from elbax.run.progress import Progress
from elbax.run.signals import Interrupted, SignalWatch
from elbax.sweep.members import Member
from elbax.track.tracking import send
from elbax.train import Checkpoints, Diverged, Outcome, Report, State, Trainer
from elbax.train.abreast import Abreast, Joint, shape_of


def train(
    members: Sequence[Member], out: Path, said: Callable[[str], None], watch: SignalWatch
) -> None:
    """Trains the members that are waiting, and leaves each as a run of its own.

    Args:
        members: Members whose options let them train abreast.
        out: The sweep's folder, for the checkpoint of all.
        said: Told what happens.
        watch: The first signal is noted there, and ends training after the chunk.

    Raises:
        Interrupted: By a signal; the state is saved.
        WriteError: The disk is full; what was saved before is still there.
        CheckpointError: Likewise.
    """
    # All are built, the finished too: the checkpoint of all is of all.
    shapes: dict[Any, list[tuple[Member, Trainer]]] = {}
    for member in members:
        trainer = training.build(member.plan)
        shapes.setdefault(shape_of(trainer), []).append((member, trainer))
    for pairs in shapes.values():
        waiting = [(member, trainer) for member, trainer in pairs if member.status == "waiting"]
        if len(pairs) == 1 and waiting:
            _alone(*waiting[0], said, watch)
        elif waiting:
            _Abreast(pairs, out, said, watch).train()


def _alone(
    member: Member, trainer: Trainer, said: Callable[[str], None], watch: SignalWatch
) -> None:
    said(f"train   {member.name}")
    try:
        training.train(member.run, member.plan, trainer, Console(), watch)
    except Diverged as error:
        said(f"note    {member.name}: {error}")
        return
    send(member.run, member.plan, said)


class _Abreast:
    """Members in one program: trained, logged, saved, and each concluded as a run."""

    def __init__(
        self,
        pairs: Sequence[tuple[Member, Trainer]],
        out: Path,
        said: Callable[[str], None],
        watch: SignalWatch,
    ) -> None:
        self._members = [member for member, _ in pairs]
        self._waiting = [member.status == "waiting" for member in self._members]
        self._plan = self._members[0].plan
        self._out, self._said, self._watch = out, said, watch
        names = "\n".join(member.name for member in self._members)
        self._checkpoints = out / CHECKPOINTS / hashlib.sha256(names.encode()).hexdigest()[:16]
        rates = [member.plan.options.training.learning_rate for member in self._members]
        options, steps = self._plan.options.training, self._plan.iterations
        horizon = self._plan.horizon or steps
        self._them = Abreast(
            [trainer for _, trainer in pairs],
            rates if len(set(rates)) > 1 else None,
            functools.partial(compose.optimizer, options, horizon),
        )
        self._ended: list[Outcome | None] = [None] * len(pairs)
        self._clock = Clock()
        self._progress = _Lines(said, self._members, steps)

    def train(self) -> None:
        """Trains from the newest checkpoint to the end, and concludes each run."""
        state = self._fit()
        for i, trainer in enumerate(self._them.at(state)):
            if self._waiting[i]:
                self._conclude(i, trainer)
        shutil.rmtree(self._checkpoints, ignore_errors=True)  # each has its own now

    def _fit(self) -> State:
        options = self._plan.options.training
        rows = len(self._plan.dataset.validation)
        with contextlib.suppress(FileExistsError):
            self._checkpoints.parent.mkdir()  # and not the sweep's, which may have been moved away
        with Checkpoints(self._checkpoints) as checkpoints:
            self._watch.defer = True
            state = self._restore(checkpoints)
            began = saved = time.monotonic() - self._clock.seconds
            for joint in self._them.fit(
                batch_of(self._plan, "train"),
                batch_size=options.batch_size,
                steps=self._plan.iterations,
                state=state,
                ended=self._ended,
                validation=batch_of(self._plan, "validation") if rows else None,
                validate_every=options.validate_every,
                patience=options.patience,
            ):
                state = joint.state
                self._record(joint)
                self._clock.seconds = time.monotonic() - began
                if time.monotonic() - saved >= options.checkpoint_seconds:
                    self._save(checkpoints, state)
                    saved = time.monotonic()
                if self._watch.received is not None:
                    break
            self._save(checkpoints, state)
            self._watch.defer = False
        if self._watch.received is not None:
            raise Interrupted(self._watch.received, f" at step {self._step(state):,}, saved")
        return state

    def _restore(self, checkpoints: Checkpoints) -> State:
        """The newest whole checkpoint, with each log cut back to it."""
        state = self._them.state
        restored = checkpoints.restore(state)
        for warning in restored.warnings:
            self._said(f"warning {warning}")
        if restored.state is not None:
            state = restored.state
            self._clock = Clock(**restored.extra["clock"])
            self._ended = [None if one is None else Outcome(one) for one in restored.extra["ended"]]
            self._said(f"from    step {self._step(state):,}")
        for member, waits, step in zip(self._members, self._waiting, state.step, strict=True):
            if waits:
                metrics.cut(member.run / METRICS, int(step))
        return state

    def _step(self, state: State) -> int:
        return int(np.max(np.asarray(state.step)))

    def _save(self, checkpoints: Checkpoints, state: State) -> None:
        ended = [None if one is None else one.value for one in self._ended]
        extra = {"clock": self._clock.to_json(), "ended": ended}
        fitting.save(checkpoints, self._out, state, extra)

    def _record(self, joint: Joint) -> None:
        """After a chunk: each log, the clock, what is said."""
        told: list[tuple[int, Report]] = [
            (i, report) for i, report in enumerate(joint.reports) if report is not None
        ]
        for i, report in told:
            if self._waiting[i]:
                fitting.log(self._members[i].run, report, self._plan.iterations)
            self._ended[i] = report.outcome
            if report.outcome is Outcome.DIVERGED:
                self._said(f"note    {self._members[i].name}: {report.message}")
        longest = max((report for _, report in told), key=lambda report: report.step)
        self._clock.compile_seconds += longest.compile_seconds
        steps = longest.step - longest.first_step
        if steps:
            self._clock.chunk_ms.append(1e3 * longest.seconds / steps / len(told))
        self._progress.told([report for _, report in told])

    def _conclude(self, i: int, trainer: Trainer) -> None:
        """Leaves a member as a run that every command takes; the time is its share of all."""
        member, outcome = self._members[i], self._ended[i] or Outcome.FINISHED
        share = 1 / len(self._members)
        clock = Clock(
            self._clock.seconds * share, self._clock.compile_seconds * share, self._clock.chunk_ms
        )
        with Checkpoints(member.run / CHECKPOINTS) as own:
            fitting.save(own, member.run.path, trainer.state, clock.to_json())
        if outcome is Outcome.DIVERGED:
            step = int(trainer.state.step)
            report = Report(state=trainer.state, first_step=step, step=step, metrics={})
            error = Diverged(f"the training diverged after step {step:,}", report)
            training.keep_last_good(error, member.run, member.plan, trainer)
            return
        quiet: Progress = Console()
        training.conclude(member.run, member.plan, trainer, outcome, clock, quiet)
        send(member.run, member.plan, self._said)
        self._said(f"done    {member.name}")


class _Lines:
    """Lines of progress: ten in a training, and one at least every half minute."""

    def __init__(self, said: Callable[[str], None], members: Sequence[Member], steps: int) -> None:
        self._said, self._steps = said, steps
        self._part, self._at = 0, time.monotonic()
        count = len(members)
        said(f"train   {count} runs in one program: {members[0].name} … {members[-1].name}")

    def told(self, reports: Sequence[Report]) -> None:
        """After a chunk."""
        step = max(report.step for report in reports)
        if reports[0].compile_seconds:
            self._said(f"compiled in {reports[0].compile_seconds:.1f} s")
        part, now = step * 10 // self._steps, time.monotonic()
        if part > self._part or now - self._at > 30:
            self._part, self._at = part, now
            losses = [
                float(np.mean(report.metrics["loss"])) for report in reports if report.metrics
            ]
            spread = f"{min(losses):.2f} to {max(losses):.2f}" if losses else "none"
            self._said(
                f"{step:,}/{self._steps:,}  {len(reports)} going, training loss {spread} nats"
            )
