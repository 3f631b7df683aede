"""The one training loop. It knows no objective by name.

A chunk of steps, about a second of work, is one compiled program with the number of steps as an
argument: progress, logging, validation, checkpoints and early stopping sit between two chunks, and
nothing is compiled twice.

What makes a run repeatable: the noise of step i is keyed by `fold_in(key, i)` and the order of
epoch e by `fold_in(key, e)`, of two keys that the run's own gives, so a run depends neither on how
it was cut into chunks nor on where it was interrupted. (`elbax.train.feed` says where rows come
from.)

Roads not taken: the state is not donated to the compiled chunk, because the state at the start of a
chunk is what a diverged run falls back to (the cost is one copy of the state a chunk). The order of
an epoch is drawn by numpy from the epoch's key: XLA sorts 60,000 numbers in 55 ms on a CPU, numpy
shuffles them in less than one.
"""

import contextlib
import dataclasses
import enum
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import PRNGKeyArray, PyTree

from elbax.model.interfaces import AbstractObjective, Batch
from elbax.train.feed import Blocks, Resident, Streamed
from elbax.train.state import Best, State
from elbax.train.step import MAX_CHUNK, Compiled, Program, Transform, without_best
from elbax.util.layout import Layout

T = TypeVar("T")

FIRST_CHUNK = 20  # short, so that the first progress line comes at once


class Outcome(enum.Enum):
    """How a run ended."""

    FINISHED = "finished"
    STOPPED_EARLY = "stopped early"
    DIVERGED = "diverged"
    INTERRUPTED = "interrupted"
    """By the caller: `fit` never yields it."""


@dataclasses.dataclass(frozen=True)
class Report:
    """What one chunk of steps did.

    Attributes:
        state: The state after the chunk; after a divergence, the last good one.
        first_step: The step that the chunk began after; `metrics` holds steps `first_step + 1` to
            `step`.
        step: The last step of the chunk.
        metrics: The objective's metrics, one row a step.
        validation: The objective's metrics on the validation data, where the chunk ended at a
            validation.
        improved: Whether that validation is the best so far.
        seconds: How long the chunk's steps took, without compilation and validation.
        compile_seconds: How long compilation took before this chunk (zero after the first).
        outcome: How the run ended, on its last report; None before.
        message: What went wrong, in one line, where the run diverged.
    """

    state: State
    first_step: int
    step: int
    metrics: dict[str, np.ndarray]
    seconds: float = 0.0
    compile_seconds: float = 0.0
    validation: dict[str, np.ndarray] | None = None
    improved: bool = False
    outcome: Outcome | None = None
    message: str = ""


def fit(  # noqa: PLR0913 - a run has so many parts
    model: eqx.Module,
    objective: AbstractObjective,
    data: Batch | Streamed,
    *,
    optimizer: optax.GradientTransformation,
    batch_size: int,
    steps: int,
    state: State,
    transform: Transform | None = None,
    validation: Batch | None = None,
    validate_every: int = 500,
    patience: int | None = None,
    chunk_seconds: float = 1.0,
    programs: "dict[Any, Compiled] | None" = None,
    layout: Layout | None = None,
) -> Iterator[Report]:
    """Trains from `state` until `steps` steps are taken, one report a chunk.

    Between two reports the caller saves, prints or stops; the numbers do not depend on it.

    Args:
        model: The model; its arrays are replaced by those of `state`.
        objective: The objective; likewise.
        data: The training rows as stored, on the device; or where they are read block by block.
        optimizer: The optimiser that `state` was made with.
        batch_size: Rows a step. An epoch is as many whole batches as the data holds, in a new order
            each time.
        steps: The step to train to.
        state: The state to start from.
        transform: What makes a stored datum the one that the objective sees (the model's
            preprocessing), given a key.
        validation: Rows to validate on.
        validate_every: Steps between two validations; the last step validates too.
        patience: Stop after so many validations without a better one; None never stops early.
        chunk_seconds: About how long a chunk should take.
        programs: What earlier calls compiled, to be used again where the shapes are the same. The
            caller keeps one for each model (but for its arrays), objective, optimiser and
            transform.
        layout: Devices to spread each batch over; None: the one on which the arrays are. The
            reports' states are on a single one all the same.

    Yields:
        A report after each chunk; the last one has an outcome.

    Raises:
        ValueError: A batch is larger than the data, a number is not positive, or rows can no longer
            be read.
    """
    size = len(data) if isinstance(data, Streamed) else data.x.shape[0]
    check_sizes(size, batch_size, validate_every, patience)
    if int(state.step) >= steps:
        return  # nothing is left to train, so nothing to compile
    program = Program(model, objective, optimizer, transform, batch_size, steps, layout)
    feed = _feed(data, state, batch_size, layout)
    with contextlib.closing(feed):
        yield from _fit(
            program,
            feed,
            state,
            validation,
            validate_every=validate_every,
            patience=patience,
            chunk_seconds=chunk_seconds,
            programs={} if programs is None else programs,
        )


def _feed(
    data: Batch | Streamed, state: State, batch_size: int, layout: Layout | None
) -> Resident | Blocks:
    """The training rows, on all devices."""
    place = functools.partial(_everywhere, layout)
    if isinstance(data, Streamed):
        return Blocks(data, state.key, batch_size, int(state.step), place)
    return Resident(place(data), state.key, batch_size)


def _fit(
    program: Program,
    feed: Resident | Blocks,
    state: State,
    validation: Batch | None,
    *,
    validate_every: int,
    patience: int | None,
    chunk_seconds: float,
    programs: "dict[Any, Compiled]",
) -> Iterator[Report]:
    """`fit`, of a program and its rows."""
    layout, steps, own_key = program.layout, program.steps, state.key
    state, validation = _everywhere(layout, (state, validation))
    started = time.perf_counter()
    shapes = (
        program.batch_size,
        steps if validation is not None else None,
        layout,
        _shapes((feed.example, validation, without_best(state))),
    )
    if shapes not in programs:
        programs[shapes] = program.compile(state, feed.example, validation)
    advance, validate = programs[shapes]
    compile_seconds = time.perf_counter() - started

    step, length = int(state.step), FIRST_CHUNK
    while step < steps:
        until = steps if validate is None else min(steps, next_multiple(step, validate_every))
        started = time.perf_counter()
        data, indices, count = feed.take(step, min(length, until - step))
        new_state, buffers, finite = advance(without_best(state), data, indices, np.int32(count))
        metrics = {name: np.asarray(rows)[:count] for name, rows in buffers.items()}
        seconds = time.perf_counter() - started

        bad = what_is_bad(metrics, finite=bool(finite))
        if bad is not None:
            retake = functools.partial(advance, without_best(state), data, indices)
            report = diverged(retake, state, step, metrics, bad)
            report = dataclasses.replace(report, state=_here(layout, report.state, own_key))
            yield dataclasses.replace(report, seconds=seconds, compile_seconds=compile_seconds)
            return

        state = dataclasses.replace(new_state, best=state.best)
        validated, improved = None, False
        if validate is not None and step + count == until:
            found = validate(without_best(state), validation)
            validated = {name: np.asarray(value) for name, value in found.items()}
            state, improved = _keep_best(state, validated["loss"])
        best = None if state.best is None else int(state.best.step)
        outcome = outcome_at(
            int(state.step), best, steps, validate_every, patience if validated else None
        )
        yield Report(
            state=_here(layout, state, own_key),
            first_step=step,
            step=step + count,
            metrics=metrics,
            validation=validated,
            improved=improved,
            outcome=outcome,
            seconds=seconds,
            compile_seconds=compile_seconds,
        )
        if outcome is not None:
            return
        step, compile_seconds = step + count, 0.0
        wanted = next_length(count, seconds, chunk_seconds)
        # A chunk that ended with its block was short for no reason of time.
        length = _agreed(layout, max(wanted, length) if seconds < chunk_seconds / 2 else wanted)


def _shapes(tree: PyTree) -> tuple[Any, ...]:
    leaves, structure = jax.tree.flatten(tree)
    return structure, *((leaf.shape, leaf.dtype) for leaf in leaves)


def _everywhere(layout: Layout | None, tree: T) -> T:
    return tree if layout is None else layout.everywhere(tree)


def _here(layout: Layout | None, state: State, key: PRNGKeyArray) -> State:
    """The state on one device of this process."""
    return state if layout is None else dataclasses.replace(layout.here(state), key=key)


def _agreed(layout: Layout | None, length: int) -> int:
    """The length of the next chunk, which a clock has made: the first process's, in all."""
    return length if layout is None else layout.of_first(length)


def _keep_best(state: State, loss: np.ndarray) -> tuple[State, bool]:
    if state.best is None or not loss < np.asarray(state.best.loss):
        return state, False
    best = Best(state.parameters, state.optimizer_state, jnp.asarray(loss), state.step)
    return dataclasses.replace(state, best=best), True


def outcome_at(
    step: int, best: int | None, steps: int, validate_every: int, patience: int | None
) -> Outcome | None:
    """How a run ends at a step, its best validation after the step `best`; None: it goes on."""
    # Validations fall on multiples of `validate_every`: the steps since the best one count them.
    waited = 0 if best is None else (step - best) // validate_every
    if patience is not None and waited >= patience:
        return Outcome.STOPPED_EARLY
    return Outcome.FINISHED if step >= steps else None


def diverged(
    retake: Callable[[Any], tuple[State, Any, Any]],
    state: State,
    step: int,
    metrics: dict[str, np.ndarray],
    bad: tuple[int, str],
) -> Report:
    """The report of a chunk in which something was not finite, with the last good state."""
    row, term = bad
    kept = _last_finite(retake, row)
    reason = (
        "the gradient was not finite"
        if kept < row
        else f"the metric {term} was {metrics[term][row]}"
    )
    return Report(
        state=dataclasses.replace(retake(np.int32(kept))[0], best=state.best),
        first_step=step,
        step=step + kept,
        metrics={name: rows[:kept] for name, rows in metrics.items()},
        outcome=Outcome.DIVERGED,
        message=f"{reason} at step {step + kept + 1:,}",
    )


def _last_finite(retake: Callable[[Any], tuple[State, Any, Any]], row: int) -> int:
    """After how many steps of the chunk, at most `row`, the parameters were last finite.

    A loss can be finite and its gradient not: then the parameters were lost before any metric shows
    it. What is lost stays lost, so halving finds the place.
    """
    if row == 0 or retake(np.int32(row))[2]:
        return row
    finite, lost = 0, row
    while lost - finite > 1:
        middle = (finite + lost) // 2
        finite, lost = (middle, lost) if retake(np.int32(middle))[2] else (finite, middle)
    return finite


def what_is_bad(metrics: dict[str, np.ndarray], *, finite: bool) -> tuple[int, str] | None:
    """The row of a chunk's metrics that is not finite, and which; None where all is well.

    Args:
        metrics: One row a step.
        finite: Whether the parameters at the end are: the last step's loss may be finite, and its
            gradient not.
    """
    bad = _first_non_finite(metrics)
    if bad is None and not finite:
        return len(next(iter(metrics.values()))), ""
    return bad


def _first_non_finite(metrics: dict[str, np.ndarray]) -> tuple[int, str] | None:
    """The first row with a value that is not finite, and the most telling metric that has one."""
    found = {}
    for name, rows in metrics.items():
        bad = ~np.isfinite(rows.reshape(len(rows), -1)).all(axis=1)
        if bad.any():
            found[name] = int(bad.argmax())
    if not found:
        return None
    row = min(found.values())
    terms = [name for name in found if found[name] == row and metrics[name].ndim == 1]
    parts = [name for name in terms if name not in ("loss", "elbo")]
    return row, (parts or terms or sorted(found))[0]


def next_multiple(step: int, every: int) -> int:
    """The next step after this one that is a multiple."""
    return step - step % every + every


def next_length(count: int, seconds: float, chunk_seconds: float) -> int:
    """How many steps the next chunk takes, after `count` took so long."""
    # At most four times the last one: a first measurement of a few steps is rough.
    wanted = chunk_seconds * count / max(seconds, 1e-9)
    return int(min(max(wanted, 1), 4 * count, MAX_CHUNK))


def check_sizes(size: int, batch_size: int, validate_every: int, patience: int | None) -> None:
    """Refuses a batch larger than the data, and numbers that are not positive.

    Raises:
        ValueError: One line.
    """
    for name, value in (
        ("batch size", batch_size),
        ("number of steps between validations", validate_every),
        ("patience", 1 if patience is None else patience),
    ):
        if value < 1:
            raise ValueError(f"the {name} is {value}; it must be at least 1")
    if batch_size > size:
        raise ValueError(
            f"a batch of {batch_size} is larger than the training data, {size} rows; "
            f"take at most {size}"
        )
