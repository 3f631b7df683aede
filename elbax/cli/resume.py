"""``elbax resume RUN``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from elbax.cli.parsing import parse
from elbax.cli.train import summary
from elbax.report.console import Narrator
from elbax.run import directory as run_directory
from elbax.util import environment


@dataclass(frozen=True)
class Arguments:
    """Go on with a run exactly where its last checkpoint stands; needs nothing but the folder."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run's folder."""
    iterations: int | None = None
    """Another length, in steps in all (those already taken count); without it, the run's own."""
    seed: int | None = None
    """The run's own seed, if you want to be sure of it: another one is refused."""
    json: bool = False
    """Print the results as one JSON object on standard output."""

    def __post_init__(self) -> None:
        """Refuse a length that no run can have."""
        if self.iterations is not None and self.iterations < 1:
            raise ValueError(
                f"iterations (--iterations) is {self.iterations}: give a whole number of at least 1"
            )


def main(words: Sequence[str]) -> int:
    """Runs the command; returns its exit status."""
    arguments = parse(Arguments, "resume", words)
    config = run_directory.open_existing(arguments.run).config()
    own = config["run"]["seed"]
    if arguments.seed not in (None, own):
        raise ValueError(
            f"seed (--seed) is {arguments.seed}, and {arguments.run} was begun with {own}: a run "
            "goes on with its own; leave --seed out, or train a new run"
        )
    environment.prepare(config["run"]["device"])
    from elbax.run.run import go_on

    narrator = Narrator(sys.stderr, None if arguments.json else sys.stdout)
    directory, results = go_on(arguments.run, narrator, iterations=arguments.iterations)
    if arguments.json:
        print(json.dumps(summary(directory.path, results)))
    return 0
