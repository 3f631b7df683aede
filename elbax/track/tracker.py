"""What an experiment tracker takes, and which ones there are."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from elbax.util.extras import need

Scalars = tuple[int, Mapping[str, float]]
"""A step, and numbers by name."""

Ending = Literal["finished", "stopped", "failed"]
"""How a training ended: stopped by a signal, or failed by an error."""

_PACKAGES: dict[str, tuple[str, str | None]] = {  # and the extra that brings it
    "mlflow": ("mlflow", "mlflow"),
    "tensorboard": ("tensorboardX", "tensorboard"),
    "trackio": ("trackio", None),
    "wandb": ("wandb", "wandb"),
}
_MODULES = {
    "csv": "comma_separated",
    "mlflow": "mlflow_run",
    "tensorboard": "event_files",
    "trackio": "weights_and_biases",
    "wandb": "weights_and_biases",
}


@runtime_checkable
class Tracker(Protocol):
    """A run in an experiment tracker.

    A run that is resumed goes on in the same place, which is kept in the run's folder.
    """

    def begin(self, options: Mapping[str, Any], step: int) -> None:
        """Goes on after a step: what was sent of later ones counts no more, or is not sent again.

        Args:
            options: Every option of the run by name, such as ``training.learning_rate``.
            step: The last step taken.
        """
        ...

    def scalars(self, rows: Iterable[Scalars]) -> None:
        """Numbers of steps, in their order."""
        ...

    def picture(self, name: str, step: int, png: bytes) -> None:
        """A picture at a step."""
        ...

    def file(self, path: Path) -> None:
        """A file of the run that is worth keeping."""
        ...

    def end(self, ending: Ending) -> None:
        """The training has ended."""
        ...


def find(name: str, folder: Path) -> Tracker:
    """A tracker by its name, for the run in a folder.

    Raises:
        ValueError: Its package is not installed; in one line, with the command that mends it.
    """
    return importlib.import_module(f"elbax.track.{_MODULES[name]}").tracker(name, folder)


def check(name: str | None) -> None:
    """Refuses a tracker whose package is not installed.

    Raises:
        ValueError: In one line, with the command that mends it.
    """
    if name in _PACKAGES:
        library(name)


def library(name: str) -> Any:
    """The package that a tracker is written with.

    Raises:
        ValueError: It is not installed; in one line, with the command that mends it.
    """
    package, extra = _PACKAGES[name]
    return need(package, extra, f"--track {name}")
