"""What an objective says of data that training did not see: for those that report no bound."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray, PyTree

from elbax.model.interfaces import AbstractObjective, Batch
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.util.keys import stream


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
    at = (objective, state, jnp.asarray(step, jnp.int32))
    found, own = [], stream(key, "losses")
    for start in range(0, size - batch_size + 1, batch_size):
        part = jax.tree.map(lambda a, start=start: a[start : start + batch_size], data)
        found.append(_of_batch(model, at, part, jax.random.fold_in(own, start)))
    return {name: float(jnp.mean(jnp.stack([one[name] for one in found]))) for name in found[0]}


@eqx.filter_jit
def _of_batch(
    model: LatentVariableModel,
    at: tuple[AbstractObjective, PyTree, Int[Array, ""]],
    batch: Batch,
    key: PRNGKeyArray,
) -> dict[str, Array]:
    objective, state, step = at
    drawn, noise = jax.random.split(key)
    keys = jax.random.split(drawn, batch.x.shape[0])
    seen = eqx.tree_at(lambda b: b.x, batch, jax.vmap(model.preprocessing)(batch.x, keys))
    _, (_, metrics) = objective(model, seen, state=state, step=step, key=noise)
    return {name: value for name, value in metrics.items() if value.ndim == 0}
