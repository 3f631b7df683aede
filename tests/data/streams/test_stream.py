"""Rows in pieces: each once an epoch, whatever was held out and wherever one begins."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elbax.data.splitting import Part
from elbax.data.streams.stream import Kept, Stream, block_rows, distinct


class Numbers:
    """Units whose rows are their own numbers among all, in pieces of three."""

    def __init__(self, lengths, *, labels=False):
        self.lengths = np.array(lengths)
        self._labels = labels

    def pieces(self, unit):
        first = int(self.lengths[:unit].sum())
        numbers = np.arange(first, first + int(self.lengths[unit]))
        for start in range(0, len(numbers), 3):
            some = numbers[start : start + 3]
            yield Part(some[:, None].astype(np.float32), some * 10 if self._labels else None)


def stream(lengths, held, **more):
    units = Numbers(lengths, labels=True)
    return Stream(units, np.array(held, int), (1,), np.dtype(np.float32), 4, 1000, **more)


@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=6),
    data=st.data(),
)
def test_from_any_row_on_the_rest_follows_in_the_order_of_the_units(lengths, data):
    total = sum(lengths)
    held = sorted(data.draw(st.sets(st.integers(0, total - 1), max_size=total - 1)))
    order = np.array(data.draw(st.permutations(range(len(lengths)))))
    rows = stream(lengths, held)
    firsts = np.concatenate([[0], np.cumsum(lengths)])
    expected = [
        number
        for unit in order
        for number in range(firsts[unit], firsts[unit + 1])
        if number not in held
    ]
    assert len(rows) == len(expected) == rows.counts.sum()
    start = data.draw(st.integers(0, len(expected)))
    pieces = list(rows.read(order, start))
    read = [int(x) for piece in pieces for x in piece.x[:, 0]]
    labels = [int(label) for piece in pieces for label in np.array(piece.label)]
    assert read == expected[start:]
    assert labels == [10 * number for number in read]


def test_rows_that_are_kept_are_apart_and_drawn_by_the_seed_alone():
    kept = Kept.of(50_000, 40, 10**8, None, 3)
    assert (len(kept.test), len(kept.validation), len(kept.train)) == (5_000, 5_000, 10_000)
    assert len(np.unique(kept.all)) == 20_000
    assert not np.isin(kept.train, kept.held).any()
    again, other = Kept.of(50_000, 40, 10**8, None, 3), Kept.of(50_000, 40, 10**8, None, 4)
    assert np.array_equal(kept.all, again.all)
    assert not np.array_equal(kept.test, other.test)


def test_rows_that_are_kept_take_no_more_than_their_share_of_memory():
    kept = Kept.of(1_000_000, 400, 2_400_000, None, 0)
    assert len(kept.all) * 400 <= 2_400_000 // 8
    assert Kept.of(1_000_000, 4, 10**9, 123, 0).validation.shape == (123,)
    assert Kept.of(1_000_000, 4, 10**9, 0, 0).validation.shape == (0,)


def test_drawn_numbers_are_different_and_spread_over_all():
    drawn = distinct(10**9, 20_000, 1)
    assert len(np.unique(drawn)) == 20_000
    # Uniform: the mean of so many lies within five standard errors of the middle.
    assert abs(drawn.mean() / 1e9 - 0.5) < 5 * (1 / 12) ** 0.5 / 20_000**0.5
    assert np.array_equal(distinct(10**9, 30_000, 1)[:0], drawn[:0])
    assert sorted(distinct(10, 10, 0)) == list(range(10))


@pytest.mark.parametrize(
    ("datum", "memory", "rows", "expected"),
    [
        (400, 2 * 10**9, 10**7, 625_000),
        (400, 10**7, 10**7, 3_125),
        (400, 10**9, 50, 50),
        (10, 8, 5, 1),
    ],
)
def test_a_block_is_a_share_of_memory(datum, memory, rows, expected):
    assert block_rows(datum, memory, rows) == expected
