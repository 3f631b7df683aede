"""What one pass says of a column is what NumPy and pandas say of it as a whole."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from elbax.data import columns as one
from elbax.data.cells import read_cells
from elbax.data.columns import Column
from elbax.data.errors import ColumnError
from elbax.data.streams.tally import Moments, Tally

RNG = np.random.default_rng(0)


def tallied(values, pieces=7, held=None):
    """A column, taken in by pieces."""
    tally = Tally("x")
    held = np.zeros(len(values), bool) if held is None else held
    for some in np.array_split(np.arange(len(values)), pieces):
        array = pa.array(list(values[some]) if values.dtype == object else values[some])
        if values.dtype.kind == "f":
            array = pa.array(values[some], from_pandas=True)
        tally.add(read_cells(array, "x", as_text=True), held[some])
    return tally


def test_moments_are_those_of_all_numbers_though_they_lie_far_from_zero():
    x = 1e9 + RNG.normal(size=10_001)
    found = Moments()
    for some in np.array_split(x, 13):
        found.add(some)
    found.add(np.empty(0))
    assert found.count == len(x)
    assert found.mean == pytest.approx(np.mean(x), rel=1e-15)
    assert found.deviation == pytest.approx(np.std(x), rel=1e-9)


def test_numbers_with_holes():
    x = np.round(RNG.normal(size=5_000) * 10, 1)
    x[RNG.random(len(x)) < 0.2] = np.nan
    held = RNG.random(len(x)) < 0.3
    tally, known = tallied(x, held=held), pd.Series(x)
    assert (tally.rows, tally.missing) == (len(x), known.isna().sum())
    assert (tally.low, tally.high) == (known.min(), known.max())
    assert not tally.whole
    assert tally.many
    fitted = tally.fitted(Column("x", "continuous", "double"))
    assert fitted.shift == pytest.approx(known[~held].mean(), rel=1e-12)
    assert fitted.scale == pytest.approx(known[~held].std(ddof=0), rel=1e-12)
    whole = one.observe(Column("x", "continuous", "double"), x)
    assert (fitted.resolution, fitted.lower, fitted.upper) == (0.1, whole.lower, whole.upper)
    assert whole.resolution == 0.1


@pytest.mark.parametrize("step", [100.0, 1.0, 0.5, 0.1, 0.01, 1e-3])
def test_the_resolution_is_that_of_all_rows(step):
    x = step * RNG.integers(-1000, 1000, 400)
    column = Column("x", "continuous", "double")
    assert tallied(x).fitted(column).resolution == one.observe(column, x).resolution


def test_few_different_numbers_are_counted():
    x = RNG.integers(3, 9, 2_000)
    tally = tallied(x)
    assert dict(tally.counts) == pd.Series(x).value_counts().to_dict()
    assert not tally.many
    assert tally.whole
    assert set(tally.witnesses()) == set(x.tolist())


def test_text_is_counted_with_the_marks_left_out():
    x = RNG.choice(np.array(["a", "b", "", "NA", "c"], object), 3_000)
    tally = tallied(x)
    counts = pd.Series(x).value_counts()
    assert {level: tally.counts[level] for level in tally.used()} == {
        level: counts[level] for level in "abc"
    }
    assert tally.missing == counts[""] + counts["NA"]
    assert dict(tally.marks) == {"": counts[""], "NA": counts["NA"]}


def test_positive_numbers_have_the_geometric_mean_for_their_scale():
    x = np.exp(RNG.normal(size=3_000))
    fitted = tallied(x).fitted(Column("x", "positive", "double"))
    assert np.log(fitted.scale) == pytest.approx(np.log(x).mean(), rel=1e-12)


@pytest.mark.parametrize("bad", [np.inf, -np.inf, 1e101])
def test_what_is_as_good_as_infinite_is_refused_with_its_row(bad):
    x = RNG.normal(size=100)
    x[77] = bad
    with pytest.raises(ColumnError, match=r"row 77 \(counted from 0\)"):
        tallied(x)


def test_an_index_counts_the_rows_and_a_gap_ends_it():
    assert tallied(np.arange(1, 500)).counts_rows
    assert not tallied(np.arange(5, 500)).counts_rows
    assert not tallied(np.delete(np.arange(500), 300)).counts_rows
    assert not tallied(np.arange(500)[::-1]).counts_rows
