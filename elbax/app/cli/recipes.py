"""``elbax recipes``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from elbax.app.cli.parsing import parse
from elbax.recipes import RECIPES


@dataclass(frozen=True)
class Arguments:
    """The recipes known by name: compositions with training settings, and their sources."""

    seed: int = 0
    """Taken as by every command; this one draws nothing, so the number changes nothing."""
    json: bool = False
    """Print a JSON list of objects with name, summary and source."""


def main(words: Sequence[str]) -> int:
    """Runs the command; returns its exit status."""
    arguments = parse(Arguments, "recipes", words)
    if arguments.json:
        names = ("name", "summary", "source")
        objects = [{name: getattr(recipe, name) for name in names} for recipe in RECIPES.values()]
        print(json.dumps(objects))
        return 0
    for recipe in RECIPES.values():
        print(f"{recipe.name:<15} {recipe.summary}")
        print(f"{'':<15} {recipe.source}")
    return 0
