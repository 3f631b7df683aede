"""Training in memory: the recipe's parts put together, moved by the one loop, and kept as bytes."""

from __future__ import annotations

import dataclasses
import functools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy

from elbax.model.interfaces import AbstractObjective, Batch
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.model.networks.columns import ColumnFeatures
from elbax.model.serialise import load_model, save_model
from elbax.recipes import compatibility, parts
from elbax.recipes.choice import Choice
from elbax.recipes.compose import compose, objective, optimizer, wants_data
from elbax.recipes.options import ModelOptions, TrainingOptions
from elbax.train.loop import Best, Outcome, Report, State, fit, init_state, merge

_STARTS = 2000  # rows, evenly spaced, that a prior may start at
_PROGRAMS = 8  # shapes of data whose programs are kept for each composition

# One program for each composition and shape, not one for each small operation.
_compose = eqx.filter_jit(compose)


@dataclass(frozen=True)
class Movers:
    """What moves the parameters of one composition, with its compiled programs.

    Attributes:
        objective: What is minimised.
        optimizer: Of optax.
        programs: What was compiled, by the shapes of the data (`elbax.train.loop.fit`).
    """

    objective: AbstractObjective
    optimizer: Any
    programs: dict[Any, Any]


@functools.lru_cache(maxsize=64)
def movers(
    model: ModelOptions, training: TrainingOptions, features: ColumnFeatures, steps: int
) -> Movers:
    """The movers of a composition: the same for the same options, so that programs serve again.

    Args:
        model: The model's options.
        training: The options of training.
        features: What the encoder sees: only told apart.
        steps: The length of a schedule.
    """
    del features
    own = jax.random.key(0)  # of the weights that an objective has itself, as FactorVAE's
    goal = objective(training, steps=steps, latent_dim=model.latent_dim, key=own)
    return Movers(goal, optimizer(training, steps), {})


@dataclass(frozen=True)
class Learner:
    """A composition with its state, which a fit moves on.

    Attributes:
        model: The model, with its initial parameters.
        movers: Objective and optimiser.
        state: Where the parameters are.
    """

    model: LatentVariableModel
    movers: Movers
    state: State

    @property
    def trained(self) -> LatentVariableModel:
        """The model with the parameters of the state."""
        return merge(self.state.parameters, self.model, self.movers.objective)[0]


def begin(
    model: ModelOptions,
    training: TrainingOptions,
    features: ColumnFeatures,
    rows: np.ndarray,
    *,
    steps: int,
    seed: int,
) -> Learner:
    """A new model of these columns, and the state before the first step.

    Args:
        model: The model's options.
        training: The options of training.
        features: What the encoder sees of the columns, and what they are.
        rows: The training rows as they are modelled, for a prior that starts at some of them.
        steps: The length of a learning-rate schedule.
        seed: Of the weights and of all that is drawn in training.

    Raises:
        ValueError: Parts that do not exist or do not fit together; one line.
    """
    likelihood = Choice("mixed").with_options({"columns": ",".join(features.columns)})
    model, shape = parts.settled(model), (len(features.columns),)
    moved = movers(model, training, features, 0 if _constant(training) else steps)
    compatibility.check(model, shape, likelihood, moved.objective)
    model_key, run_key, _ = jax.random.split(jax.random.key(seed), 3)
    composed = _compose(
        model,
        shape=shape,
        likelihood=likelihood,
        precision=training.precision,
        data=rows[:: -(-len(rows) // _STARTS)] if wants_data(model) else None,
        features=features,
        key=model_key,
    )
    state = init_state(composed, moved.objective, moved.optimizer, run_key, keep_best=False)
    return Learner(composed, moved, state)


class Diverged(ValueError):
    """The loss stopped being a number."""


@dataclass(frozen=True)
class Progress:
    """What training said, step by step.

    Attributes:
        metrics: The objective's metrics of each step.
        validation: The same of the validation rows, one entry a look.
        validation_steps: After how many steps of this fit each look was.
        steps: How many steps were taken.
    """

    metrics: dict[str, np.ndarray]
    validation: dict[str, np.ndarray]
    validation_steps: np.ndarray
    steps: int


def advance(
    learner: Learner,
    rows: np.ndarray,
    *,
    batch_size: int,
    steps: int,
    validation: np.ndarray | None = None,
    validate_every: int = 1,
    patience: int | None = None,
    watch: Callable[[Report], None] | None = None,
) -> tuple[Learner, Progress]:
    """Takes so many steps more; with validation rows the best parameters are kept.

    Args:
        learner: Where to go on from.
        rows: The training rows as they are modelled.
        batch_size: Rows a step.
        steps: Steps to take, at most.
        validation: Rows that decide when to stop and which parameters to keep.
        validate_every: Steps between two looks at them.
        patience: Looks without a better bound before it stops.
        watch: Told of each chunk.

    Raises:
        Diverged: The loss stopped being a number.
    """
    moved, state = learner.movers, learner.state
    start = int(state.step)
    if len(moved.programs) > _PROGRAMS:
        moved.programs.clear()
    judged = None
    if validation is not None:
        judged = Batch(jnp.asarray(validation), data_size=len(rows))
        state = _without_best(state)
    reports = []
    for report in fit(
        learner.model,
        moved.objective,
        Batch(jnp.asarray(rows), data_size=len(rows)),
        optimizer=moved.optimizer,
        batch_size=batch_size,
        steps=start + steps,
        state=state,
        transform=learner.model.preprocessing,
        validation=judged,
        validate_every=validate_every,
        patience=patience if judged is not None else None,
        programs=moved.programs,
    ):
        if report.outcome is Outcome.DIVERGED:
            raise Diverged(
                f"{report.message}: give a smaller learning_rate_init, or "
                "options={'gradient_clip': 10}"
            )
        reports.append(report)
        if watch is not None:
            watch(report)
    state = _kept(reports[-1].state)
    return dataclasses.replace(learner, state=state), _progress(reports, start)


def model_to_bytes(model: LatentVariableModel) -> bytes:
    """The model as the bytes of its safetensors file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        save_model(path, model)
        return path.read_bytes()


def model_from_bytes(content: bytes) -> LatentVariableModel:
    """The model that `model_to_bytes` wrote.

    Raises:
        ValueError: It is damaged.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        path.write_bytes(content)
        return load_model(path)


def to_bytes(learner: Learner) -> bytes:
    """What training carries along beside the model, as the bytes of a safetensors file."""
    arrays = [_numbers(leaf) for leaf in jax.tree.leaves(_carried(learner.state))]
    return safetensors.numpy.save({str(i): array for i, array in enumerate(arrays)})


def resumed(fresh: Learner, model: LatentVariableModel, carried: bytes) -> Learner:
    """The learner that `to_bytes` wrote, from a new one of the same composition.

    Args:
        fresh: What `begin` gives for the same options.
        model: The trained model.
        carried: What `to_bytes` gave.
    """
    leaves, structure = jax.tree.flatten(_carried(fresh.state))
    arrays = safetensors.numpy.load(carried)
    filled = [
        jax.random.wrap_key_data(jnp.asarray(arrays[str(i)]))
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        else jnp.asarray(arrays[str(i)])
        for i, leaf in enumerate(leaves)
    ]
    of_objective, *rest = jax.tree.unflatten(structure, filled)
    of_model = eqx.filter(model, eqx.is_inexact_array)
    return Learner(model, fresh.movers, State((of_model, of_objective), *rest, best=None))


def _carried(state: State) -> tuple[Any, ...]:
    """All of the state but the parameters of the model."""
    return (
        state.parameters[1],
        state.optimizer_state,
        state.objective_state,
        state.step,
        state.key,
    )


def _numbers(leaf: Any) -> np.ndarray:
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return np.asarray(jax.random.key_data(leaf))
    return np.asarray(leaf)


def _constant(training: TrainingOptions) -> bool:
    """Whether nothing that is compiled knows how long training takes."""
    cycles = "cycles" in dict(training.objective.options)
    return training.learning_rate_schedule == "constant" and not cycles


def _without_best(state: State) -> State:
    best = Best(state.parameters, state.optimizer_state, jnp.asarray(jnp.inf), state.step)
    return dataclasses.replace(state, best=best)


def _kept(state: State) -> State:
    """The state at its best parameters, where something validated; no randomness comes again."""
    best = state.best
    if best is None:
        return state
    moved = {"parameters": best.parameters, "optimizer_state": best.optimizer_state}
    if not np.isfinite(float(best.loss)):
        moved = {}
    return dataclasses.replace(state, best=None, **moved)


def _progress(reports: list[Report], start: int) -> Progress:
    judged = [report for report in reports if report.validation is not None]
    looks = [report.validation for report in judged]
    return Progress(
        metrics=_joined([report.metrics for report in reports], np.concatenate),
        validation=_joined([look for look in looks if look is not None], np.stack),
        validation_steps=np.array([report.step - start for report in judged], int),
        steps=reports[-1].step - start,
    )


def _joined(
    found: list[dict[str, np.ndarray]], join: Callable[[list[np.ndarray]], np.ndarray]
) -> dict[str, np.ndarray]:
    if not found:
        return {}
    return {name: join([each[name] for each in found]) for name in found[0]}
