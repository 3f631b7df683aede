"""``elbax inspect DATA``."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Annotated

from elbax.cli.parsing import POSITIONAL
from elbax.recipes.convert import Checked
from elbax.run.folder import SCHEMA
from elbax.util import environment


@dataclass(frozen=True)
class Arguments(Checked):
    """What data are, without training on them, and what training on them would take."""

    data: Annotated[str, POSITIONAL]
    """A data set's name (see `elbax datasets`), or a path: .npy, .npz, IDX, .csv, .parquet, a
    folder of images."""
    columns: str | None = None
    """What columns of a table are, where not as found: NAME=KIND,NAME=KIND."""
    labels: str | None = None
    """The column of a table that holds labels."""
    recipe: str = "vae"
    """The recipe whose memory and time to estimate."""
    json: bool = False
    """Print one JSON object."""


def main(arguments: Arguments) -> None:
    """Runs the command."""
    environment.prepare()
    from elbax import recipes
    from elbax.data import describe, describe_columns, load
    from elbax.data.tables import parse_kinds
    from elbax.recipes import sizes
    from elbax.report import table_words
    from elbax.run import cost as inspection
    from elbax.run import settle

    recipe, kinds = recipes.find(arguments.recipe), parse_kinds(arguments.columns)
    dataset = load(arguments.data, check=False, kinds=kinds, labels=arguments.labels)
    recipe = sizes.settled_recipe(recipe, dataset)
    description = describe(dataset)
    likelihood, reason = settle.choose(dataset, recipe.options())
    problem = inspection.problem(dataset, recipe, likelihood)
    cost = inspection.estimate(dataset, recipe, likelihood)
    if arguments.json:
        content = {"schema": SCHEMA, **dataclasses.asdict(description)}
        content["likelihood"] = likelihood.name
        content |= {"reason": reason, "recipe": recipe.name, "problem": problem}
        if dataset.columns:
            content["table"] = describe_columns(dataset)
        print(json.dumps({**content, "cost": dataclasses.asdict(cost)}))
        return
    settled = sizes.in_words(recipe.options()) if dataset.columns else None
    for line in inspection.in_words(description, recipe, likelihood, reason, cost, settled):
        print(line)
    for line in table_words.columns(dataset) if dataset.columns else ():
        print(line)
    if problem is not None:
        print(f"problem   {problem}")
