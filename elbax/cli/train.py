"""``elbax train DATA``."""

from __future__ import annotations

import dataclasses
import json
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from elbax import recipes
from elbax.cli.parsing import check_flags, parse, split_dotted, value_of
from elbax.recipes import options as option_tools
from elbax.recipes import settings
from elbax.recipes.options import (
    PARTS,
    SHORT,
    DataOptions,
    ModelOptions,
    Options,
    RunOptions,
    ShortOptions,
    TrainingOptions,
    one_length,
)
from elbax.report.console import Console
from elbax.run.run import Run
from elbax.util import environment


@dataclass(frozen=True)
class Arguments:
    """Train a model on data, measure it, draw its figures and leave it all in a folder.

    Options come from the recipe, then from the TOML file of --config, then from these flags; later
    ones win.
    """

    data: Annotated[
        str | None, tyro.conf.Positional, tyro.conf.arg(help_behavior_hint="(required)")
    ] = None
    """A data set's name (see `elbax datasets`), or a path: .npy, .npz, IDX, .csv, .parquet, a
    folder of images."""
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


def main(words: Sequence[str]) -> int:
    """Runs the command; returns its exit status."""
    check_flags(Arguments, "train", words)
    words, of_parts = split_dotted(words)
    try:
        arguments = parse(Arguments, "train", words, _defaults(words))
    except SystemExit:  # after --help
        _name_the_parts()
        raise
    if arguments.data is None:
        raise ValueError("`elbax train` needs DATA; see `elbax train --help`")
    # Two flags for one length are refused, and the later word of a flag wins over a file's epochs.
    flags = {name: value_of(f"--{name}", words) for name in ("iterations", "epochs")}
    lengths = one_length({name: text for name, text in flags.items() if text is not None})
    training = arguments.training
    if "iterations" in lengths:
        training = dataclasses.replace(training, epochs=None)
    options = Options(
        arguments.recipe,
        arguments.model,
        training,
        arguments.reading,
        arguments.run,
        _asked(words, arguments.config),
    )
    options = option_tools.replace(options, {**of_parts, **vars(arguments.short)})
    environment.prepare(options.run.device)
    from elbax.workflow import start

    console = Console(sys.stderr, None if arguments.json else sys.stdout)
    run = start(arguments.data, options, console)
    if arguments.json and not options.run.dry_run:
        print(json.dumps(summary(run)))
    return 0


def _defaults(words: Sequence[str]) -> Arguments:
    """What the flags start from: the recipe's options with those of the TOML file over them."""
    recipe, config = value_of("--recipe", words), value_of("--config", words)
    if {"-h", "--help"} & set(words) and recipe not in recipes.RECIPES:
        recipe = None
    options, data = settings.settle(recipe=recipe, config=config, keywords={})
    return Arguments(
        None if data is None else str(data),
        options.model,
        options.training,
        ShortOptions(),
        options.data,
        options.run,
        options.recipe,
        Path(config) if config is not None else None,
    )


def _asked(words: Sequence[str], config: Path | None) -> frozenset[str]:
    """The options that the words or the file give."""
    flags = {word.split("=", 1)[0].removeprefix("--") for word in words if word.startswith("--")}
    typed = {flag.removeprefix("no-").replace("-", "_") for flag in flags}
    written = settings.read_toml(config) if config is not None else {}
    # A short word is one for an option of the objective.
    given = {"objective" if name in SHORT else name for name in typed | written.keys()}
    return frozenset(given & set(option_tools.option_names()))


def _name_the_parts() -> None:
    """The names that the help of --prior and its like leaves out: only the parts know them."""
    environment.prepare()
    from elbax.recipes import parts

    print("parts (`elbax parts` has their options and sources):")
    for kind in PARTS:
        names = textwrap.wrap(", ".join(parts.catalogue(kind)), 78, break_on_hyphens=False)
        print(f"  --{kind:<12}", f"\n{'':<17}".join(names))


def summary(run: Run) -> dict:
    """The object that ``--json`` prints: the run's folder, then ``results.json``."""
    results = run.results or {}
    return {"schema": results["schema"], "run": str(run.path), **results}
