"""``elbax pull org/name``."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from elbax.cli.parsing import POSITIONAL
from elbax.recipes.convert import Checked
from elbax.run.folder import SCHEMA
from elbax.util.words import counted, size


@dataclass(frozen=True)
class Arguments(Checked):
    """Fetches a run that `elbax push` sent to the Hugging Face Hub, as a folder for every command.

    Each file is compared with its SHA-256, and only files that a run has are fetched. The folder
    appears whole or not at all. A command that looks at the data needs them on this machine too;
    checkpoints stay where they were, so that `elbax resume` begins anew (pip install 'elbax[hub]').
    """

    place: Annotated[str, POSITIONAL]
    """What to fetch: org/name, or org/name@revision (a branch, a tag or a commit)."""
    out: Path | None = None
    """The folder to make. Without it: the next number under runs/."""
    json: bool = False
    """Print what was pulled as one JSON object."""


def main(arguments: Arguments) -> None:
    """Runs the command."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # a bar for each small file
    from elbax.hub import hub
    from elbax.hub.pulling import pull

    place = hub.place(arguments.place)
    done = pull(place, arguments.out)
    if arguments.json:
        plain = {"run": str(done.path), "place": str(place), "commit": done.commit}
        print(json.dumps({"schema": SCHEMA, **plain, "files": done.files}))
        return
    total = sum(done.files.values())
    print(
        f"{done.path}: {counted(len(done.files), 'file')}, {size(total)}, commit {done.commit[:8]}"
    )
