"""``elbax diagnose RUN``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from elbax.cli.parsing import POSITIONAL
from elbax.cli.runs import opened
from elbax.recipes.convert import Checked


@dataclass(frozen=True)
class Arguments(Checked):
    """What ails a run: each figure, its threshold, and the flags to train again with.

    Looked for are posterior collapse, a fixed scale of the likelihood that weighs errors wrongly,
    learned scales at their floor, a prior that the latents do not match, over-fitting, and an
    encoder that does not find the best posterior of its family. All is of rows that training did
    not see, at most 1,000, and every figure stands in --json.
    """

    run: Annotated[Path, POSITIONAL]
    """The run's folder."""
    json: bool = False
    """Print one JSON object."""


def main(arguments: Arguments) -> None:
    """Runs the command."""
    found = opened(arguments.run).diagnose()
    print(json.dumps(found.to_json()) if arguments.json else found)
