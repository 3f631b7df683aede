"""Training an estimator: its trainer built, run with early stopping, and kept as bytes."""

from __future__ import annotations

import dataclasses
import functools
import tempfile
from collections.abc import Callable
from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import safetensors.numpy

from elbax.data import Column
from elbax.model.interfaces import Batch
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.model.members import Members
from elbax.model.networks.columns import ColumnFeatures
from elbax.model.serialise import load_model, save_model
from elbax.recipes import compatibility, parts
from elbax.recipes.build import build as build_trainer
from elbax.recipes.choice import Choice
from elbax.recipes.options import Options
from elbax.train import Diverged, History, Report, State, Trainer
from elbax.train.members import together
from elbax.train.state import from_arrays, to_arrays

_PROGRAMS = 8  # shapes of data whose programs are kept for each composition


def features(columns: tuple[Column, ...], rows: np.ndarray) -> ColumnFeatures:
    """What the encoder sees of the columns (`elbax.model.ColumnFeatures`).

    Of standardised columns mean and deviation are 0 and 1 to the last bit, whatever the data: then
    a program that was compiled for other data of the same shape serves these too.

    Args:
        columns: What they are.
        rows: The training rows as they are modelled.
    """
    missing = np.isnan(rows).any()
    rows = np.array(rows[: len(rows) // 2 * 2], np.float64)
    standardised = [column.standardised for column in columns]
    rows[:, standardised] = np.resize([-1.0, 1.0], len(rows))[:, None]
    if missing:
        rows = np.vstack([rows, np.full(len(columns), np.nan)])
    return ColumnFeatures([column.likelihood for column in columns], rows)


def build(
    options: Options,
    features: ColumnFeatures,
    rows: np.ndarray,
    *,
    steps: int,
    seed: int,
    members: int | None = None,
) -> Trainer:
    """A new model of these columns, and the state before the first step.

    Args:
        options: Of the model and of its training.
        features: What the encoder sees of the columns, and what they are.
        rows: The training rows as they are modelled, for a prior that starts at some of them.
        steps: The length of a learning-rate schedule.
        seed: Of the weights and of all that is drawn in training.
        members: How many models to train side by side; None: one, as it is.

    Raises:
        ValueError: Parts that do not exist or do not fit together; one line.
    """
    model, training = parts.settled(options.model), options.training
    columns = {"columns": ",".join(features.columns), "rank": model.links}
    likelihood = Choice("mixed").with_options(columns)
    objective = parts.find("objective", training.objective.name).constructor
    compatibility.check(model, rows.shape[1:], likelihood, objective)
    build_one = functools.partial(
        build_trainer,
        model,
        training,
        rows,
        likelihood=likelihood,
        steps=steps,
        features=features,
        share_programs=True,
    )
    if members is None:
        return build_one(seed=seed)
    others = np.random.default_rng(seed).integers(np.iinfo(np.int32).max, size=members - 1)
    return together([build_one(seed=each) for each in (seed, *others.tolist())])


def train(
    trainer: Trainer,
    rows: np.ndarray,
    *,
    batch_size: int,
    steps: int,
    validation: np.ndarray | None = None,
    validate_every: int = 1,
    patience: int | None = None,
    callback: Callable[[Report], None] | None = None,
) -> tuple[Trainer, History]:
    """Takes so many steps more; with validation rows the best parameters of them are kept.

    Args:
        trainer: Where to continue from.
        rows: The training rows as they are modelled.
        batch_size: Rows a step.
        steps: Steps to take, at most.
        validation: Rows that decide when to stop and which parameters to keep.
        validate_every: Steps between two validations.
        patience: Validations without a better bound before training stops.
        callback: Called with the report of each chunk of steps.

    Raises:
        Diverged: The loss or a gradient stopped being finite.
    """
    if len(trainer.programs) > _PROGRAMS:
        trainer.programs.clear()
    judged, history = None, History()
    if validation is not None:
        judged = Batch(jnp.asarray(validation), data_size=len(rows))
        trainer = trainer.with_room_for_best()

    def both(report: Report) -> None:
        history(report)
        if callback is not None:
            callback(report)

    try:
        trainer, _ = trainer.fit(
            Batch(jnp.asarray(rows), data_size=len(rows)),
            batch_size=batch_size,
            steps=int(trainer.state.step) + steps,
            validation=judged,
            validate_every=validate_every,
            patience=patience if judged is not None else None,
            callback=both,
        )
    except Diverged as error:
        mend = "give a smaller learning_rate_init, or options={'gradient_clip': 10}"
        raise Diverged(f"{error}: {mend}", error.report) from None
    return trainer.at_best(), history


def model_to_bytes(model: LatentVariableModel | Members) -> bytes:
    """The model as the bytes of its safetensors file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        save_model(path, model)
        return path.read_bytes()


def model_from_bytes(content: bytes) -> LatentVariableModel | Members:
    """The model that `model_to_bytes` wrote.

    Raises:
        ValueError: It is damaged.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        path.write_bytes(content)
        return load_model(path)


def state_to_bytes(trainer: Trainer) -> bytes:
    """The state but for the model's parameters, as the bytes of a safetensors file."""
    return safetensors.numpy.save(to_arrays(_without_model(trainer.state)))


def with_state(fresh: Trainer, model: LatentVariableModel | Members, content: bytes) -> Trainer:
    """The trainer whose state `state_to_bytes` wrote.

    Args:
        fresh: What `build` gives for the same options.
        model: The trained model.
        content: What `state_to_bytes` gave.

    Raises:
        ValueError: It is of another composition.
    """
    like, arrays = _without_model(fresh.state), safetensors.numpy.load(content)
    if "0" in arrays:  # written before the arrays had names: they are numbered, in the same order
        arrays = {name: arrays[str(i)] for i, name in enumerate(to_arrays(like))}
    state = from_arrays(like, arrays)
    parameters = (eqx.filter(model, eqx.is_inexact_array), state.parameters[1])
    state = dataclasses.replace(state, parameters=parameters)
    return dataclasses.replace(fresh, model=model, state=state)


def _without_model(state: State) -> State:
    return dataclasses.replace(state, parameters=(None, state.parameters[1]), best=None)
