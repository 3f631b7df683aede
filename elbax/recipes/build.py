"""From options and training rows to a `Trainer`: model, objective, optimiser and first state.

Every random number comes from the seed: `elbax.util.keys.keys` gives the key of the model's
weights and the key of the run.
"""

from __future__ import annotations

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from elbax.model.distributions.divergences import kl_per_dimension
from elbax.model.interfaces import AbstractObjective
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.model.networks.columns import ColumnFeatures
from elbax.model.preprocessing import Preprocessing
from elbax.recipes import parts
from elbax.recipes.choice import Choice
from elbax.recipes.compose import compose, objective, optimizer, wants_data
from elbax.recipes.options import ModelOptions, TrainingOptions
from elbax.train.state import init_state
from elbax.train.trainer import Trainer
from elbax.util import environment
from elbax.util.keys import keys, stream

_STARTS = 2000  # rows, evenly spaced, that a prior may start at


@functools.cache
def _compose() -> Any:
    # One program for the whole composition instead of one for each small operation: faster, and a
    # hundred megabytes less.
    return eqx.filter_jit(compose, **environment.quick_compilation())


def build(
    model: ModelOptions,
    training: TrainingOptions,
    rows: np.ndarray,
    *,
    likelihood: Choice,
    steps: int,
    seed: int,
    keep_best: bool = False,
    preprocessing: Preprocessing = Preprocessing(),  # noqa: B008 - frozen
    features: ColumnFeatures | None = None,
    holed: bool = False,
    classes: int = 0,
    share_programs: bool = False,
) -> Trainer:
    """What the options describe, for data like these rows, before the first step.

    Args:
        model: The model's options, settled (`parts.settled`).
        training: The options of training.
        rows: The training rows as stored; a prior may start at some of them.
        likelihood: The family of p(x|z).
        steps: The length of the run, for schedules.
        seed: Of the weights and of all that is drawn in training.
        keep_best: Whether the state has room for the best parameters by validation.
        preprocessing: How a stored value becomes the number that the likelihood is of
            (`elbax.recipes.compose.reading`).
        features: What the encoder sees of a table's columns; None elsewhere.
        holed: Whether elements of other data are missing, NaN.
        classes: How many labels there are, where the model is conditioned on them or classifies.
        share_programs: Whether all builds of the same composition share one objective, one
            optimiser and their compiled programs. An objective's own weights are then the same
            for every seed.

    Raises:
        ValueError: Parts that do not exist or do not fit together; one line.
    """
    model_key, run_key, _ = keys(seed)
    composed = _compose()(
        model,
        shape=rows.shape[1:],
        likelihood=likelihood,
        preprocessing=preprocessing,
        precision=training.precision,
        data=rows[:: -(-len(rows) // _STARTS)] if wants_data(model) else None,
        features=features,
        holes=() if features is None else tuple(np.isnan(rows).mean(axis=0).tolist()),
        holed=holed,
        classes=classes,
        classify=parts.find("objective", training.objective.name).constructor.needs_labels,
        key=model_key,
    )
    if share_programs:
        length = steps if training.has_horizon else 0
        minimised, chosen, programs = _shared(model, training, features, length)
    else:
        minimised = objective(
            training,
            steps=steps,
            latent_dim=model.latent_dim,
            key=stream(model_key, "objective"),
        )
        chosen, programs = optimizer(training, steps), {}
    _check_free_bits(composed, minimised)
    state = init_state(composed, minimised, chosen, run_key, keep_best=keep_best)
    return Trainer(composed, minimised, chosen, state, programs)


@functools.lru_cache(maxsize=64)
def _shared(
    model: ModelOptions, training: TrainingOptions, features: ColumnFeatures | None, steps: int
) -> tuple[AbstractObjective, Any, dict[Any, Any]]:
    """Objective, optimiser and compiled programs of a composition: the same objects every time."""
    del features  # programs differ by them
    own = jax.random.key(0)
    minimised = objective(training, steps=steps, latent_dim=model.latent_dim, key=own)
    return minimised, optimizer(training, steps), {}


def _check_free_bits(model: LatentVariableModel, minimised: AbstractObjective) -> None:
    """Refuses free bits where there is no KL of each latent.

    Raises:
        ValueError: One line with the mend.
    """
    free_bits = getattr(minimised, "free_bits", 0.0)

    def kl(x: Any) -> Any:
        condition = jnp.zeros(model.condition_dim) if model.condition_dim else None
        return kl_per_dimension(model.encode(x, condition), model.prior_distribution(condition))

    example = jax.ShapeDtypeStruct(model.shape, jnp.float32)
    if free_bits > 0 and eqx.filter_eval_shape(kl, example) is None:
        raise ValueError(
            f"free_bits (--free-bits) is {free_bits:g}, of the KL of each latent, and prior and "
            "posterior do not both factorise: leave it out, or take --prior standard-normal and "
            "--posterior diagonal-normal"
        )
