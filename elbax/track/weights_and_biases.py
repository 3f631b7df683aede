"""``--track wandb`` and ``--track trackio``, which has the interface of Weights & Biases.

Both read their own environment variables, such as WANDB_PROJECT and WANDB_MODE; without one the
project is "elbax".
"""

from __future__ import annotations

import io
import os
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from elbax.track import place
from elbax.track.tracker import Ending, Scalars, Tracker, library

_SPECIAL: dict[str, dict[str, Any]] = {  # arguments that one of them alone has
    "trackio": {"embed": False, "auto_log_gpu": False, "auto_log_cpu": False},
    "wandb": {},
}


def tracker(name: str, folder: Path) -> Tracker:
    """The run of either library for the run in a folder."""
    return _Run(name, library(name), folder)


class _Run:
    """Resumed by a name that it gives itself."""

    def __init__(self, name: str, package: Any, folder: Path) -> None:
        self._name, self._package, self._folder = name, package, folder
        self._run: Any = None
        self._next = 0

    def begin(self, options: Mapping[str, Any], step: int) -> None:
        del step  # they know what they have
        known = place.remembered(self._folder, self._name)
        own = known or f"{self._folder.name}-{uuid.uuid4().hex[:8]}"
        if known is None:
            place.remember(self._folder, self._name, own)
        named = {"id": own} if self._name == "wandb" else {}
        self._run = self._package.init(
            project=os.environ.get(f"{self._name.upper()}_PROJECT", "elbax"),
            name=own,
            config=dict(options),
            resume="allow",
            **named,
            **_SPECIAL[self._name],
        )
        # Steps only rise: those that were sent before a kill are not sent again.
        self._next = _next_step(self._run) if known is not None else 0

    def scalars(self, rows: Iterable[Scalars]) -> None:
        for step, values in rows:
            if step >= self._next:
                self._run.log(dict(values), step=step)

    def picture(self, name: str, step: int, png: bytes) -> None:
        if step >= self._next:
            image = self._package.Image(Image.open(io.BytesIO(png)))
            self._run.log({name: image}, step=step)

    def file(self, path: Path) -> None:
        self._run.log_artifact(str(path), name=path.name.replace(" ", "-"), type="run")

    def end(self, ending: Ending) -> None:
        code = {} if self._name == "trackio" else {"exit_code": int(ending == "failed")}
        self._run.finish(**code)


def _next_step(run: Any) -> int:
    """The first step that a resumed run has not got."""
    return run.step if hasattr(run, "step") else run._next_step  # noqa: SLF001 (trackio has no other)
