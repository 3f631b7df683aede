"""Recipes: named, cited compositions of the parts, one short file per paper below `papers`.

Imports no jax; `elbax.recipes.compose` does, when a model is built.
"""

import importlib
import pkgutil

from elbax.recipes import papers
from elbax.recipes.options import DataOptions as DataOptions
from elbax.recipes.options import ModelOptions as ModelOptions
from elbax.recipes.options import Options as Options
from elbax.recipes.options import RunOptions as RunOptions
from elbax.recipes.options import TrainingOptions as TrainingOptions
from elbax.recipes.recipe import Recipe as Recipe
from elbax.util.words import did_you_mean

DEFAULT = "vae"


def _found() -> dict[str, Recipe]:
    """What the files below `papers` hold, the default first and the others by name."""
    found = pkgutil.walk_packages(papers.__path__, f"{papers.__name__}.")
    recipes = [importlib.import_module(one.name).RECIPE for one in found if not one.ispkg]
    ordered = sorted(recipes, key=lambda recipe: (recipe.name != DEFAULT, recipe.name))
    return {recipe.name: recipe for recipe in ordered}


RECIPES: dict[str, Recipe] = _found()
"""Every recipe by its name; the first is the default."""


def find(name: str) -> Recipe:
    """The recipe called ``name``.

    Raises:
        ValueError: There is none; names the nearest one.
    """
    if name not in RECIPES:
        raise ValueError(f"unknown recipe '{name}': {did_you_mean(name, RECIPES)}")
    return RECIPES[name]
