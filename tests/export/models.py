"""Models to export: each recipe's, small and untrained, and a table's of all kinds of columns."""

import jax
import numpy as np

from elbax.model import ColumnFeatures
from elbax.program.functions import Units
from elbax.recipes import find, parts
from elbax.recipes import options as option_tools
from elbax.recipes.choice import Choice
from elbax.recipes.compose import compose
from elbax.recipes.options import ModelOptions
from elbax.run import settle as plans
from elbax.run import training
from tests.recipes.test_every_recipe import images, tiny

KINDS = (
    "normal", "laplace", "student-t", "log-normal", "continuous-bernoulli", "binary", "poisson",
    "negative-binomial", "categorical-4", "ordinal-5",
)  # fmt: skip


def of_recipe(name: str):
    """A recipe's model, the shape of a datum, and its units."""
    plan = plans.settle(images(), option_tools.replace(find(name).options(), tiny(name)))
    trainer = training.build(plan)
    return training.finished_model(trainer.trained[0], plan), plan.dataset.shape, Units()


def rows_of_table(count: int = 200) -> np.ndarray:
    """Rows of all kinds of columns, as stored, with holes."""
    rng = np.random.default_rng(0)
    columns = [
        rng.normal(size=count), rng.laplace(size=count), rng.standard_t(5, size=count),
        np.exp(rng.normal(size=count)), rng.random(count), rng.integers(0, 2, count),
        rng.poisson(3, count), rng.poisson(30, count), rng.integers(0, 4, count),
        rng.integers(0, 5, count),
    ]  # fmt: skip
    x = np.stack(columns, axis=1).astype(np.float32)
    x[rng.random(x.shape) < 0.1] = np.nan
    return x


def of_table(posterior: str = "diagonal-normal"):
    """A table's model, the shape of a datum, and its units."""
    asked = parts.settled(ModelOptions(latent_dim=3, hidden=(8,), posterior=Choice(posterior)))
    features = ColumnFeatures(KINDS, rows_of_table())
    likelihood = Choice("mixed", (("columns", KINDS),))
    model = compose(
        asked, shape=(len(KINDS),), likelihood=likelihood, features=features, key=jax.random.key(0)
    )
    shift = np.array([3, -2, 1] + 7 * [0], np.float32)
    scale = np.array([2, 0.5, 4, 7, 1] + 5 * [1], np.float32)
    return model, (len(KINDS),), Units(shift, scale)
