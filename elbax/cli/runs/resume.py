"""``elbax resume RUN``."""

from __future__ import annotations

import dataclasses
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from elbax.cli.parsing import POSITIONAL
from elbax.cli.runs import opened
from elbax.cli.runs.together import ProcessesOptions, first
from elbax.cli.runs.train import summary
from elbax.recipes.convert import Checked, Count, Seed
from elbax.report.console import Console
from elbax.util import environment


@dataclass(frozen=True)
class Arguments(Checked):
    """Resume a run exactly where its last checkpoint stands; needs nothing but the folder.

    A sweep is resumed by its folder too.
    """

    run: Annotated[Path, POSITIONAL]
    """The run's folder."""
    iterations: Count | None = None
    """Another length, in steps in all (those already taken count); without it, the run's own."""
    seed: Seed | None = None
    """The run's own seed, if you want to be sure of it: another one is refused."""
    processes: ProcessesOptions = dataclasses.field(default_factory=ProcessesOptions)
    json: bool = False
    """Print the results as one JSON object on standard output."""


def main(arguments: Arguments) -> None:
    """Runs the command."""
    from elbax.sweep import sweep

    if sweep.is_sweep(arguments.run):
        _resume_sweep(arguments)
        return
    run = opened(arguments.run)
    if arguments.seed not in (None, run.seed):
        raise ValueError(
            f"seed (--seed) is {arguments.seed}, and {run.path} was begun with {run.seed}: a run "
            "keeps its own; leave --seed out, or train a new run"
        )
    arguments.processes.join()
    from elbax.workflow import resume_run

    console = Console(sys.stderr, None if arguments.json else sys.stdout)
    resume_run(run, console if first() else Console(), iterations=arguments.iterations)
    if arguments.json and first():
        print(json.dumps(summary(run)))


def _resume_sweep(arguments: Arguments) -> None:
    from elbax.cli.runs.sweep import say_swept
    from elbax.sweep import sweep

    if arguments.iterations is not None or arguments.seed is not None:
        raise ValueError(
            f"{arguments.run} is a sweep, whose runs keep their own length and seed: leave "
            "--iterations and --seed out, or resume one of its runs"
        )
    environment.prepare(sweep.read(arguments.run)["device"])
    say_swept(sweep.resume(arguments.run, Console(sys.stderr, None)), as_json=arguments.json)
