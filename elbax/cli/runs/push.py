"""``elbax push RUN org/name``."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from elbax.cli.parsing import POSITIONAL
from elbax.cli.runs import opened, say
from elbax.recipes.convert import Checked
from elbax.run.folder import SCHEMA
from elbax.util.words import counted, size


@dataclass(frozen=True)
class Arguments(Checked):
    """Sends a finished run to the Hugging Face Hub: model, config.json, results, log and pictures.

    With them goes a card made from the run's numbers, and a list of the files with their SHA-256.
    The pictures show some of the data's rows, and config.json has the data's path and the names of
    columns and categories. Log in with `hf auth login`, or set HF_TOKEN
    (pip install 'elbax[hub]').
    """

    run: Annotated[Path, POSITIONAL]
    """The run's folder."""
    place: Annotated[str, POSITIONAL]
    """Where to: org/name, or org/name@branch. It is made if it is not there; a run that was pushed
    there before is replaced, and stays in the repository's history."""
    private: bool = False
    """Make the repository private."""
    license: str | None = None
    """The licence that the card names, as the hub calls it: apache-2.0, cc-by-4.0. Without it:
    none."""
    json: bool = False
    """Print what was pushed as one JSON object."""


def main(arguments: Arguments) -> None:
    """Runs the command."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # a bar for each small file
    from elbax.hub import hub
    from elbax.hub.pushing import push

    place = hub.place(arguments.place)
    done = push(opened(arguments.run), place, private=arguments.private, licence=arguments.license)
    if done.card_kept:
        say(f"note    the card of {place} was edited on the hub, and stays as it is")
    if arguments.json:
        plain = {"run": str(arguments.run), "url": done.url, "commit": done.commit}
        print(json.dumps({"schema": SCHEMA, **plain, "files": done.files}))
        return
    total = sum(done.files.values())
    print(
        f"{done.url}: {counted(len(done.files), 'file')}, {size(total)}, commit {done.commit[:8]}"
    )
    print(
        f'elbax.load("{hub.SCHEME}{place}") loads the model, `elbax pull {place}` fetches the run'
    )
