"""``elbax sweep DATA``."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from elbax.cli.parsing import POSITIONAL, help_of, read
from elbax.cli.runs.train import defaults, names_of_parts
from elbax.recipes import settings
from elbax.recipes.convert import Count, convert, flags, hints
from elbax.recipes.options import (
    DataOptions,
    ModelOptions,
    RunOptions,
    ShortOptions,
    TrainingOptions,
)
from elbax.report.console import Console
from elbax.util import environment

if TYPE_CHECKING:
    from elbax.sweep.sweep import Swept


@dataclass(frozen=True)
class SweepOptions:
    """What is done with the runs."""

    seeds: Count | None = None
    """How many seeds to train each combination with, from --seed on."""
    together: Count = 32
    """How many runs may train in one program."""


@dataclass(frozen=True)
class Arguments:
    """Train a run for each combination of options, many in one program, and compare them.

    An option with several values, such as --latent-dim 2,4,8 or --objective.beta 0.5,1,4, is
    varied; all combinations are trained. Runs whose programs are the same but for numbers (seeds,
    learning rates, an objective's weights) train abreast in one, each as it would alone.
    --latent-dim auto tries 1, 2, 4, … and takes the fewest that are as good as the best, by log p
    of validation rows.

    Each run is a folder of its own that every command takes. The same command again, with the same
    --out, goes on where it was interrupted, and so does `elbax resume`.
    """

    data: Annotated[str | None, POSITIONAL] = None
    """A data set's name (see `elbax datasets`), or a path: .npy, .npz, IDX, .csv, .parquet, a
    folder of images."""
    sweep: SweepOptions = dataclasses.field(default_factory=SweepOptions)
    model: ModelOptions = dataclasses.field(default_factory=ModelOptions)
    training: TrainingOptions = dataclasses.field(default_factory=TrainingOptions)
    short: ShortOptions = dataclasses.field(default_factory=ShortOptions)
    reading: DataOptions = dataclasses.field(default_factory=DataOptions)
    run: RunOptions = dataclasses.field(default_factory=RunOptions)
    recipe: str = "vae"
    """What to start from (see `elbax recipes`)."""
    config: Path | None = None
    """A TOML file with options, at its top or in tables [model], [training], [data] and [run]."""
    json: bool = False
    """Print the results as one JSON object on standard output."""


def main(words: Sequence[str]) -> None:
    """Runs the command."""
    given = read(Arguments, "sweep", words)
    wants_help = given.pop("help", False)
    recipe, config = given.pop("recipe", None), given.pop("config", None)
    data, as_json = given.pop("data", None), given.pop("json", False)
    if wants_help:
        options, _ = settings.settle(recipe=None, config=config, keywords={})
        print(help_of(Arguments, "sweep", defaults(options), names_of_parts()))
        raise SystemExit(0)
    own = {
        name: convert(hints(SweepOptions)[name], given.pop(name), flags(name))
        for name in ("seeds", "together")
        if name in given
    }
    environment.prepare(given.get("device"))
    from elbax.sweep import sweep

    found = sweep.start(
        data,
        given,
        seeds=own.get("seeds"),
        recipe=recipe,
        config=config,
        together=own.get("together", sweep.TOGETHER),
        console=Console(sys.stderr, None),
    )
    say_swept(found, as_json=as_json)


def say_swept(found: Swept, *, as_json: bool) -> None:
    """What came of a sweep, on standard output."""
    if as_json:
        print(json.dumps(found.results))
        return
    for line in found.lines:
        print(line)
