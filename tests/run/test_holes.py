"""Holes of new rows, as the training rows have them."""

import types

import numpy as np
import pandas as pd
import pytest

from elbax.data import load
from elbax.run.run import Run
from elbax.run.use import holes
from tests.run.tables import FAST


@pytest.fixture
def identity(monkeypatch):
    """A model that gives every row as it is, and the mean for a hole."""

    def reconstruct(model, rows, key):
        return rows, np.nan_to_num(rows)

    monkeypatch.setattr(holes.evaluate, "reconstruct", reconstruct)


def table(n: int = 4000) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A table whose holes in b follow a and the kind, those in c come with those in b."""
    rng = np.random.default_rng(0)
    whole = pd.DataFrame({
        "a": rng.normal(size=n), "kind": rng.choice([*"uvw"], n),
        "b": rng.normal(size=n), "c": rng.normal(size=n),
    })  # fmt: skip
    chance = 1 / (1 + np.exp(1 - 2 * whole["a"] - 1.5 * (whole["kind"] == "u")))
    b = rng.random(n) < chance
    c = np.where(b, rng.random(n) < 0.9, rng.random(n) < 0.05)
    holed = whole.copy()
    holed.loc[b, "b"], holed.loc[c, "c"] = np.nan, np.nan
    return whole, holed


@pytest.mark.usefixtures("identity")
def test_holes_depend_on_cells_and_on_each_other_as_they_did(tmp_path):
    whole, holed = table()
    dataset = load(holed, validation=0)
    run = Run(tmp_path, dataset=dataset, model=types.SimpleNamespace(mechanism=None))
    new = load(whole, columns=dataset.columns).split("all")
    found = holes.draw(run, dataset.columns, new.x, seed=1)
    order = new.index
    there = holed.isna().to_numpy()[order]
    assert not found[:, :2].any()
    kind, a = whole["kind"].to_numpy()[order] == "u", whole["a"].to_numpy()[order]
    for group in (kind, ~kind, a > 0.7, a < -0.7, (a > 0) & kind):
        error = 4 * np.sqrt(0.5 / group.sum())
        np.testing.assert_allclose(found[group].mean(0), there[group].mean(0), atol=error)
    for b in (True, False):
        share, expected = (m[m[:, 2] == b, 3].mean() for m in (found, there))
        assert share == pytest.approx(expected, abs=0.04)
    np.testing.assert_array_equal(found, holes.draw(run, dataset.columns, new.x, seed=1))


def test_a_table_without_holes_has_none_to_draw(tmp_path):
    whole, _ = table(60)
    dataset = load(whole)
    with pytest.raises(ValueError, match="trained on a table without any"):
        holes.draw(Run(tmp_path, dataset=dataset), dataset.columns, dataset.train.x, seed=0)


def test_a_table_is_sampled_with_its_holes(elbax, refused, tmp_path):
    table(300)[1].to_csv(tmp_path / "t.csv", index=False)
    words = (*FAST, "--no-report", "--out", tmp_path / "run")
    assert elbax("train", tmp_path / "t.csv", *words)[0] == 0
    out = tmp_path / "new.csv"
    status, said, _ = elbax(
        "sample", tmp_path / "run", "--with-missing", "--count", 400, "--out", out
    )
    assert status == 0
    assert "with holes" in said
    missing = np.array(pd.read_csv(out).isna()).mean(axis=0)
    assert missing[0] == missing[1] == 0
    assert 0.2 < missing[2] < 0.6
    both = ("--with-missing", "--given", "a=1")
    assert "exclude" in refused("sample", tmp_path / "run", *both, "--out", out)
