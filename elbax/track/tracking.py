"""A training that a tracker follows: what is sent, and when."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from elbax.recipes import options as option_tools
from elbax.run.folder import CONFIG, FIGURES, MODEL, REPORT, RESULTS
from elbax.run.progress import Progress
from elbax.run.run import Run
from elbax.run.settle import Plan
from elbax.run.signals import Interrupted
from elbax.track.tracker import Ending, Scalars, Tracker, find
from elbax.train import Report, Trainer, merge
from elbax.util.words import one_line

_POINTS = 1000  # of each curve; metrics.jsonl has every step
_PICTURES = 10  # of reconstructions, during a training
_FILES = (CONFIG, RESULTS, MODEL, REPORT)


@contextlib.contextmanager
def tracked(run: Run, plan: Plan, trainer: Trainer, progress: Progress) -> Iterator[Progress]:
    """What to tell the progress of a training to: the tracker of the run's options hears it too.

    Args:
        run: The run's folder.
        plan: The run, settled.
        trainer: Whose model takes the parameters for pictures.
        progress: Where progress goes.

    Yields:
        `progress` itself where nothing is tracked.

    Raises:
        ValueError: The tracker's package is not installed.
    """
    name = plan.options.run.track
    if name is None:
        yield progress
        return
    following = _Following(find(name, run.path), run, plan, trainer, progress)
    try:
        yield following
    except Interrupted:
        following.end("stopped")
        raise
    except BaseException:
        following.end("failed")
        raise
    following.conclude()


def send(run: Run, plan: Plan, note: Callable[[str], None]) -> None:
    """Sends a run whose training has ended, where its options name a tracker.

    Args:
        run: The run.
        plan: The run, settled.
        note: Told in a line what the tracker could not do.
    """
    name = plan.options.run.track
    if name is None:
        return
    sender = _Sender(find(name, run.path), note)
    sender.do(lambda tracker: tracker.begin(_options(plan), 0))
    history, every = run.history, _every(plan)
    rows = [*_thinned("train", history, every), *_thinned("validation", history["validation"], 1)]
    rows.sort(key=lambda row: row[0])
    sender.do(lambda tracker: tracker.scalars(rows))
    _conclude(sender, run)


class _Sender:
    """Does what it is told with a tracker until that fails; then says so, and does no more."""

    def __init__(self, tracker: Tracker, note: Callable[[str], None]) -> None:
        self._tracker: Tracker | None = tracker
        self._note = note

    def do(self, action: Callable[[Tracker], None]) -> None:
        """One thing."""
        if self._tracker is None:
            return
        try:
            with contextlib.redirect_stdout(sys.stderr):  # they talk, and stdout is for results
                action(self._tracker)
        # A tracker raises what it likes, and no trouble of its server or disk is worth a training.
        except Exception as error:  # noqa: BLE001
            self._tracker = None
            self._note(f"warning the tracker fails and gets no more of this run: {one_line(error)}")


class _Following:
    """Progress that a tracker is told too."""

    def __init__(
        self, tracker: Tracker, run: Run, plan: Plan, trainer: Trainer, progress: Progress
    ) -> None:
        self._sender = _Sender(tracker, progress.note)
        self._run, self._trainer, self._progress = run, trainer, progress
        self._options = _options(plan)
        self._every = _every(plan)
        validations = math.ceil(plan.iterations / plan.options.training.validate_every)
        self._picture_every = plan.options.training.validate_every * math.ceil(
            validations / _PICTURES
        )
        self._begun = False

    def note(self, line: str) -> None:
        self._progress.note(line)

    def stalled(self, step: int, loss: float) -> None:
        self._progress.stalled(step, loss)

    def doing(self, words: str) -> None:
        self._progress.doing(words)

    def settled(self) -> None:
        self._progress.settled()

    def progressed(self, report: Report, plan: Plan) -> None:
        self._progress.progressed(report, plan)
        self._begin(report.first_step)
        steps = np.arange(report.first_step + 1, report.step + 1)
        rows = list(_thinned("train", {"step": steps, **report.metrics}, self._every))
        if report.validation is not None:
            validation = {name: value[None] for name, value in report.validation.items()}
            rows += _thinned("validation", {"step": steps[-1:], **validation}, 1)
        self._sender.do(lambda tracker: tracker.scalars(rows))
        if report.validation is not None and report.step % self._picture_every == 0:
            self._sender.do(lambda tracker: self._draw(tracker, report, plan))

    def conclude(self) -> None:
        """Sends what the finished run has."""
        self._begin((self._run.results or {}).get("iterations", 0))
        _conclude(self._sender, self._run)

    def end(self, ending: Ending) -> None:
        """The training ended otherwise."""
        if self._begun:
            self._sender.do(lambda tracker: tracker.end(ending))

    def _begin(self, step: int) -> None:
        if not self._begun:
            self._begun = True
            self._sender.do(lambda tracker: tracker.begin(self._options, step))

    def _draw(self, tracker: Tracker, report: Report, plan: Plan) -> None:
        from elbax.figures import FigureUnavailable, draw, figure_png

        model, _ = merge(report.state.parameters, self._trainer.model, self._trainer.objective)
        now = self._run.replace(model=model, dataset=plan.dataset)
        with contextlib.suppress(FigureUnavailable):
            tracker.picture("reconstruct", report.step, figure_png(draw("reconstruct", now)))


def _conclude(sender: _Sender, run: Run) -> None:
    """Sends the results, the figures and the files of a finished run."""
    results = run.results or {}
    step = results.get("iterations", 0)
    row = {
        f"measured/{split}/{name}": float(value)
        for split in ("train", "test")
        for name, value in (results.get(split) or {}).items()
        if isinstance(value, int | float)
    }
    sender.do(lambda tracker: tracker.scalars([(step, row)] if row else []))
    for path in sorted((run / FIGURES).glob("*.png")):
        sender.do(
            lambda tracker, path=path: tracker.picture(
                f"figures/{path.stem}", step, path.read_bytes()
            )
        )
    for path in (run / name for name in _FILES):
        if path.exists():
            sender.do(lambda tracker, path=path: tracker.file(path))
    sender.do(lambda tracker: tracker.end("finished"))


def _options(plan: Plan) -> dict[str, Any]:
    """Every option by name, beside the data's and the recipe's."""
    found: dict[str, Any] = {"data": plan.dataset.name, "recipe": plan.options.recipe}
    for section in ("model", "training", "data"):
        values = option_tools.to_json(getattr(plan.options, section))
        found.update(_flat(section, values))
    return {**found, "seed": plan.options.run.seed}


def _flat(name: str, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{name}.{key}", value)
        else:
            yield f"{name}.{key}", value


def _every(plan: Plan) -> int:
    """Of how many steps one is sent."""
    return max(1, plan.iterations // _POINTS)


def _thinned(kind: str, history: Mapping[str, Any], every: int) -> Iterator[Scalars]:
    """The rows of a log at every so many steps, numbers alone."""
    columns = {
        f"{kind}/{name}": values
        for name, values in history.items()
        if name != "step" and isinstance(values, np.ndarray) and values.ndim == 1
    }
    for i, step in enumerate(history["step"]):
        if step % every == 0:
            yield int(step), {name: float(values[i]) for name, values in columns.items()}
