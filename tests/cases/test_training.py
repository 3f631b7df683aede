"""Every kind of ordinary data is inspected, trains, and is sampled and reconstructed."""

import json

import numpy as np
import pandas as pd
import pytest
import scipy.stats

import elbax as package
from elbax import evaluate
from elbax.estimators import VAE
from elbax.util.keys import evaluation_key
from tests.cases.made import CASES, people, spots

SHORT = ("--hidden", "8", "--iterations", 20, "--no-report")
FAST = ("a matrix with holes", "temperatures in Kelvin", "patients")


@pytest.mark.parametrize(
    "name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in CASES]
)
def test_a_case_is_inspected_trained_sampled_and_reconstructed(elbax, tmp_path, name):
    path = CASES[name](tmp_path)
    status, out, _ = elbax("inspect", path, "--json")
    assert status == 0
    found = json.loads(out)
    assert found["problems"] == []
    status, _, said = elbax("train", path, *SHORT, "--out", tmp_path / "run")
    assert status == 0, said
    for note in found["notes"]:
        assert note.split(", standardised")[0] in said
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["likelihood"]["name"] == found["likelihood"]
    is_table = config["data"]["kind"] == "table"
    modelled = [column["name"] for column in found.get("table", ()) if "kind" in column]
    if is_table:
        assert [column["name"] for column in config["data"]["table"]["columns"]] == modelled
    test = json.loads((tmp_path / "run" / "results.json").read_text())["test"]
    assert np.isfinite(test["elbo"])

    out = tmp_path / ("new.csv" if is_table else "new.npy")
    for command in (("sample", "--count", 40, *([] if is_table else ["--draw"])), ("reconstruct",)):
        status, _, said = elbax(command[0], tmp_path / "run", *command[1:], "--out", out)
        assert status == 0, said
        if is_table:
            assert list(pd.read_csv(out).columns) == modelled
            continue
        new, data = np.load(out), package.open_run(tmp_path / "run").dataset
        if data.columns:
            low, high = (np.array([getattr(c, e) or 0 for c in data.columns])
                         for e in ("lower", "upper"))  # fmt: skip
            assert np.all((low <= new) & (new <= np.maximum(high, 1))) or command[0] != "sample"
        elif data.scaling.shift:
            x = data.train.x
            assert abs(new.mean() - np.nanmean(x)) < 3 * np.nanstd(x)


def test_images_with_holes_are_filled(elbax, tmp_path):
    path = CASES["images with holes"](tmp_path)
    run, out = tmp_path / "run", tmp_path / "filled.npy"
    assert elbax("train", path, *SHORT, "--out", run)[0] == 0
    fill = ("impute", run, "--data", path, "--draws", 20, "--multiple", 2, "--out", out)
    status, said, _ = elbax(*fill)
    assert status == 0
    x, filled = np.load(path), np.load(out)
    holes = np.isnan(x)
    assert f"{holes.sum():,} cells filled in 60 of 60 rows" in said
    ends = np.load(tmp_path / "filled.intervals.npz")
    drawn = [np.load(tmp_path / f"filled.{i}.npy") for i in (1, 2)]
    for made in (filled, ends["lower"], ends["upper"], *drawn):
        assert (made.shape, made.dtype) == (x.shape, x.dtype)
        np.testing.assert_array_equal(made[~holes], x[~holes])
        assert np.isfinite(made).all()
    assert np.all((ends["lower"] <= ends["upper"])[holes])
    assert not np.array_equal(*drawn)
    assert abs(filled[holes].mean() - np.nanmean(x)) < 3 * np.nanstd(x)  # in Kelvin
    whole = tmp_path / "whole.npy"
    np.save(whole, filled)
    assert elbax("train", whole, *SHORT, "--out", tmp_path / "knows-none")[0] == 0
    status, _, said = elbax("impute", tmp_path / "knows-none", "--data", path, "--out", out)
    assert status == 2
    assert "was trained on data without any: train on data of which some are missing" in said


@pytest.mark.slow
def test_filled_pixels_are_near_those_that_were_taken_out(elbax, tmp_path):
    whole = spots(400)
    x = np.where(np.random.default_rng(7).random(whole.shape) < 0.2, np.nan, whole)
    np.save(tmp_path / "x.npy", x)
    options = ("--hidden", "64,64", "--latent-dim", 3, "--iterations", 1500, "--no-report")
    elbax("train", tmp_path / "x.npy", *options, "--out", tmp_path / "run")
    elbax("impute", tmp_path / "run", "--data", tmp_path / "x.npy", "--out", tmp_path / "f.npy")
    holes, filled = np.isnan(x), np.load(tmp_path / "f.npy")
    usual = np.broadcast_to(np.nanmean(x, axis=0), x.shape)

    def error(y: np.ndarray) -> float:
        return float(np.sqrt(np.mean((y - whole)[holes] ** 2)))

    assert error(filled) < 0.35 * error(usual)


def test_an_array_with_holes_is_filled(elbax, tmp_path):
    path = CASES["a matrix with holes"](tmp_path)
    assert elbax("train", path, *SHORT, "--out", tmp_path / "run")[0] == 0
    out = tmp_path / "filled.npy"
    status, said, _ = elbax("impute", tmp_path / "run", "--data", path, "--out", out)
    assert status == 0
    x, filled = np.load(path), np.load(out)
    seen = ~np.isnan(x)
    assert f"{(~seen).sum()} cells filled" in said
    np.testing.assert_array_equal(filled[seen], x[seen])
    assert np.isfinite(filled).all()


@pytest.mark.slow
def test_the_density_of_a_known_normal_is_found_through_every_door(tmp_path):
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(5, 2)) * 0.6
    scale, centre = np.logspace(-1, 3, 5), np.logspace(0, 3.2, 5)
    covariance = (factor @ factor.T + 0.3 * np.eye(5)) * np.outer(scale, scale)
    truth = scipy.stats.multivariate_normal(centre, covariance)  # pyright: ignore[reportArgumentType]
    x = truth.rvs(600, random_state=rng)
    np.save(tmp_path / "x.npy", x)
    frame = pd.DataFrame(x, columns=[*"abcde"])
    frame.to_csv(tmp_path / "x.csv", index=False)
    doors, found = (tmp_path / "x.npy", tmp_path / "x.csv", frame), []
    order = np.arange(len(x))
    for i, data in enumerate(doors):
        run = package.train(data, out=tmp_path / str(i), report=False, verbose=False)
        rows, key = run.dataset.test, evaluation_key(0)
        assert rows.index is not None
        estimate = evaluate.importance(run.model, rows.x, key=key, samples=1000)
        found.append(estimate.log_likelihood.mean())
        assert found[-1] == pytest.approx(truth.logpdf(x[rows.index]).mean(), abs=1.0)
        order = np.append(np.setdiff1d(order, rows.index), rows.index)
    np.testing.assert_allclose(found, found[0], atol=0.1)
    fitted = VAE(random_state=0).fit(x[order[:-60]])
    assert fitted.score(x[order[-60:]]) == pytest.approx(found[0], abs=0.1)


def test_a_run_that_diverged_is_refused_with_what_to_do(elbax, refused, tmp_path):
    people().to_csv(tmp_path / "t.csv", index=False)
    run, table = tmp_path / "run", tmp_path / "t.csv"
    words = (*SHORT, "--optimizer", "sgd", "--learning-rate", 10, "--out", run)
    assert elbax("train", table, *words)[0] == 1
    np.save(tmp_path / "z.npy", np.zeros((1, 1), np.float32))
    # None of them looks at the state that was left (warnings of NumPy are errors here).
    for command, *more in (
        ("sample", run, "--out", tmp_path / "o.csv"),
        ("reconstruct", run, "--out", tmp_path / "o.csv"),
        ("encode", run, "--out", tmp_path / "o.csv"),
        ("decode", run, "--latents", tmp_path / "z.npy", "--out", tmp_path / "o.npy"),
        ("impute", run, "--data", table, "--out", tmp_path / "o.csv"),
        ("score", run, "--data", table, "--out", tmp_path / "o.csv"),
        ("evaluate", run),
        ("diagnose", run),
        ("compare", run, run),
        ("export", run),
        ("plot", run),
        ("plot", run, "bound"),
    ):
        line = refused(command, *more)
        assert "diverged after step" in line
        assert "plot" in line
        assert "a lower --learning-rate or --gradient-clip 10" in line
    for made in ("o.csv", "o.npy", "run/report.html", "run/results.json"):
        assert not (tmp_path / made).exists()
    status, _, said = elbax("plot", run, "train_process")
    assert status == 0, said


def test_a_first_step_that_diverges_is_not_laid_to_the_learning_rate(elbax, refused, tmp_path):
    run = tmp_path / "run"
    # β KL is beyond float32 before anything is learned.
    words = (*SHORT, "--latent-dim", 100, "--beta", 3e38, "--out", run)
    status, _, said = elbax("train", "digits", *words)
    assert status == 1
    assert "at step 1; the state of step 0 is kept" in said
    for line in (said.splitlines()[-1], refused("sample", run, "--out", tmp_path / "o.npz")):
        assert "no step was taken" in line
        assert "learning" not in line
        assert "plot" not in line
