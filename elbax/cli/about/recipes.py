"""``elbax recipes``."""

from __future__ import annotations

import json
from dataclasses import dataclass

from elbax.recipes import RECIPES
from elbax.recipes.convert import Checked


@dataclass(frozen=True)
class Arguments(Checked):
    """The recipes known by name: compositions with training settings, and their sources."""

    json: bool = False
    """Print a JSON list of objects with name, summary, source and meant_for."""


def main(arguments: Arguments) -> None:
    """Runs the command."""
    if arguments.json:
        names = ("name", "summary", "source", "meant_for")
        objects = [{name: getattr(recipe, name) for name in names} for recipe in RECIPES.values()]
        print(json.dumps(objects))
        return
    for recipe in RECIPES.values():
        print(f"{recipe.name:<21} {recipe.summary}")
        meant_for = "a table" if recipe.meant_for == "table" else recipe.meant_for
        print(f"{'':<21} for {meant_for}; {recipe.source}")
