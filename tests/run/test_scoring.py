"""Rows scored and drawn given cells, in a table's own units, through the command line."""

import dataclasses
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from elbax.data.columns import Column
from elbax.model import Preprocessing
from elbax.run.use import conditioning, scoring
from tests.evaluate.test_imputation import conditional
from tests.evaluate.test_imputation import holed as exact_model
from tests.linear_gaussian import log_normal
from tests.run.tables import frame

SHIFTS, SCALES = np.array([10.0, -3.0, 0.0, 1.0]), np.array([2.0, 0.5, 30.0, 1.0])


def columns() -> tuple[Column, ...]:
    pairs = zip("abcd", SHIFTS, SCALES, strict=True)
    return tuple(Column(n, "continuous", "double", shift=a, scale=b) for n, a, b in pairs)


@pytest.fixture(scope="module")
def trained(table_run, tmp_path_factory):
    """A short run on a table with holes, and its folder."""
    folder = tmp_path_factory.mktemp("scored")
    shutil.copytree(table_run, folder, dirs_exist_ok=True)
    frame(20, 5).iloc[:, ::-1].to_csv(folder / "others.csv", index=False)
    return folder


def test_densities_are_those_of_the_tables_own_units():
    oracle, model, x = exact_model()
    jacobian = tuple(column.log_jacobian for column in columns())
    model = dataclasses.replace(model, preprocessing=Preprocessing(log_jacobian=jacobian))
    scored = scoring.score_rows(model, x, columns(), samples=10_000, seed=0)
    covariance = oracle.weight @ oracle.weight.T + oracle.scale**2 * np.eye(4)
    for row, found in zip(x, scored.log_p, strict=True):
        seen = ~np.isnan(row)
        own = log_normal(
            (row * SCALES + SHIFTS)[seen],
            (oracle.bias * SCALES + SHIFTS)[seen],
            (covariance * np.outer(SCALES, SCALES))[np.ix_(seen, seen)],
        )
        assert found == pytest.approx(own, abs=0.05)
    total = np.nansum(scored.elements, axis=1) - scored.kl
    np.testing.assert_allclose(total, scored.log_p, atol=1e-3)
    np.testing.assert_allclose(scored.shares(masses=False), total + scored.kl, atol=1e-9)
    np.testing.assert_array_equal(scored.shares(masses=True), 0.0)


def test_rows_given_a_cell_are_those_of_the_conditional_normal():
    oracle, model, _ = exact_model()
    given = conditioning.parse("b=-2.5, c = 12", columns())
    assert given == {"b": -2.5, "c": 12.0}
    table, found = conditioning.draw(model, columns(), given, count=3000, seed=0, proposals=10_000)
    assert found.trust() == "yes"
    assert set(table["b"].to_pylist()) == {-2.5}
    assert set(table["c"].to_pylist()) == {12.0}
    row = np.array([np.nan, 1.0, 0.4, np.nan])
    mean, deviation = conditional(oracle, row)
    for name, i, j in (("a", 0, 0), ("d", 3, 1)):
        standard = (table[name].to_numpy() - SHIFTS[i]) / SCALES[i]
        standard = (standard - mean[j]) / deviation[j]
        assert scipy.stats.kstest(standard, "norm").statistic < 0.05
    (line,) = conditioning.in_words(columns(), given, found)
    assert "to be trusted: yes" in line


def test_rows_given_a_range_are_those_of_the_truncated_normal():
    oracle, model, _ = exact_model()
    given = conditioning.parse("b=-3..-2.5, d=..1.5", columns())
    table, found = conditioning.draw(model, columns(), given, count=3000, seed=0, proposals=12_000)
    assert found.trust() == "yes"
    covariance = oracle.weight @ oracle.weight.T + oracle.scale**2 * np.eye(4)
    rng = np.random.default_rng(1)
    truth = rng.multivariate_normal(oracle.bias, covariance, 200_000) * SCALES + SHIFTS
    inside = (truth[:, 1] >= -3) & (truth[:, 1] <= -2.5) & (truth[:, 3] <= 1.5)
    # How likely it is, and how the rows are spread.
    assert np.exp(found.log_given) == pytest.approx(inside.mean(), rel=0.1)
    for i, name in enumerate("abcd"):
        drawn = table[name].to_numpy()
        edges = np.quantile(truth[inside, i], np.linspace(0.05, 0.95, 10))
        below = (drawn[:, None] <= edges).mean(axis=0)
        np.testing.assert_allclose(below, np.linspace(0.05, 0.95, 10), atol=0.06)
    assert -3 <= min(table["b"].to_pylist()) <= max(table["b"].to_pylist()) <= -2.5
    (line,) = conditioning.in_words(columns(), given, found)
    assert "given b=-3..-2.5, d=..1.5" in line


def test_ranges_and_sets_are_of_their_column():
    kinds = (
        Column("n", "count", "int64", lower=0.0, upper=9.0, resolution=1.0),
        Column("c", "categorical", "large_string", ("ash", "elm", "a|b")),
        Column("x", "continuous", "double", shift=10.0, scale=2.0, resolution=0.5),
        Column("y", "continuous", "double"),
    )
    found = conditioning.parse("n=2..4,c=ash|elm,x=9..", kinds)
    held = {"n": [1, 2, 3, 4, 5], "c": [0, 1, 2], "x": [-0.7, -0.55, 5.0]}
    inside = {"n": [0, 1, 1, 1, 0], "c": [1, 1, 0], "x": [0, 1, 1]}
    for name, cells in held.items():
        value = found[name]
        assert isinstance(value, conditioning.Within)
        np.testing.assert_array_equal(value.holds(np.array(cells)), np.array(inside[name], bool))
    assert conditioning.parse("c=a|b", kinds) == {"c": "a|b"}
    for text, problem in (("x=3..1", "swap them"), ("c=ash|oak", "no category 'oak'"),
                          ("n=a..3", "'a' is none")):  # fmt: skip
        with pytest.raises(ValueError, match=problem):
            conditioning.parse(text, kinds)


def test_what_cannot_be_given_is_refused_by_name():
    kinds = (
        Column("a", "continuous", "double"),
        Column("n", "count", "int64"),
        Column("p", "positive", "double"),
        Column("c", "categorical", "large_string", ("Bern", "Graz, A", "Ulm")),
        Column("t", "binary", "bool", (False, True)),
        Column("g", "ordinal", "int64", (1, 2, 5)),
        Column("w", "continuous", "int32"),
    )
    for text, problem in {
        "b=1": "no such column",
        "n=1.5": "'n' is count: it holds whole numbers from 0 on, not 1.5",
        "n=-1": "whole numbers from 0 on, not -1",
        "p=0": "'p' is positive: it holds numbers above 0, not 0",
        "a=tall": "'a' holds numbers, and 'tall' is none",
        "a=inf": "'inf' is none",
        "w=1.5": "'w' holds whole numbers",
        "c=Berne": "no category 'Berne' (did you mean 'Bern'?)",
        "g=3": "no category '3'",
        "a": "give NAME=VALUE",
        "a=1,a=2": "twice",
        "": "is empty",
        "a=1,n=1,p=1,c=Ulm,t=true,g=1,w=1": "nothing is left",
    }.items():
        with pytest.raises(ValueError, match=r"^(given|column)") as refusal:
            conditioning.parse(text, kinds)
        assert problem in str(refusal.value)
    found = conditioning.parse('"c=Graz, A",t=true,g=2.0,w=3', kinds)
    assert found == {"c": "Graz, A", "t": True, "g": 2, "w": 3}


def test_scores_of_a_table(trained, elbax):
    words = ("--data", trained / "holes.csv", "--samples", 100)
    status, out, err = elbax("score", trained / "run", *words, "--out", trained / "s.csv")
    assert status == 0, err
    assert "120 rows" in out
    assert "to be trusted" in out
    scores, holes = pd.read_csv(trained / "s.csv"), pd.read_csv(trained / "holes.csv")
    assert len(scores) == 120
    np.testing.assert_allclose(
        scores["masses"] + scores["densities"] - scores["kl"], scores["log_p"], atol=1e-3
    )
    for name in holes.columns:
        assert list(scores[f"log_p[{name}]"].isna()) == list(holes[name].isna())
    np.testing.assert_allclose(scores["log_p[height]"].fillna(0.0), scores["densities"])
    # Another table's rows, in any order of columns; a stranger row scores lower.
    other = pd.read_csv(trained / "others.csv")
    other.loc[3, "height"] = 400.0
    other.to_parquet(trained / "others.parquet")
    words = ("--data", trained / "others.parquet", "--out", trained / "o.npz", "--samples", 100)
    status, out, _ = elbax("score", trained / "run", *words, "--json")
    assert status == 0
    with np.load(trained / "o.npz", allow_pickle=False) as arrays:
        assert arrays["elements"].shape == (20, 4)
        assert int(np.argmin(arrays["log_p"])) == 3
        assert int(np.argmin(arrays["elements"][3])) == 0  # because of its height
        assert json.loads(out)["log_p"] == pytest.approx(arrays["log_p"].mean())


def test_a_row_beyond_floats_is_said(trained, elbax):
    far = pd.read_csv(trained / "others.csv").assign(height=[1e30] + [170.0] * 19)
    far.to_csv(trained / "far.csv", index=False)
    words = ("--data", trained / "far.csv", "--samples", 20, "--out", trained / "far-scores.csv")
    status, out, err = elbax("score", trained / "run", *words)
    assert status == 0, err
    assert "1 of 20 rows are beyond the range of floats, the first in row 0" in out
    assert pd.read_csv(trained / "far-scores.csv")["log_p"].iloc[0] == -np.inf


def test_scores_of_images(finished_run, elbax, tmp_path):
    out = tmp_path / "scores.npz"
    words = ("--split", "test", "--samples", 20, "--out", out)
    status, _, err = elbax("score", finished_run, *words)
    assert status == 0, err
    with np.load(out, allow_pickle=False) as arrays:
        assert arrays["elements"].shape[1:] == (8, 8, 1)
        total = arrays["elements"].sum(axis=(1, 2, 3)) - arrays["kl"]
        np.testing.assert_allclose(total, arrays["log_p"], atol=1e-3)


def test_rows_given_cells(trained, elbax, refused):
    out = trained / "given.csv"
    words = ("--count", 30, "--proposals", 500, "--out", out)
    status, said, err = elbax("sample", trained / "run", "--given", "kids=2,smoker=True", *words)
    assert status == 0, err
    assert "given kids=2, smoker=True" in said
    found = pd.read_csv(out)
    assert set(found["kids"]) == {2}
    assert set(found["smoker"]) == {True}
    assert len(set(found["height"])) == 30
    assert "no category 'Rome'" in refused(
        "sample", trained / "run", "--given", "city=Rome", *words)  # fmt: skip
    assert "exclude each other" in refused(
        "sample", trained / "run", "--given", "kids=2", "--mean", *words)  # fmt: skip
