"""Where a tracker has a run, kept in the run's folder: a resumed run goes on there."""

from __future__ import annotations

import json
from pathlib import Path

from elbax.run.folder import TRACK
from elbax.util import files


def remembered(folder: Path, tracker: str) -> str | None:
    """The tracker's own name of the run; None where it has not met it, or the file is damaged."""
    try:
        found = json.loads((folder / TRACK).read_text(encoding="utf-8"))[tracker]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) else None


def remember(folder: Path, tracker: str, name: str) -> None:
    """Keeps the tracker's own name of the run.

    Raises:
        WriteError: The disk is full, or the folder can't be written.
    """
    files.write_json(folder / TRACK, {tracker: name})
