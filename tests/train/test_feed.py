"""Rows that come block by block: each once an epoch, and the same wherever one begins."""

import threading
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from elbax.data import DataError
from elbax.data.splitting import Part
from elbax.data.streams.stream import Stream
from elbax.model import Batch, DiagonalNormal, NegativeELBO, Normal
from elbax.train import Outcome, Streamed, fit, init_state, loop
from elbax.train.feed import Blocks
from tests.linear_gaussian import untrained
from tests.train.probes import content

KEY = jax.random.key(5)
LENGTHS, HELD, BLOCK, BATCH = (7, 20, 1, 11, 30, 5), (3, 28, 50), 24, 5
ROWS = sum(LENGTHS) - len(HELD)
BATCHES = ROWS // BATCH


class Numbers:
    """Units whose rows begin with their own number among all; the others are noise."""

    def __init__(self, width=1, lost=None):
        self.lengths = np.array(LENGTHS)
        self.rows = np.random.default_rng(0).normal(size=(sum(LENGTHS), width)).astype(np.float32)
        self.rows[:, 0] = np.arange(len(self.rows)) if width == 1 else self.rows[:, 0]
        self._lost = lost

    def pieces(self, unit):
        if unit == self._lost:
            raise DataError("that one is gone: bring it back")
        start = int(self.lengths[:unit].sum())
        for first in range(start, start + self.lengths[unit], 4):
            x = self.rows[first : min(first + 4, start + self.lengths[unit])]
            yield Part(x, np.arange(first, first + len(x)))


def streamed(width=1, block=BLOCK, lost=None):
    units = Numbers(width, lost)
    rows = Stream(units, np.array(HELD), (width,), np.dtype(np.float32), block, 0, classes=100)
    return Streamed(rows, lambda x, label: Batch(jnp.asarray(x), label=jnp.asarray(label)))


def taken(step, count, *, most=1000, batch=BATCH, block=BLOCK):
    """The rows that some steps see, (count, batch)."""
    blocks = Blocks(streamed(block=block), KEY, batch, step, lambda data: data)
    found = []
    try:
        while len(found) < count:
            data, indices, steps = blocks.take(step, min(most, count - len(found)))
            x, label = np.asarray(data.x)[:, 0], np.asarray(data.label)
            assert all((x[row] == label[row]).all() for row in indices[:steps])
            found += [x[row].astype(int).tolist() for row in indices[:steps]]
            step += steps
    finally:
        blocks.close()
    return found


@pytest.mark.parametrize("block", [1, 5, 24, 25, 1000])
def test_each_row_is_seen_at_most_once_an_epoch_and_none_that_is_held(block):
    found = taken(0, 3 * BATCHES, block=block)
    orders = []
    for epoch in range(3):
        rows = np.ravel(found[epoch * BATCHES : (epoch + 1) * BATCHES])
        assert len(np.unique(rows)) == len(rows) == BATCHES * BATCH
        assert not np.isin(rows, HELD).any()
        orders.append(rows.tolist())
    assert orders[0] != orders[1] != orders[2]


@pytest.mark.parametrize("first", [1, 4, 5, BATCHES - 1, BATCHES, BATCHES + 7])
def test_a_run_that_begins_again_sees_the_same_rows(first):
    whole = taken(0, 2 * BATCHES + 5)
    assert taken(first, len(whole) - first) == whole[first:]
    assert taken(first, len(whole) - first, most=2) == whole[first:]


def test_rows_of_several_units_meet_in_a_batch():
    units = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
    found = taken(0, BATCHES, block=ROWS)
    assert np.mean([len(set(units[rows])) > 1 for rows in found]) > 0.9


def test_another_key_gives_another_order():
    blocks = Blocks(streamed(), jax.random.key(6), BATCH, 0, lambda data: data)
    data, indices, _ = blocks.take(0, 1)
    blocks.close()
    assert np.asarray(data.x)[indices[0], 0].tolist() != taken(0, 1)[0]


def test_what_went_wrong_in_reading_is_raised_where_rows_are_waited_for():
    rows = streamed(block=1, lost=4)
    blocks = Blocks(rows, KEY, BATCH, BATCHES, lambda data: data)
    with pytest.raises(DataError, match="that one is gone"):
        [blocks.take(step, 1) for step in range(BATCHES, 2 * BATCHES)]
    blocks.close()


def test_the_thread_ends_with_the_loop():
    before = threading.active_count()
    for _ in trained(200):
        assert threading.active_count() == before + 1
        break
    assert threading.active_count() == before


# --- the loop -------------------------------------------------------------------------------


def trained(steps, state=None, **options):
    model = untrained(3, DiagonalNormal(2), Normal((3,), "shared"), seed=1)
    objective, optimizer = NegativeELBO(), optax.adam(1e-2)
    state = init_state(model, objective, optimizer, KEY) if state is None else state
    data = streamed(width=3)
    bare = Streamed(data.rows, lambda x, _: Batch(jnp.asarray(x), data_size=ROWS))
    return fit(
        model,
        objective,
        bare,
        optimizer=optimizer,
        steps=steps,
        state=state,
        **{"batch_size": BATCH, **options},
    )


def test_a_run_depends_neither_on_its_chunks_nor_on_an_interruption(monkeypatch):
    *_, whole = trained(60)
    assert whole.outcome is Outcome.FINISHED
    assert int(whole.state.step) == 60
    monkeypatch.setattr(loop, "FIRST_CHUNK", 3)
    monkeypatch.setattr(loop, "next_length", lambda *_: 3)
    *_, cut = trained(60)
    assert content(cut.state) == content(whole.state)
    reports: Any = trained(60)
    stopped = next(report for report in reports if report.step >= 23)
    reports.close()
    *_, resumed = trained(60, stopped.state)
    assert content(resumed.state) == content(whole.state)


def test_a_batch_larger_than_the_rows_is_refused():
    with pytest.raises(ValueError, match="larger than the training data, 71 rows"):
        next(trained(1, batch_size=72))
