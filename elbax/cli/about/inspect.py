"""``elbax inspect DATA``."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Annotated

from elbax.cli.parsing import POSITIONAL
from elbax.recipes import options as option_tools
from elbax.recipes.convert import Checked
from elbax.recipes.options import DataOptions
from elbax.run.folder import SCHEMA
from elbax.util import environment


@dataclass(frozen=True)
class Arguments(Checked):
    """What data are, without training on them, and what training on them would take."""

    data: Annotated[str, POSITIONAL]
    """A data set's name (see `elbax datasets`), or a path: .npy, .npz, IDX, a table, a folder of
    images."""
    reading: DataOptions = dataclasses.field(default_factory=DataOptions)
    recipe: str = "vae"
    """The recipe whose memory and time to estimate."""
    json: bool = False
    """Print one JSON object."""


def main(arguments: Arguments) -> None:
    """Runs the command."""
    environment.prepare()
    from elbax import recipes
    from elbax.data import describe, describe_columns
    from elbax.recipes import sizes
    from elbax.report import table_words
    from elbax.run import cost as inspection
    from elbax.run import settle

    changes = {
        name: value
        for name, value in vars(arguments.reading).items()
        if value != getattr(DataOptions, name)
    }
    options = option_tools.replace(recipes.find(arguments.recipe).options(), changes)
    dataset = settle.load(arguments.data, options, check=False)
    options = sizes.settle(options, dataset)
    description = describe(dataset)
    likelihood, reason = settle.choose(dataset, options)
    problems = inspection.problems(dataset, options, likelihood)
    cost = inspection.estimate(dataset, options, likelihood)
    if arguments.json:
        content = {"schema": SCHEMA, **dataclasses.asdict(description)}
        content["likelihood"] = likelihood.name
        content |= {"reason": reason, "recipe": options.recipe, "notes": list(dataset.notes)}
        content["problems"] = problems
        if dataset.columns:
            content["table"] = describe_columns(dataset)
        print(json.dumps({**content, "cost": dataclasses.asdict(cost)}))
        return
    lines = inspection.in_words(dataset, description, options, likelihood, reason, cost)
    if dataset.columns:
        lines += table_words.columns(dataset)
    for line in lines + [f"problem   {problem}" for problem in problems]:
        print(line)
