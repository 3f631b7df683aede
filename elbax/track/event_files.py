"""``--track tensorboard``: event files in the run's ``tensorboard/``.

``tensorboard --logdir runs`` shows those of all runs.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from elbax.run.folder import EVENTS
from elbax.track.tracker import Ending, Scalars, Tracker, library


def tracker(name: str, folder: Path) -> Tracker:
    """The event files of the run in a folder."""
    return _EventFiles(library(name), folder / EVENTS)


class _EventFiles:
    """Written by tensorboardX."""

    def __init__(self, package: Any, folder: Path) -> None:
        self._package, self._folder = package, folder
        self._writer: Any = None

    def begin(self, options: Mapping[str, Any], step: int) -> None:
        new = not self._folder.exists()
        # The new file says from which step on those before it count no more.
        self._writer = self._package.SummaryWriter(str(self._folder), purge_step=step + 1)
        if new:
            table = "\n".join(f"| {name} | {value} |" for name, value in options.items())
            self._writer.add_text("options", f"| option | value |\n|---|---|\n{table}", 0)

    def scalars(self, rows: Iterable[Scalars]) -> None:
        for step, values in rows:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def picture(self, name: str, step: int, png: bytes) -> None:
        pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
        self._writer.add_image(name, pixels, step, dataformats="HWC")

    def file(self, path: Path) -> None:
        """TensorBoard has no files."""

    def end(self, ending: Ending) -> None:
        del ending  # it is of no interest to TensorBoard
        self._writer.close()
