"""Runs with a mechanism of missing cells: what they fill and draw, and what is refused."""

import types

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from elbax.data import load
from elbax.model import AtRandom, ColumnFeatures, SelfMasking
from elbax.recipes.choice import Choice
from elbax.run.run import Run
from elbax.run.use import holes
from tests.run.tables import FAST


def censored(n: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Normal columns that follow one latent, and the same with the upper half of one hidden."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=n)
    whole = pd.DataFrame(
        {name: z + 0.5 * rng.normal(size=n) for name in ("income", "rooms", "cars", "trips")}
    )
    holed = whole.copy()
    holed.loc[whole["income"] > whole["income"].mean(), "income"] = np.nan
    return whole, holed


@pytest.mark.slow
def test_what_is_hidden_for_its_value_is_filled_better_than_at_random(elbax, tmp_path):
    whole, holed = censored(1000)
    holed.to_csv(tmp_path / "t.csv", index=False)
    hidden = holed["income"].isna()
    errors = {}
    for name, words in {
        "at-random": [],
        "self-masking": ["--missing.direction", "high"],
    }.items():
        run, out = tmp_path / name, tmp_path / f"{name}.csv"
        sizes = ["--latent-dim", 1, "--hidden", 16, "--iterations", 4000, "--learning-rate", 3e-3]
        status, _, said = elbax(
            "train", tmp_path / "t.csv", "--missing", name, *words, *sizes,
            "--validation", 0, "--no-report", "--out", run,
        )  # fmt: skip
        assert status == 0, said
        assert elbax("impute", run, "--data", tmp_path / "t.csv", "--out", out)[0] == 0
        filled = pd.read_csv(out)["income"]
        np.testing.assert_allclose(filled[~hidden], whole["income"][~hidden])
        errors[name] = np.sqrt(np.mean(np.square(filled - whole["income"])[hidden]))
        assert ("missingness" in Run(run).history) == (name == "self-masking")
    assert errors["self-masking"] < 0.7 * errors["at-random"]


def test_holes_of_new_rows_are_by_the_mechanism(tmp_path):
    whole, holed = censored(2000)
    dataset = load(holed, validation=0)
    features = ColumnFeatures(["normal"] * 4, dataset.train.x)
    masking = SelfMasking(features, np.isnan(dataset.train.x).mean(axis=0).tolist(), "high")
    run = Run(tmp_path, dataset=dataset, model=types.SimpleNamespace(mechanism=masking))
    new = load(whole, columns=dataset.columns).split("all").x
    found = holes.draw(run, dataset.columns, new, seed=1)
    assert not found[:, 1:].any()
    chance = np.asarray(masking.probability(jnp.asarray(new[0])))
    odds = np.log(np.isnan(dataset.train.x[:, 0]).mean() ** -1 - 1)  # of being observed
    standard = (new[0, 0] - features.centre[0]) / features.spread[0]
    assert chance[0] == pytest.approx(1 / (1 + np.exp(odds - standard)), rel=1e-5)
    expected = np.mean([masking.probability(jnp.asarray(row))[0] for row in new[:300]])
    assert found[:, 0].mean() == pytest.approx(float(expected), abs=0.1)
    above = new[:, 0] > 0
    assert found[above, 0].mean() > found[~above, 0].mean() + 0.2


def test_a_run_keeps_its_mechanism_and_another_has_none(elbax, tmp_path):
    censored(60)[1].to_csv(tmp_path / "t.csv", index=False)
    words = ("train", tmp_path / "t.csv", *FAST, "--no-report")
    for name, kind in (("self-masking", SelfMasking), ("at-random", AtRandom)):
        run = tmp_path / name
        assert elbax(*words, "--missing", name, "--out", run)[0] == 0
        assert isinstance(Run(run).model.missing, kind)
        assert Run(run).options.model.missing == Choice(name)


def test_what_has_no_holes_is_refused_before_anything_is_written(refused, tmp_path):
    censored(60)[0].to_csv(tmp_path / "whole.csv", index=False)
    out = tmp_path / "run"
    for data, why in ((tmp_path / "whole.csv", "no training cell"), ("digits", "of columns of a")):
        said = refused("train", data, "--missing", "self-masking", "--out", out)
        assert "missing (--missing) is self-masking" in said
        assert why in said
        assert said.endswith("leave it out")
    limit = ("--constraint", "income <= 9", "--missing", "self-masking")
    censored(60)[1].to_csv(tmp_path / "holed.csv", index=False)
    assert "--constraint" in refused("train", tmp_path / "holed.csv", *limit, "--out", out)
    assert "at-random, self-masking" in refused("train", "digits", "--missing", "x", "--out", out)
    assert not out.exists()
