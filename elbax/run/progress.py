"""What a training run says while it trains; `elbax.report.console` says it to a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from elbax.run.settle import Plan
    from elbax.train.loop import Report


@runtime_checkable
class Progress(Protocol):
    """Takes what happens during training."""

    def note(self, line: str) -> None:
        """One line."""
        ...

    def progressed(self, report: Report, plan: Plan) -> None:
        """How far the training is, after a chunk of steps."""
        ...

    def stalled(self, step: int, loss: float) -> None:
        """Validation has stopped improving since a step with this loss (nats)."""
        ...

    def doing(self, words: str) -> None:
        """What is being done that takes a while, until `settled` or the next such."""
        ...

    def settled(self) -> None:
        """The training is over, well or not, or what was being done."""
        ...
