"""A table with holes through the command line: trained, resumed, measured, sampled, refused."""

import csv
import dataclasses
import json
import shutil

import numpy as np
import pandas as pd
import pytest

import elbax as package
from elbax import evaluate
from elbax.data import load
from elbax.figures import top_label
from elbax.recipes import find, sizes
from elbax.recipes.choice import Choice
from elbax.recipes.options import replace
from elbax.util.keys import evaluation_key
from tests.run.tables import FAST, frame


@pytest.fixture(scope="module")
def trained(table_run, tmp_path_factory):
    """A finished run on a .csv with holes, and its folder."""
    folder = tmp_path_factory.mktemp("table") / "run"
    shutil.copytree(table_run, folder.parent, dirs_exist_ok=True)
    frame(10, 5).to_csv(folder.parent / "others.csv", index=False)
    return folder.parent


def test_what_is_left_and_said(trained):
    said = (trained / "said").read_text()
    assert "120 rows of 4 columns" in said
    assert "1 normal, 1 negative-binomial, 1 binary, 1 categorical" in said
    assert "table   sizes by its 96 training rows: --hidden 8 --latent-dim 2" in said
    config = json.loads((trained / "run/config.json").read_text())
    assert config["likelihood"]["name"] == "mixed"
    assert [c["kind"] for c in config["data"]["table"]["columns"]] == [
        "continuous", "count", "binary", "categorical",
    ]  # fmt: skip


def test_figures_leave_missing_cells_blank(trained):
    run = package.open_run(trained / "run")
    original = np.ma.asarray(run.figure("reconstruct").axes[0].images[0].get_array())
    blank = np.ma.getmaskarray(original) | np.isnan(original.data)
    assert blank.sum() == np.isnan(run.dataset.test.x).sum()
    for name in ("generated", "nearest"):
        assert run.figure(name).axes


def test_a_table_without_a_whole_row_has_no_neighbours(trained):
    run = package.open_run(trained / "run")
    train = run.dataset.train.x.copy()
    train[np.arange(len(train)), np.arange(len(train)) % 4] = np.nan
    split = dataclasses.replace(run.dataset.train, x=train)
    run.__dict__["dataset"] = dataclasses.replace(run.dataset, train=split)
    with pytest.raises(ValueError, match="every training row of these data has missing cells"):
        run.figure("nearest")


def test_the_map_of_labels_of_a_table_with_holes(trained):
    run = package.open_run(trained / "run")
    parts = {
        name: dataclasses.replace(part, label=np.arange(len(part)) % 2)
        for name, part in (("train", run.dataset.train), ("test", run.dataset.test))
    }
    run.__dict__["dataset"] = dataclasses.replace(run.dataset, **parts)
    decoded = np.asarray(run.figure("top_label").axes[0].images[0].get_array())
    assert decoded.shape == (60, 60, 3)
    assert np.isfinite(decoded).all()


def test_neighbours_in_a_table_count_deviations_over_observed_cells():
    rng = np.random.default_rng(0)
    own = np.arange(60) % 2
    rows = np.stack([own + 0.1 * rng.normal(size=60), 1000 * rng.normal(size=60)], axis=1)
    rows[::3, 1] = np.nan
    rows[0] = np.nan
    scaled, kept, asked = top_label._alike(rows, own, rows[1:])
    assert len(scaled) == len(kept) == 59
    np.testing.assert_allclose(np.nanstd(scaled, axis=0), 1.0)
    np.testing.assert_array_equal(asked, scaled)


def test_results_say_what_the_units_cost(trained):
    results = json.loads((trained / "run/results.json").read_text())
    run = package.open_run(trained / "run")
    x, height = run.dataset.test.x, run.dataset.columns[0]
    observed = np.mean(~np.isnan(x[:, 0]))
    key = evaluation_key(run.seed)
    standardised = dataclasses.replace(run.model.preprocessing, log_jacobian=())
    plain = dataclasses.replace(run.model, preprocessing=standardised)
    own, other = (evaluate.elbo(model, x, key=key).elbo.mean() for model in (run.model, plain))
    assert own - other == pytest.approx(-observed * np.log(height.scale), rel=1e-4)
    assert results["test"]["elbo"] == pytest.approx(own, rel=1e-5)


@pytest.mark.slow
def test_resuming_is_exact(trained, elbax):
    words = ["train", trained / "holes.csv", *FAST, "--no-report", "--out", trained / "short"]
    words[words.index(40)] = 20
    assert elbax(*words)[0] == 0
    status, _, err = elbax("resume", trained / "short", "--iterations", 40)
    assert status == 0, err
    again, whole = (
        json.loads((trained / name / "results.json").read_text()) for name in ("short", "run")
    )
    assert again["test"] == whole["test"]


def test_samples_are_a_table_like_the_data(trained, elbax):
    for name in ("synthetic.csv", "synthetic.parquet"):
        status, out, _ = elbax("sample", trained / "run", "--count", 50, "--out", trained / name)
        assert status == 0
        assert "50 draws" in out
    text, typed = pd.read_csv(trained / "synthetic.csv"), pd.read_parquet(
        trained / "synthetic.parquet"
    )  # fmt: skip
    pd.testing.assert_frame_equal(text, typed, check_dtype=False)
    real = pd.read_csv(trained / "holes.csv")
    assert list(text.columns) == list(real.columns)
    assert set(text["city"]) <= {"Ulm", "Bern", "Graz"}
    assert set(text["smoker"]) <= {True, False}
    assert np.all(text["kids"] == np.rint(text["kids"]))
    assert 100 < float(np.mean(text["height"].to_numpy())) < 240


def test_imputing_leaves_observed_cells_alone(trained, elbax):
    given = pd.read_csv(trained / "holes.csv").assign(note=range(120))
    given[["note", "city", "smoker", "kids", "height"]].to_csv(trained / "ask.csv", index=False)
    words = ("--data", trained / "ask.csv", "--out", trained / "filled.csv", "--draws", 50)
    status, out, err = elbax("impute", trained / "run", *words, "--multiple", 2)
    assert status == 0, err
    holes = int(given.isna().to_numpy().sum())
    assert f"{holes} cells filled in" in out
    asked = pd.read_csv(trained / "ask.csv")
    for name in ("filled", "filled.1", "filled.2"):
        filled = pd.read_csv(trained / f"{name}.csv")
        assert list(filled.columns) == list(asked.columns)
        assert not filled.isna().to_numpy().any()
        for column in asked.columns:
            seen = asked[column].notna()
            assert list(filled[column][seen]) == list(asked[column][seen])
    lines = [
        list(csv.reader((trained / name).read_text().splitlines()))
        for name in ("ask.csv", "filled.csv")
    ]
    for asked_cells, filled_cells in zip(*lines, strict=True):  # to the very characters
        for before, after in zip(asked_cells, filled_cells, strict=True):
            assert before in ("", after)
    with open(trained / "filled.intervals.csv", newline="", encoding="utf-8") as file:
        intervals = list(csv.DictReader(file))
    assert len(intervals) == holes
    filled = pd.read_csv(trained / "filled.csv")
    for cell in intervals:
        value = filled[cell["column"]].iloc[int(cell["row"])]
        if cell["column"] == "height":
            assert float(cell["value"]) == pytest.approx(value, rel=1e-9)
            assert float(cell["lower"]) < float(cell["upper"])
        elif cell["column"] == "city":
            assert cell["value"] == value
            assert 0 <= float(cell["probability"]) <= 1
            assert cell["lower"] == ""


def test_other_rows_are_encoded_and_reconstructed(trained, elbax):
    few = pd.read_csv(trained / "others.csv")
    few[reversed(few.columns)].to_csv(trained / "reordered.csv", index=False)
    for data in ("others", "reordered"):
        words = ("encode", trained / "run", "--data", trained / f"{data}.csv", "--out",
                 trained / f"{data}-z.csv")  # fmt: skip
        assert elbax(*words)[0] == 0
    codes = [(trained / f"{data}-z.csv").read_text() for data in ("others", "reordered")]
    assert codes[0] == codes[1]
    out = trained / "back.csv"
    words = ("--data", trained / "others.csv", "--split", "all", "--out", out)
    assert elbax("reconstruct", trained / "run", *words)[0] == 0
    assert list(pd.read_csv(out).columns) == list(few.columns)


def test_evaluate_speaks_of_the_observed_cells(trained, elbax):
    words = ("--estimator", "importance", "--samples", 200, "--json")
    status, out, err = elbax("evaluate", trained / "run", *words)
    assert status == 0, err
    assert "nan" not in out.lower()


def test_asking_for_what_the_recipe_has_anyway(trained, elbax):
    (trained / "o.toml").write_text("latent_dim = 10\n")
    words = ("--batch-size", 96, "--hidden=512,384,256", "--config", trained / "o.toml")
    status, _, said = elbax("train", trained / "holes.csv", *words, "--dry-run")
    assert status == 0, said
    assert "--hidden 512,384,256 --latent-dim 10 --iterations 10000 --batch-size 96" in said


def test_what_does_not_fit_is_refused(trained, refused):
    run = trained / "run"
    np.save(trained / "x.npy", np.zeros((5, 4), np.float32))
    out = ("--out", trained / "z.csv")
    assert "was trained on a table" in refused(
        "encode", run, "--data", trained / "x.npy", *out)  # fmt: skip
    few = pd.read_csv(trained / "others.csv").drop(columns="kids")
    few.to_csv(trained / "few.csv", index=False)
    assert "lacks the column 'kids'" in refused(
        "encode", run, "--data", trained / "few.csv", *out)  # fmt: skip
    assert "whole rows" in refused("evaluate", run, "--estimator", "samples")
    assert "each column of a table has its own" in refused(
        "train", trained / "holes.csv", "--likelihood", "normal")  # fmt: skip
    assert "give NAME=KIND" in refused("train", trained / "holes.csv", "--columns", "kids")
    assert "are those of a table" in refused("train", "digits", "--labels", "kids")


def test_inspect_shows_each_column(trained, elbax):
    status, out, _ = elbax("inspect", trained / "holes.csv", "--columns", "kids=continuous")
    assert status == 0
    lines = {line.split()[0]: line for line in out.splitlines() if line.startswith("  ")}
    assert list(lines) == ["height", "kids", "smoker", "city"]
    assert "continuous  normal" in lines["kids"]
    assert "Bern, Graz, Ulm" in lines["city"]
    _, out, _ = elbax("inspect", trained / "holes.csv", "--columns", "city=ignore", "--json")
    described = json.loads(out)["table"]
    assert described[-1] == {"name": "city", "reason": "as asked"}
    real = pd.read_csv(trained / "holes.csv")
    assert described[0]["minimum"] == pytest.approx(real["height"].min(), abs=1e-4)
    assert described[0]["missing"] == real["height"].isna().sum()


def test_sizes_are_settled_by_the_rows_unless_asked_for():
    dataset = load(frame())
    options = find("vae").options()
    settled = sizes.settle(options, dataset)
    assert settled.model.hidden == (64, 64)
    assert settled.model.latent_dim == 2
    assert (settled.training.iterations, settled.training.batch_size) == (10_000, 9)
    blind = sizes.settle(options, load(frame(), validation=0))
    assert (blind.training.iterations, blind.training.patience) == (20 * 108, None)
    assert settled.training.patience == 10
    assert settled.training.objective == Choice("importance-weighted")
    weighed = sizes.settle(replace(options, {"beta": 1.0}), dataset)
    assert weighed.training.objective == Choice("elbo", (("beta", 1.0),))
    asked = find("vae").options()
    asked = sizes.settle(replace(asked, {"hidden": (5,), "epochs": 3}), dataset)
    assert asked.model.hidden == (5,)
    assert asked.training.epochs == 3
    # What was asked for stays, though it be what the recipe has anyway.
    same = replace(find("vae").options(), {"hidden": (512, 384, 256), "batch_size": 50})
    assert sizes.settle(same, dataset).model.hidden == (512, 384, 256)
    few = sizes.settle(options, load(np.zeros((30, 4, 4), np.uint8))).training
    assert (few.batch_size, few.validate_every, few.patience) == (24, 100, 10)
    assert sizes.settle(options, load("digits")).training.patience is None
