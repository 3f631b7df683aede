"""A run of the loop, and probes to look into it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from elbax.model import AbstractObjective, Batch, DiagonalNormal, NegativeELBO, Normal
from elbax.train import fit, init_state
from tests.linear_gaussian import untrained

ROWS, BATCH = 45, 8  # five whole batches an epoch, and five rows over
DATA = np.random.default_rng(0).normal(size=(ROWS, 3)).astype(np.float32)


class Centre(eqx.Module):
    """The smallest model: one number to be moved to the data."""

    centre: jax.Array


class Distance(AbstractObjective):
    """Half the mean squared distance, noiseless; says what it was called with."""

    say: tuple[str, ...] = eqx.field(static=True, default=())

    def init(self, model):
        return None

    def __call__(self, model, batch, *, state, step, key):
        loss = 0.5 * jnp.mean((batch.x - model.centre) ** 2)
        said = {"rows": batch.index, "x": batch.x, "step": step, "key": jax.random.key_data(key)}
        return loss, (state, {"loss": loss} | {name: said[name] for name in self.say})


def elbo_run(steps, *, state=None, model=None, optimizer=None, objective=None, **options):
    """The reports of a run of the real thing, small."""
    model = (
        untrained(3, DiagonalNormal(2), Normal((3,), "shared"), seed=1) if model is None else model
    )
    objective = NegativeELBO() if objective is None else objective
    optimizer = optax.adam(1e-2) if optimizer is None else optimizer
    if state is None:
        state = init_state(model, objective, optimizer, jax.random.key(2))
    options = {"batch_size": BATCH, "data": Batch(jnp.asarray(DATA), data_size=ROWS)} | options
    return list(fit(model, objective, optimizer=optimizer, steps=steps, state=state, **options))


def probe_run(steps, x, *, objective=None, optimizer=None, centre=0.0, label=None, **options):
    """The reports of a run of `Distance`, on rows that know their numbers."""
    x = jnp.asarray(x)
    labels = None if label is None else jnp.asarray(label)
    data = Batch(x, label=labels, index=jnp.arange(len(x)), data_size=len(x))
    model, objective = Centre(jnp.asarray(centre)), objective or Distance()
    optimizer = optimizer or optax.sgd(0.01)
    state = init_state(model, objective, optimizer, jax.random.key(3))
    options = {"batch_size": BATCH, "state": state} | options
    return list(fit(model, objective, data, optimizer=optimizer, steps=steps, **options))


def gathered(reports, name):
    return np.concatenate([report.metrics[name] for report in reports])


def content(tree):
    """The bytes of a pytree, random keys included."""
    keys = lambda leaf: jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)  # noqa: E731
    leaves = [jax.random.key_data(a) if keys(a) else a for a in jax.tree.leaves(tree)]
    return [(a.dtype, a.shape, np.asarray(a).tobytes()) for a in leaves]
