"""elbax on scaled rows: the default recipe of a table, every column continuous."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.tables.sets import Rows
from elbax import evaluate, recipes
from elbax.data import Column, Dataset
from elbax.data.source import Split
from elbax.model import ColumnFeatures, LatentVariableModel
from elbax.model.interfaces import Batch
from elbax.recipes import options as option_tools
from elbax.recipes import sizes
from elbax.recipes.choice import Choice
from elbax.recipes.compose import compose, objective, optimizer
from elbax.recipes.options import Options
from elbax.train import Outcome, fit, init_state, merge

DRAWS = 200  # of an imputation
SAMPLES = 1000  # of log p(x)


def train(rows: Rows, seed: int, *, linked: bool) -> LatentVariableModel:
    """A model of the training rows: the best by the validation rows.

    Args:
        rows: What to train on, and what to stop by.
        seed: Of the weights and of training.
        linked: Whether columns are linked beside z, as `VAEImputer` has them.
    """
    settled = _settled(rows, linked)
    training, width = settled.training, rows.train.shape[1]
    kinds = ("normal",) * width
    # What the encoder takes off is of rows that are scaled already; the same numbers for all seeds
    # are one compiled program for all.
    unit = np.array([[-1.0], [1.0], [np.nan]]) * np.ones(width)
    model_key, run_key = jax.random.split(jax.random.key(seed))
    model = eqx.filter_jit(compose)(
        settled.model,
        shape=(width,),
        likelihood=Choice("mixed").with_options(
            {"columns": ",".join(kinds), "rank": settled.model.links}
        ),
        features=ColumnFeatures(kinds, unit),
        key=model_key,
    )
    goal, mover = objective(training), optimizer(training, training.iterations)
    state = init_state(model, goal, mover, run_key)
    for report in fit(
        model,
        goal,
        Batch(jnp.asarray(rows.train, jnp.float32), data_size=len(rows.train)),
        optimizer=mover,
        batch_size=training.batch_size,
        steps=training.iterations,
        state=state,
        transform=model.preprocessing,
        validation=Batch(jnp.asarray(rows.validation, jnp.float32)),
        validate_every=training.validate_every,
        patience=training.patience,
    ):
        state = report.state
        if report.outcome is Outcome.DIVERGED:
            raise RuntimeError(report.message)
    assert state.best is not None
    return merge(state.best.parameters, model, goal)[0]


def impute(model: LatentVariableModel, rows: Rows, seed: int) -> evaluate.Imputation:
    """The test rows with their missing cells filled."""
    return evaluate.impute(
        model, rows.test.astype(np.float32), key=jax.random.key(seed), samples=DRAWS
    )


def log_p(model: LatentVariableModel, rows: np.ndarray, seed: int) -> np.ndarray:
    """Log p of each row, in nats, of the scaled numbers."""
    found = evaluate.importance(
        model, rows.astype(np.float32), key=jax.random.key(seed), samples=SAMPLES
    )
    return found.log_likelihood


def settings(rows: Rows, *, linked: bool) -> dict[str, Any]:
    """The sizes that the table's rows settle."""
    settled = _settled(rows, linked)
    model, training = settled.model, settled.training
    return {
        "hidden": list(model.hidden),
        "latent_dim": model.latent_dim,
        "iterations": training.iterations,
        "batch_size": training.batch_size,
        "links": model.links,
        "training": dataclasses.asdict(training),
    }


def _settled(rows: Rows, linked: bool) -> Options:
    settled = sizes.settle(recipes.find("vae").options(), _dataset(rows))
    return option_tools.replace(settled, sizes.links(settled)) if linked else settled


def _dataset(rows: Rows) -> Dataset:
    columns = tuple(Column(str(i), "continuous", "double") for i in range(rows.train.shape[1]))
    train, validation, test = (
        Split(x.astype(np.float32), None, None) for x in (rows.train, rows.validation, rows.test)
    )
    return Dataset("rows", "table", "memory", train, validation, test, "", "", columns=columns)
