"""``elbax evaluate RUN``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from elbax.app import environment
from elbax.app.cli.parsing import parse
from elbax.app.run_directory import SCHEMA, open_existing
from elbax.app.terminal import bound_in_words


@dataclass(frozen=True)
class Arguments:
    """The evidence lower bound, its reconstruction and its KL, with standard errors over the data.

    In nats per datum. With the run's own seed, split and number of draws these are the numbers that
    training printed.
    """

    run: Annotated[Path, tyro.conf.Positional]
    """The run's folder."""
    data: str | None = None
    """Other data of the same shape: a name or a path. Without it: those of the run."""
    split: Literal["train", "validation", "test", "all"] = "test"
    """Which rows."""
    samples: int | None = None
    """Draws z ~ q(z|x) per datum. Without it: 10, and 1 where there are more than 10,000 rows."""
    seed: int | None = None
    """Seed of the draws. Without it: the run's own."""
    json: bool = False
    """Print one JSON object."""

    def __post_init__(self) -> None:
        """Refuse impossible numbers."""
        if self.samples is not None and self.samples < 1:
            raise ValueError(f"samples (--samples) is {self.samples}: give at least 1")


def main(words: Sequence[str]) -> int:
    """Runs the command; returns its exit status."""
    arguments = parse(Arguments, "evaluate", words)
    config = open_existing(arguments.run).config()
    environment.prepare(config["run"]["device"])
    from elbax.app import apply, job

    applied = apply.open_for(arguments.run, arguments.data)
    rows, _ = applied.rows(arguments.split)
    seed = config["run"]["seed"] if arguments.seed is None else arguments.seed
    bound = job.measure(applied.model, rows, seed, arguments.samples)
    if arguments.json:
        head = {"schema": SCHEMA, "run": str(arguments.run), "data": applied.name}
        print(json.dumps({**head, "split": arguments.split, "rows": len(rows), **(bound or {})}))
    elif bound is not None:
        print(f"{applied.name}, {arguments.split}: {len(rows):,} rows")
        print(bound_in_words(bound))
    return 0
