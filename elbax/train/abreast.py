"""Several runs of one shape in one compiled program, each as it would be alone.

Each has its own weights, noise, order of the rows and moments in the optimiser, and its own end:
one that stops early or diverges stays as it is while the others go on. (`elbax.train.members` is
another thing: models that are one, and see the same rows.)

Runs of one shape differ in their arrays, in the numbers of their objectives (a weight β), and in
the learning rate; all else is in the program.
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, PyTree

from elbax.model.interfaces import Batch
from elbax.train.loop import (
    FIRST_CHUNK,
    Outcome,
    Report,
    check_sizes,
    diverged,
    next_length,
    next_multiple,
    outcome_at,
    what_is_bad,
)
from elbax.train.order import BatchOrder
from elbax.train.state import Best, State
from elbax.train.step import MAX_CHUNK, Program, without_best
from elbax.train.trainer import Trainer


class Joint(NamedTuple):
    """What one chunk of steps did to all.

    Attributes:
        state: The state of all, every array with a leading axis.
        reports: That of each; None of one that had ended before.
    """

    state: State
    reports: list[Report | None]


class Abreast(NamedTuple):
    """Trainers side by side.

    Attributes:
        trainers: At least one, all of one `shape_of`.
        rates: Their learning rates; None where the first one's optimiser is that of all.
        optimizer_of: The optimiser of a learning rate.
    """

    trainers: Sequence[Trainer]
    rates: Sequence[float] | None = None
    optimizer_of: Callable[[Any], optax.GradientTransformation] | None = None

    @property
    def state(self) -> State:
        """The states of the trainers, together: every array with a leading axis."""
        return _together([each.state for each in self.trainers])

    def at(self, state: State) -> list[Trainer]:
        """The trainers at a state of all."""
        return [each.with_state(_take(state, i)) for i, each in enumerate(self.trainers)]

    def fit(
        self,
        data: Batch,
        *,
        batch_size: int,
        steps: int,
        state: State,
        ended: Sequence[Outcome | None] | None = None,
        validation: Batch | None = None,
        validate_every: int = 500,
        patience: int | None = None,
        chunk_seconds: float = 1.0,
    ) -> Iterator[Joint]:
        """Trains all from `state` until each has ended, as `elbax.train.loop.fit` does one.

        Args:
            data: The training rows as stored, on the device.
            batch_size: Rows a step.
            steps: The step to train to.
            state: The state of all; those that have not ended are at the same step.
            ended: How each has ended before; None of one that goes on.
            validation: Rows to validate on; the states must have room for the best parameters.
            validate_every: Steps between two validations; the last step validates too.
            patience: How many validations without a better one end a run; None: none do.
            chunk_seconds: About how long a chunk should take.

        Yields:
            The state of all and the report of each, after each chunk.

        Raises:
            ValueError: A batch is larger than the data, or a number is not positive.
        """
        check_sizes(data.x.shape[0], batch_size, validate_every, patience)
        going = np.array([outcome is None for outcome in ended or [None] * len(self.trainers)])
        step = int(state.step[going.argmax()]) if going.any() else steps
        if step >= steps:
            return
        keys = [trainer.state.key for trainer in self.trainers]
        orders = [BatchOrder(key, data.x.shape[0], batch_size) for key in keys]
        started = time.perf_counter()
        compiled = _compile(self, data, validation, batch_size, steps, state)
        compile_seconds, length = time.perf_counter() - started, FIRST_CHUNK
        while going.any():
            until = steps if validation is None else min(steps, next_multiple(step, validate_every))
            count = min(length, until - step)
            indices = _indices(orders, going, step, count, batch_size)
            started = time.perf_counter()
            took = compiled.take(state, indices, going, count)
            seconds = time.perf_counter() - started
            state, lost = _without_lost(took, state, going, step)
            seen = None
            if validation is not None and step + count == until:
                state, seen = compiled.judge(
                    state, going & ~np.isin(np.arange(len(going)), [*lost])
                )

            reports: list[Report | None] = [None] * len(going)
            for i in np.flatnonzero(going):
                own = lost.get(int(i)) or _report(took, seen, state, int(i), step)
                outcome = own.outcome or _outcome(own, steps, validate_every, patience)
                reports[i] = dataclasses.replace(
                    own, outcome=outcome, seconds=seconds, compile_seconds=compile_seconds
                )
            yield Joint(state, reports)
            going = np.array([one is not None and one.outcome is None for one in reports])
            step, compile_seconds = step + count, 0.0
            length = next_length(count, seconds, chunk_seconds)


def shape_of(trainer: Trainer) -> Hashable:
    """What trainers must have in common to train abreast, but for their optimisers."""
    leaves, structure = jax.tree.flatten((trainer.model, trainer.objective))
    return structure, *map(_kind, leaves)


def _kind(leaf: Any) -> Hashable:
    if eqx.is_array(leaf):
        return leaf.shape, str(leaf.dtype)
    return float if isinstance(leaf, float) else leaf


class _Took(NamedTuple):
    """A chunk of steps of all: the state, each one's metrics, and whether it is finite.

    `again(count)` takes the first so many of the same steps.
    """

    state: State
    metrics: dict[str, np.ndarray]
    finite: np.ndarray
    again: Callable[[Any], Any]


class _Judged(NamedTuple):
    """A validation of all: each one's metrics, and whether they are its best."""

    metrics: dict[str, np.ndarray]
    improved: np.ndarray


class _Compiled(NamedTuple):
    """The programs of a training abreast, with their data."""

    advance: Callable[..., Any]
    validate: Callable[..., Any]

    def take(self, state: State, indices: np.ndarray, going: np.ndarray, count: int) -> _Took:
        """So many steps of those that are going."""
        again = functools.partial(self.advance, without_best(state), indices, going)
        after, buffers, finite = again(np.int32(count))
        metrics = {name: np.asarray(rows)[:, :count] for name, rows in buffers.items()}
        after = dataclasses.replace(after, best=state.best)
        return _Took(after, metrics, np.asarray(finite), again)

    def judge(self, state: State, going: np.ndarray) -> tuple[State, _Judged]:
        """The validation; the best parameters of those that are going are kept."""
        found, best, improved = self.validate(without_best(state), state.best, going)
        metrics = {name: np.asarray(values) for name, values in found.items()}
        return dataclasses.replace(state, best=best), _Judged(metrics, np.asarray(improved))


def _compile(
    them: Abreast,
    data: Batch,
    validation: Batch | None,
    batch_size: int,
    steps: int,
    state: State,
) -> _Compiled:
    first, (own, shared) = them.trainers[0], _own([(t.model, t.objective) for t in them.trainers])
    own = own, None if them.rates is None else jnp.asarray(them.rates, jnp.float32)

    def program(own: tuple[PyTree, Array | None]) -> Program:
        modules, rate = own
        model, objective = eqx.combine(modules, shared)
        chosen = first.optimizer
        if rate is not None and them.optimizer_of is not None:
            chosen = them.optimizer_of(rate)
        return Program(model, objective, chosen, first.model.preprocessing, batch_size, steps)

    def advance(
        state: State, indices: Array, going: Array, count: Array, data: Batch, own: PyTree
    ) -> Any:
        def of_one(state: State, indices: Array, own: PyTree) -> Any:
            return program(own).advance(state, data, indices, count)

        after, metrics, finite = jax.vmap(of_one)(state, indices, own)
        return _where(going, after, state), metrics, finite

    def validate(state: State, best: Best, going: Array, rows: Batch, own: PyTree) -> Any:
        metrics = jax.vmap(lambda state, own: program(own).validate(state, rows))(state, own)
        better = going & (metrics["loss"] < best.loss)
        now = Best(state.parameters, state.optimizer_state, metrics["loss"], state.step)
        return metrics, _where(better, now, best), better

    count = len(them.trainers)
    shapes = (
        jax.ShapeDtypeStruct((count, MAX_CHUNK, batch_size), np.int32),
        jax.ShapeDtypeStruct((count,), np.bool_),
        jax.ShapeDtypeStruct((), np.int32),
    )
    ready = jax.jit(advance).lower(without_best(state), *shapes, data, own).compile()
    return _Compiled(
        lambda *given: ready(*given, data, own),
        functools.partial(jax.jit(validate), rows=validation, own=own),
    )


def _own(modules: Sequence[PyTree]) -> tuple[PyTree, PyTree]:
    """What the modules have each for themselves besides parameters, stacked; and what they share.

    That are arrays that are not trained, and the numbers in which they differ.
    """
    leaves = [jax.tree.leaves(each) for each in modules]
    structure = jax.tree.structure(modules[0])
    own, shared = [], []
    for each in zip(*leaves, strict=True):
        first = each[0]
        differ = isinstance(first, float) and any(one != first for one in each)
        apart = differ or (eqx.is_array(first) and not eqx.is_inexact_array(first))
        own.append(_stack([jnp.asarray(one) for one in each]) if apart else None)
        shared.append(None if apart else first)
    return jax.tree.unflatten(structure, own), jax.tree.unflatten(structure, shared)


def _without_lost(
    took: _Took, before: State, going: np.ndarray, step: int
) -> tuple[State, dict[int, Report]]:
    """The state after a chunk, where those that diverged are at their last good one; their reports.

    They are looked for one by one: there are few, and the chunk is taken again for each.
    """
    state, lost = took.state, {}
    for i in map(int, np.flatnonzero(going)):
        metrics = {name: rows[i] for name, rows in took.metrics.items()}
        bad = what_is_bad(metrics, finite=bool(took.finite[i]))
        if bad is None:
            continue
        retake = functools.partial(_of_one, took.again, i)
        lost[i] = report = diverged(retake, _take(before, i), step, metrics, bad)
        mine = np.arange(len(going)) == i
        state = _where(mine, jax.tree.map(lambda leaf: leaf[None], report.state), state)
    return state, lost


def _of_one(again: Callable[[Any], Any], i: int, count: Any) -> Any:
    """What the first steps of a chunk did to one."""
    state, metrics, finite = again(count)
    return _take(state, i), metrics, finite[i]


def _report(took: _Took, seen: _Judged | None, state: State, i: int, step: int) -> Report:
    """What a chunk did to one that goes on."""
    metrics = {name: rows[i] for name, rows in took.metrics.items()}
    validation = None
    if seen is not None:
        validation = {name: np.asarray(values[i]) for name, values in seen.metrics.items()}
    return Report(
        state=_take(state, i),
        first_step=step,
        step=step + len(next(iter(metrics.values()))),
        metrics=metrics,
        validation=validation,
        improved=seen is not None and bool(seen.improved[i]),
    )


def _outcome(
    report: Report, steps: int, validate_every: int, patience: int | None
) -> Outcome | None:
    best = report.state.best
    return outcome_at(
        report.step,
        None if best is None else int(best.step),
        steps,
        validate_every,
        patience if report.validation else None,
    )


def _indices(
    orders: Sequence[BatchOrder], going: np.ndarray, step: int, count: int, batch_size: int
) -> np.ndarray:
    """The rows of the next steps of each, (runs, MAX_CHUNK, batch); of those that ended the first.

    The buffer is as long as the program's, whatever the count.
    """
    found = np.zeros((len(orders), MAX_CHUNK, batch_size), np.int32)
    for i in map(int, np.flatnonzero(going)):
        found[i] = orders[i].fill(step, count)
    return found


def _together(trees: Sequence[PyTree]) -> PyTree:
    return jax.tree.map(lambda *leaves: _stack(leaves), *trees)


def _stack(leaves: Sequence[Array]) -> Array:
    return jnp.stack(leaves)


@jax.jit
def _take(state: PyTree, i: Any) -> PyTree:
    return jax.tree.map(lambda leaf: leaf[i], state)


@jax.jit
def _where(chosen: Array, new: PyTree, old: PyTree) -> PyTree:
    """The new arrays of those that are chosen, the old ones of the others."""

    def pick(new: Array, old: Array) -> Array:
        return jnp.where(chosen.reshape(-1, *(1,) * (old.ndim - 1)), new, old)

    return jax.tree.map(pick, new, old)
