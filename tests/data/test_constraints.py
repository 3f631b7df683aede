"""Constraints: what they say, what is modelled in a column's place, and that rows keep to them."""

import datetime
import json
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from elbax.data import Column, DataError, load, tables
from elbax.data.constraints import parse
from elbax.data.formats import tables as files

NAMES = ["start", "end", "a", "b", "total", "net income", "x-y", "2020"]
KEPT = ("end >= start", "total = a + 2*b", "low <= mid", "mid <= high", "0 <= share <= 1")


def frame(n: int = 400) -> Any:
    """Rows that keep to `KEPT`."""
    rng = np.random.default_rng(0)
    start = pd.Timestamp("2021-03-01") + pd.to_timedelta(rng.integers(0, 600, n), "D")
    a, b = rng.gamma(3, 20, n).round(2), rng.gamma(2, 9, n).round(1)
    low = rng.normal(10, 2, n).round(1)
    mid = low + rng.gamma(1, 2, n).round(1)
    return pd.DataFrame(
        {
            "end": start + pd.to_timedelta(rng.gamma(2, 5, n).round(), "D"),
            "start": start,
            "a": a,
            "b": b,
            "total": (a + 2 * b).round(2),
            "share": rng.beta(2, 5, n).round(3),
            "high": (mid + rng.gamma(2, 1, n).round(1)).round(1),
            "low": low,
            "mid": mid.round(1),
        }
    )


def holed(seed: int = 1) -> Any:
    whole = frame()
    return whole.mask(np.random.default_rng(seed).random(whole.shape) < 0.25)


def broken(rows: Any) -> dict[str, int]:
    """How many rows break each constraint; a missing cell breaks none."""
    return {
        "end": int((rows["end"] < rows["start"]).sum()),
        "total": int(((rows["a"] + 2 * rows["b"] - rows["total"]).abs() > 0.006).sum()),
        "low": int((rows["low"] > rows["mid"]).sum()),
        "mid": int((rows["mid"] > rows["high"]).sum()),
        "share": int(((rows["share"] < 0) | (rows["share"] > 1)).sum()),
    }


NONE = dict.fromkeys(["end", "total", "low", "mid", "share"], 0)


# --- words -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "factors", "constant", "sign"),
    [
        ("end >= start", {"end": 1, "start": -1}, 0, ">="),
        ("total = a + b", {"total": 1, "a": -1, "b": -1}, 0, "=="),
        ("total == 2 * a - b/4 + 3", {"total": 1, "a": -2, "b": 0.25}, -3, "=="),
        ("net income < 2e3 * a", {"net income": 1, "a": -2000}, 0, "<"),
        ("x-y ≤ a - -b", {"x-y": 1, "a": -1, "b": -1}, 0, "<="),
        ('"2020" > 2020', {"2020": 1}, -2020, ">"),
        ("`net income`>= 'x-y'", {"net income": 1, "x-y": -1}, 0, ">="),
        ("a + a <= 3 * (b + 1)", {"a": 2, "b": -3}, -3, "<="),
        ("start >= 1970-01-02", {"start": 1}, -86_400, ">="),
        ("start >= 1970-01-01 00:01", {"start": 1}, -60, ">="),
    ],
)
def test_a_constraint_is_a_comparison_of_sums(text, factors, constant, sign):
    (found,) = parse(text, NAMES)
    difference = found.left.plus(found.right, -1.0)
    assert dict(difference.factors) == factors
    assert difference.constant == constant
    assert found.sign == sign


def test_a_chain_is_two_comparisons():
    assert [one.sign for one in parse("0 <= a < b", NAMES)] == ["<=", "<"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("end >= begin", "names 'begin', which is no column"),
        ("ende >= start", "did you mean 'end'"),
        ("a * b >= 3", "no comparison of sums"),
        ("a / b >= 3", "no comparison of sums"),
        ("a", "no comparison of sums"),
        ("a >=", "no comparison of sums"),
        ("a != b", "no comparison of sums"),
        ("a >= b / 0", "no comparison of sums"),
        ("__import__('os') >= a", "which is no column"),
        ("a[0] >= b", "no comparison of sums"),
        ("3 >= 2", "nothing to compare"),
        ("a = 3", "nothing to compare"),
        ("a - a >= 0", "nothing to compare"),
    ],
)
def test_what_is_no_constraint_is_refused_in_one_line(text, words):
    with pytest.raises(DataError, match="constraint") as error:
        parse(text, NAMES)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


# --- columns ---------------------------------------------------------------------------------


def test_rows_come_back_as_they_were():
    data = load(frame(), validation=0, constraints=KEPT)
    columns = tuple(Column.from_json(json.loads(json.dumps(c.to_json()))) for c in data.columns)
    assert columns == data.columns
    part = data.split("all")
    back = tables.decode(columns, part.x).to_pandas()
    pd.testing.assert_frame_equal(
        back.astype(frame().dtypes), frame().iloc[part.index].reset_index(drop=True)
    )


@pytest.mark.parametrize("written", ["text", "date", "polars", "parquet"])
def test_dates_of_any_type_are_compared(written, tmp_path):
    data = frame()
    if written == "text":
        for name in ("start", "end"):
            data[name] = data[name].dt.strftime("%d.%m.%Y")
    elif written == "date":
        data["start"] = data["start"].dt.date
    elif written == "polars":
        data = pl.from_pandas(data).with_columns(pl.col("end").cast(pl.Date))
    else:
        data.to_parquet(tmp_path / "t.parquet")
        data = tmp_path / "t.parquet"
    found = load(data, validation=0, constraints=["end >= start"])
    column = next(c for c in found.columns if c.name == "end")
    days = (frame()["end"] - frame()["start"]).dt.days
    part = found.split("all")
    numbers = part.x[:, found.columns.index(column)] * column.scale + column.shift
    assert column.relation is not None
    unit = abs(column.relation.slack) * (1 if column.own.dtype.startswith("date") else 1 / 86_400)
    np.testing.assert_allclose(numbers * unit, days.to_numpy()[part.index], rtol=1e-5, atol=1e-4)
    back = tables.decode(found.columns, part.x).column("end").to_pylist()
    assert part.index is not None
    first = frame()["end"][part.index[0]]
    assert back[0] in (first.strftime("%d.%m.%Y"), first.date(), first, first.to_pydatetime())


def test_whatever_is_drawn_keeps_to_the_constraints():
    data = load(holed(), validation=0, constraints=KEPT)
    rng = np.random.default_rng(3)
    x = 3 * rng.standard_normal((5000, len(data.columns)))
    for i, column in enumerate(data.columns):
        if column.kind == "count":
            x[:, i] = rng.poisson(9, len(x))
    drawn = tables.decode(data.columns, x).to_pandas()
    assert not drawn.isna().to_numpy().any()
    assert broken(drawn) == NONE
    assert list(drawn.columns) == list(frame().columns)
    cents = drawn["total"] * 100
    np.testing.assert_allclose(cents, cents.round(), atol=1e-6)


def test_cells_are_filled_so_that_rows_with_observed_ones_keep_to_them():
    data = load(holed(), validation=0, constraints=KEPT)
    table = files.read(holed(2))
    rows = tables.encode(table, data.columns)
    np.testing.assert_array_equal(rows.missing, holed(2).isna().to_numpy())
    rng = np.random.default_rng(3)
    x = np.where(np.isnan(rows.x), 2 * rng.standard_normal(rows.x.shape), rows.x)
    filled = tables.decode(data.columns, x, rows.own).to_pandas()
    seen = ~rows.missing
    for i, name in enumerate(frame()):
        expected = holed(2)[name][seen[:, i]]
        found = filled[name][seen[:, i]]
        assert (found - expected).abs().max() < (pd.Timedelta(1) if i < 2 else 1e-4), name
    # Between a lower and an upper end that were both observed there is room.
    assert broken(filled) == NONE


def test_what_an_equation_leaves_one_value_for_is_known():
    data = load(holed(), validation=0, constraints=["total = a + 2*b"])
    whole = frame()
    gap = holed()["a"].isna() & holed()["b"].notna() & holed()["total"].notna()
    table = files.read(holed())
    rows = tables.encode(table, data.columns)
    filled = tables.decode(data.columns, np.nan_to_num(rows.x), rows.own)
    found = filled.column("a").to_pandas()[gap.to_numpy()]
    np.testing.assert_allclose(found, whole["a"][gap], atol=0.006)  # half of a's resolution
    assert gap.sum() > 20
    i = [c.name for c in data.columns].index("a")
    assert not np.isnan(rows.x[gap.to_numpy(), i]).any()


def test_the_density_of_a_distance_is_that_of_the_column():
    """Given the others the change of variables only shifts: no Jacobian but the scale's."""
    data = load(frame(), validation=0, constraints=["high >= low"])
    column = next(c for c in data.columns if c.name == "high")
    distance = frame()["high"] - frame()["low"]
    part = data.train.index
    logs = {
        "positive": np.log(distance)[part].mean(),
        "continuous": np.log(distance[part].std(ddof=0)),
    }
    assert -column.log_jacobian == pytest.approx(logs[column.kind], abs=1e-9)


def test_ends_of_intervals_are_in_order():
    data = load(frame(), validation=0, constraints=["end >= start"])
    table = files.read(frame().assign(start=pd.NaT))
    rows = tables.encode(table, data.columns)
    low, high = np.nan_to_num(rows.x).copy(), np.nan_to_num(rows.x).copy()
    i = [c.name for c in data.columns].index("end")
    low[:, i], high[:, i] = 2.0, 20.0
    lower, upper = (
        t.column("start").to_pandas() for t in tables.decode_ends(data.columns, low, high, rows.own)
    )
    assert (lower <= upper).all()
    first, last = frame()["start"].min(), frame()["start"].max()
    inside = frame()["end"].between(first + pd.Timedelta(20, "D"), last + pd.Timedelta(2, "D"))
    assert inside.sum() > 300
    assert ((frame()["end"] - lower).dt.days[inside] == 20).all()
    assert ((frame()["end"] - upper).dt.days[inside] == 2).all()


# --- refusals --------------------------------------------------------------------------------


def test_rows_that_break_a_constraint_are_counted_and_named():
    data = frame()
    data.loc[[7, 30], "end"] = data.loc[[7, 30], "start"] - datetime.timedelta(3)
    with pytest.raises(DataError) as error:
        load(data, constraints=["end >= start"])
    line = str(error.value)
    assert "breaks --constraint 'end >= start' in 2 rows (7, 30, counted from 0), of 400" in line
    assert ": row 7 has end 20" in line
    assert "\n" not in line
    looked = load(data, constraints=["end >= start"], check=False)
    assert any("in 2 rows (7, 30" in problem for problem in looked.problems)
    known = load(frame(), constraints=["end >= start"]).columns
    with pytest.raises(DataError, match=r"breaks --constraint .* in 2 rows"):
        load(data, columns=known, check=False)


@pytest.mark.parametrize(
    ("constraints", "words"),
    [
        (["share >= 0.2"], "breaks --constraint 'share >= 0.2'"),
        (["end > start"], "breaks --constraint 'end > start'"),
        (["end >= share"], "compares dates with numbers"),
        (["share >= 2020-01-01"], "compares dates with numbers"),
        (["end >= start + 3"], "compares dates with numbers"),
        (["start <= end", "end <= start"], "does not go with the others"),
        (["a >= b - 1000", "b <= a + 1000"], "does not go with the others"),
        (["id >= a"], "is left out of the model"),
        (["kind >= a"], "holds text"),
    ],
)
def test_constraints_that_cannot_be_kept_are_refused(constraints, words):
    data = frame().assign(id=np.arange(400) * 7 + 3, kind="u")
    data.loc[:200, "kind"] = "v"
    with pytest.raises(DataError) as error:
        load(data, constraints=constraints)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_second_is_told_from_rounding_and_float32_from_a_second():
    start = pd.Timestamp("2024-05-01") + pd.to_timedelta(np.arange(60) * 977, "s")
    data = pd.DataFrame({"start": start, "end": start + pd.to_timedelta(5, "s")})
    load(data, constraints=["end > start"])
    data.loc[7, "end"] = data.loc[7, "start"] - pd.Timedelta(1, "s")
    with pytest.raises(DataError, match="in row 7 "):
        load(data, constraints=["end >= start"])
    a = np.random.default_rng(0).random(60).astype(np.float32)
    parts = pd.DataFrame({"a": a, "b": a[::-1], "total": (a + a[::-1]).astype(np.float32)})
    load(parts, constraints=["total = a + b"])


def test_arrays_have_no_names_to_constrain():
    with pytest.raises(DataError, match="names"):
        load(np.random.default_rng(0).normal(size=(50, 3)), constraints=["0 <= 1"])
    with pytest.raises(DataError, match="has no names"):
        load("digits", constraints=["a <= b"])


def test_a_range_is_the_support_that_is_written():
    data = load(frame(), validation=0, constraints=["-1 <= share <= 2"])
    column = next(c for c in data.columns if c.name == "share")
    assert (column.lower, column.upper) == (-1.0, 2.0)
    observed = next(
        c for c in load(frame(), constraints=["share > 0"]).columns if c.name == "share"
    )
    assert observed.lower == frame()["share"].min()
