"""What an objective says of data that training did not see: for those that report no bound."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray, PyTree

from elbax.model.interfaces import AbstractObjective, Batch
from elbax.model.latent_variable_model import LatentVariableModel


def losses(
    model: LatentVariableModel,
    objective: AbstractObjective,
    data: Batch,
    *,
    batch_size: int,
    state: PyTree,
    step: int,
    key: PRNGKeyArray,
) -> dict[str, float]:
    """The loss and its scalar terms, averaged over batches as large as those of training.

    An objective that compares the rows of a batch depends on their number, so rows that do not fill
    a batch are left out (but where there are no others).

    Args:
        model: The model.
        objective: The objective.
        data: Rows as stored (the model's preprocessing is applied).
        batch_size: Rows of a batch.
        state: The objective's own.
        step: How many steps were taken, for schedules.
        key: The randomness.
    """
    size = data.x.shape[0]
    batch_size = min(batch_size, size)
    judge = _judge(objective, state, step)
    found = []
    for start in range(0, size - batch_size + 1, batch_size):
        part = jax.tree.map(lambda a, start=start: a[start : start + batch_size], data)
        found.append(judge(model, part, jax.random.fold_in(key, start)))
    return {name: float(jnp.mean(jnp.stack([one[name] for one in found]))) for name in found[0]}


def _judge(objective: AbstractObjective, state: PyTree, step: int) -> Callable[..., dict[str, Any]]:
    @eqx.filter_jit
    def of_batch(model: LatentVariableModel, batch: Batch, key: PRNGKeyArray) -> dict[str, Any]:
        drawn, noise = jax.random.split(key)
        keys = jax.random.split(drawn, batch.x.shape[0])
        seen = eqx.tree_at(lambda b: b.x, batch, jax.vmap(model.preprocessing)(batch.x, keys))
        number = jnp.asarray(step, jnp.int32)
        _, (_, metrics) = objective(model, seen, state=state, step=number, key=noise)
        return {name: value for name, value in metrics.items() if value.ndim == 0}

    return of_batch
