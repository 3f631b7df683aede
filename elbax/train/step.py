"""One step of the optimiser, a chunk of steps, and the validation: all that is compiled."""

import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Int, PRNGKeyArray, PyTree

from elbax.model.interfaces import Batch, Metrics, MovesModel
from elbax.train.state import State, merge
from elbax.util import environment
from elbax.util.layout import Layout

MAX_CHUNK = 1000  # the length of the index and metrics buffers, in steps

# The key of a run serves for three things; each folds in its number first.
NOISE, ORDER, VALIDATION = 0, 1, 2

Transform = Callable[[Array, PRNGKeyArray], Array]


class Program(NamedTuple):
    """What is compiled: a chunk of steps, and the metrics on validation data."""

    model: Any
    objective: Any
    optimizer: optax.GradientTransformation
    transform: Transform | None
    batch_size: int
    steps: int
    layout: Layout | None = None

    def compile(self, state: State, data: Batch, validation: Batch | None) -> "Compiled":
        """Compiles for the shapes at hand, before the clock of the first chunk runs.

        XLA does not hold Python's lock: both programs are compiled at once. (Of several processes
        all compile in the same order.)
        """
        placed = None if self.layout is None else self.layout.replicated
        indices = jax.ShapeDtypeStruct((MAX_CHUNK, self.batch_size), np.int32, sharding=placed)
        count = jax.ShapeDtypeStruct((), np.int32, sharding=placed)
        state = without_best(state)
        lowered = [jax.jit(self.advance).lower(state, data, indices, count)]
        if validation is not None:
            quick = environment.quick_compilation()
            lowered.append(jax.jit(self.validate, **quick).lower(state, validation))
        with ThreadPoolExecutor(None if self.layout is None else 1) as threads:
            advance, *validate = threads.map(lambda one: one.compile(), lowered)
        if self.layout is not None:
            advance = _placing(advance, self.layout)
        return Compiled(advance, validate[0] if validate else None)

    def advance(
        self, state: State, data: Batch, indices: Int[Array, "chunk batch"], count: Int[Array, ""]
    ) -> tuple[State, dict[str, Array], Bool[Array, ""]]:
        """Takes `count` steps, up to as many as `indices` has rows; keeps each one's metrics.

        Says also whether the parameters that it ends with are finite.
        """
        # Python runs through the step once, not a second time for the shapes of its metrics.
        take_step = jax.jit(self.take_step, inline=True)

        def body(i: Int[Array, ""], carry: tuple[State, Metrics]) -> tuple[State, Metrics]:
            state, buffers = carry
            state, metrics = take_step(state, self._gather(data, indices[i]))
            return state, jax.tree.map(lambda rows, row: rows.at[i].set(row), buffers, metrics)

        shapes = jax.eval_shape(take_step, state, self._gather(data, indices[0]))[1]
        buffers = jax.tree.map(lambda s: jnp.zeros((indices.shape[0], *s.shape), s.dtype), shapes)
        # A traced trip count serves a shorter chunk without a second compilation, as fast as scan.
        state, buffers = jax.lax.fori_loop(0, count, body, (state, buffers))
        finite = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(state.parameters)]
        finite = jnp.all(jnp.asarray(finite))
        return state, buffers, finite if self.layout is None else self.layout.join(finite)

    def take_step(self, state: State, batch: Batch) -> tuple[State, Metrics]:
        """One step of the optimiser on one batch of stored rows."""
        key = jax.random.fold_in(jax.random.fold_in(state.key, NOISE), state.step)
        gradient, (objective_state, metrics) = jax.grad(self.loss, has_aux=True)(
            state.parameters, state.objective_state, batch, state.step, key
        )
        updates, optimizer_state = self.optimizer.update(
            gradient, state.optimizer_state, state.parameters
        )
        parameters = optax.apply_updates(state.parameters, updates)
        parameters = self._moved(parameters, objective_state)
        moved = (parameters, optimizer_state, objective_state, state.step + 1, metrics)
        if self.layout is not None:
            moved = self.layout.join(moved)
        parameters, optimizer_state, objective_state, step, metrics = moved
        new_state = State(
            parameters=parameters,
            optimizer_state=optimizer_state,
            objective_state=objective_state,
            step=step,
            key=state.key,
            best=state.best,
        )
        return new_state, metrics

    def _moved(self, parameters: PyTree, objective_state: PyTree) -> PyTree:
        """The parameters, with those that the objective moves itself where its state has them."""
        model, objective = merge(parameters, self.model, self.objective)
        if not isinstance(objective, MovesModel):
            return parameters
        model = objective.moved(model, objective_state)
        return eqx.filter((model, objective), eqx.is_inexact_array)

    def loss(
        self,
        parameters: PyTree,
        objective_state: PyTree,
        batch: Batch,
        step: Array,
        key: PRNGKeyArray,
    ) -> tuple[Array, tuple[PyTree, Metrics]]:
        """The objective on one batch of stored rows."""
        transform_key, key = jax.random.split(key)
        if self.transform is not None:
            keys = jax.random.split(transform_key, batch.x.shape[0])
            batch = dataclasses.replace(batch, x=jax.vmap(self.transform)(batch.x, keys))
        model, objective = merge(parameters, self.model, self.objective)
        return objective(model, batch, state=objective_state, step=step, key=key)

    def validate(self, state: State, data: Batch) -> Metrics:
        """The metrics on all of `data`, by batches; the same noise at every call."""
        key = jax.random.fold_in(state.key, VALIDATION)
        last = jnp.asarray(self.steps, jnp.int32)  # schedules are judged at their end
        size = data.x.shape[0]
        whole = size // self.batch_size

        def evaluate(rows: Int[Array, " batch"]) -> Metrics:
            arguments = (
                state.objective_state,
                self._gather(data, rows),
                last,
                jax.random.fold_in(key, rows[0]),
            )
            return self.loss(state.parameters, *arguments)[1][1]

        parts, weights = [], []
        if whole:
            rows = jnp.arange(whole * self.batch_size).reshape(whole, self.batch_size)
            parts.append(jax.tree.map(lambda m: jnp.mean(m, axis=0), jax.lax.map(evaluate, rows)))
            weights.append(whole * self.batch_size / size)
        if size % self.batch_size:
            parts.append(evaluate(jnp.arange(whole * self.batch_size, size)))
            weights.append(size % self.batch_size / size)
        found = jax.tree.map(lambda *m: sum(w * v for w, v in zip(weights, m, strict=True)), *parts)
        return found if self.layout is None else self.layout.join(found)

    def _gather(self, data: Batch, rows: Int[Array, " batch"]) -> Batch:
        if self.layout is None:
            return _gather(data, rows)
        return self.layout.split(_gather(data, self.layout.split(rows)))


class Compiled(NamedTuple):
    """A chunk of steps, and the loss on validation data where there are any."""

    advance: Callable[..., Any]
    validate: Callable[..., Any] | None


def _placing(advance: Callable[..., Any], layout: Layout) -> Callable[..., Any]:
    """The program with the rows and the number of its steps put on every device."""
    return lambda state, data, *rest: advance(state, data, *map(layout.everywhere, rest))


def without_best(state: State) -> State:
    """The state without what no step changes: the compiled chunk need not carry it."""
    return dataclasses.replace(state, best=None)


def _gather(data: Batch, rows: Int[Array, " batch"]) -> Batch:
    return jax.tree.map(lambda a: a.at[rows].get(mode="promise_in_bounds"), data)
