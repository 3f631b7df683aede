"""Recipes: named, cited compositions of the parts, one short file per paper.

Imports no jax; `elbax.recipes.compose` does, when a model is built.
"""

from elbax.recipes import aevb as _aevb
from elbax.recipes import iwae as _iwae
from elbax.recipes import vae as _vae
from elbax.recipes.options import DataOptions as DataOptions
from elbax.recipes.options import ModelOptions as ModelOptions
from elbax.recipes.options import Options as Options
from elbax.recipes.options import RunOptions as RunOptions
from elbax.recipes.options import TrainingOptions as TrainingOptions
from elbax.recipes.options import nearest as nearest
from elbax.recipes.recipe import Recipe as Recipe

RECIPES: dict[str, Recipe] = {module.RECIPE.name: module.RECIPE for module in (_vae, _aevb, _iwae)}
"""Every recipe by its name; the first is the default."""


def find(name: str) -> Recipe:
    """The recipe called ``name``.

    Raises:
        ValueError: There is none; names the nearest one.
    """
    if name not in RECIPES:
        raise ValueError(f"unknown recipe '{name}': {nearest(name, RECIPES)}")
    return RECIPES[name]
