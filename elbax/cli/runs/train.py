"""``elbax train DATA``."""

from __future__ import annotations

import dataclasses
import json
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from elbax import recipes
from elbax.cli.parsing import POSITIONAL, help_of, read
from elbax.cli.runs.together import ProcessesOptions, first, taken_from
from elbax.recipes import settings
from elbax.recipes.options import (
    PARTS,
    SECTIONS,
    DataOptions,
    ModelOptions,
    Options,
    RunOptions,
    ShortOptions,
    TrainingOptions,
)
from elbax.report.console import Console
from elbax.util import environment

if TYPE_CHECKING:
    from elbax.run.run import Run


@dataclass(frozen=True)
class Arguments:
    """Train a model on data, measure it, draw its figures and leave it all in a folder.

    Options come from the recipe, then from the TOML file of --config, then from these flags; later
    ones win.
    """

    data: Annotated[str | None, POSITIONAL] = None
    """A data set's name (see `elbax datasets`), or a path: .npy, .npz, IDX, .csv, .parquet,
    .h5ad, a folder of images."""
    model: ModelOptions = dataclasses.field(default_factory=ModelOptions)
    training: TrainingOptions = dataclasses.field(default_factory=TrainingOptions)
    short: ShortOptions = dataclasses.field(default_factory=ShortOptions)
    reading: DataOptions = dataclasses.field(default_factory=DataOptions)
    run: RunOptions = dataclasses.field(default_factory=RunOptions)
    processes: ProcessesOptions = dataclasses.field(default_factory=ProcessesOptions)
    recipe: str = "vae"
    """What to start from (see `elbax recipes`)."""
    config: Path | None = None
    """A TOML file with options, at its top or in tables [model], [training], [data] and [run]."""
    json: bool = False
    """Print the results as one JSON object on standard output."""


def main(words: Sequence[str]) -> None:
    """Runs the command."""
    given = read(Arguments, "train", words)
    wants_help = given.pop("help", False)
    recipe, config = given.pop("recipe", None), given.pop("config", None)
    data, as_json = given.pop("data", None), given.pop("json", False)
    if wants_help:
        known = recipe if recipe in recipes.RECIPES else None
        options, _ = settings.settle(recipe=known, config=config, keywords={})
        print(help_of(Arguments, "train", defaults(options), names_of_parts()))
        raise SystemExit(0)
    together = taken_from(given)
    options, data_of_file = settings.settle(recipe=recipe, config=config, keywords=given)
    data = data or data_of_file
    if data is None:
        raise ValueError("`elbax train` needs DATA; see `elbax train --help`")
    environment.prepare(options.run.device)
    together.join()
    from elbax.workflow import start

    console = Console(sys.stderr, None if as_json else sys.stdout)
    run = start(str(data), options, console if first() else Console())
    if as_json and not options.run.dry_run and first():
        print(json.dumps(summary(run)))


def defaults(options: Options) -> dict[str, Any]:
    """The defaults that the help shows: those of the recipe and the file."""
    sections = [vars(getattr(options, section)) for section in SECTIONS]
    return {name: value for section in sections for name, value in section.items()}


def names_of_parts() -> str:
    """The names that the help of --prior and its like leaves out: only the parts know them."""
    environment.prepare()
    from elbax.recipes import parts

    lines = ["parts (`elbax parts` has their options and sources):"]
    for kind in PARTS:
        names = textwrap.wrap(", ".join(parts.catalogue(kind)), 78, break_on_hyphens=False)
        lines.append(f"  --{kind:<12} " + f"\n{'':<17}".join(names))
    return "\n".join(lines)


def summary(run: Run) -> dict:
    """The object that ``--json`` prints: the run's folder, then ``results.json``."""
    results = run.results or {}
    return {"schema": results["schema"], "run": str(run.path), **results}
