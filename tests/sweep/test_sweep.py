"""Sweeps as users make them: each run is the one alone, whatever happens on the way."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

import elbax
from tests.command import command

pytestmark = pytest.mark.slow

SMALL = {"hidden": (8,), "batch_size": 20, "iterations": 120, "validation": 20, "latent_dim": 2}
BETAS, RATES = (0.5, 1.0), (0.01, 0.003)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "rows.npy"
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(120, 2)) @ draw.normal(size=(2, 5)) + 0.3 * draw.normal(size=(120, 5))
    np.save(path, rows.astype(np.float32))
    return path


@pytest.fixture(scope="module")
def swept(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("swept") / "sweep"
    varied = {"objective.beta": list(BETAS), "learning_rate": list(RATES)}
    found = elbax.sweep(
        data, seeds=2, out=out, verbose=False, validate_every=30, patience=2, **varied, **SMALL
    )
    return out, found


def test_a_row_a_run_and_a_folder_that_every_command_takes(swept):
    out, found = swept
    assert isinstance(found, pd.DataFrame)
    assert len(found) == 8
    assert set(found["objective.beta"]) == set(BETAS)
    assert (found["log_likelihood"].to_numpy() > found["elbo"].to_numpy()).all()
    np.testing.assert_allclose(found["elbo"], -found["rate"] - found["distortion"], atol=1e-4)
    table = pd.read_csv(out / "table.csv")
    np.testing.assert_allclose(table["elbo"], found["elbo"])
    assert len(json.loads((out / "results.json").read_text())["runs"]) == 8
    assert "Rate and distortion" in (out / "sweep.html").read_text()
    assert not (out / "checkpoints").exists()
    run = elbax.open_run(str(found["run"][0]))
    assert run.results is not None
    assert run.results["outcome"] == found["status"][0]
    assert run.config["command"].count("--objective.beta 0.5") == 1
    done = command("sample", run.path, "--count", 3, "--out", out / "drawn.npz")
    assert done.returncode == 0, done.stderr


def test_each_run_is_the_one_alone(data, swept, tmp_path):
    _, found = swept
    row = found.iloc[5]  # the second β, the first rate, the second seed
    assert (row["objective.beta"], row["learning_rate"], row["seed"]) == (1.0, 0.01, 1)
    alone = elbax.train(
        data, seed=1, learning_rate=0.01, beta=1.0, validate_every=30, patience=2, report=False,
        out=tmp_path / "alone", verbose=False, **SMALL,
    )  # fmt: skip
    ours = elbax.open_run(str(row["run"]))
    assert ours.config["command"] == alone.config["command"].replace(" --no-report", "")
    for name in ("loss", "reconstruction", "kl"):
        np.testing.assert_allclose(ours.history[name], alone.history[name], rtol=2e-4, atol=2e-5)
    one, other = (load_file(run.path / "best.safetensors") for run in (ours, alone))
    for name, array in one.items():
        np.testing.assert_allclose(array, other[name], rtol=1e-3, atol=1e-4)
    assert ours.results is not None
    assert alone.results is not None
    assert ours.results["test"]["elbo"] == pytest.approx(alone.results["test"]["elbo"], abs=1e-3)


def test_a_run_of_a_sweep_is_resumed_and_lengthened_alone(swept, tmp_path):
    _, found = swept
    longer = elbax.resume(str(found["run"][7]), iterations=150, verbose=False)
    assert longer.results is not None
    assert longer.results["iterations"] > found["steps"][7]


def test_the_same_call_again_trains_nothing_and_another_is_refused(data, swept):
    out, found = swept
    before = (out / "sweep.json").read_bytes()
    varied = {"objective.beta": list(BETAS), "learning_rate": list(RATES)}
    again = elbax.sweep(
        data, seeds=2, out=out, verbose=False, validate_every=30, patience=2, **varied, **SMALL
    )
    np.testing.assert_array_equal(again["test_elbo"][:7], found["test_elbo"][:7])
    assert (out / "sweep.json").read_bytes() == before
    with pytest.raises(ValueError, match="holds another sweep: resume that by"):
        elbax.sweep(data, seeds=3, out=out, verbose=False, **SMALL)


def test_killed_and_resumed_it_ends_in_the_same_bits(data, tmp_path):
    words = ["sweep", data, "--seeds", 3, "--hidden", 8, "--latent-dim", 2, "--batch-size", 20]
    words += ["--iterations", 30000, "--checkpoint-seconds", 0, "--validation", 20, "--no-report"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert command(*words, "--out", whole).returncode == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "elbax", *map(str, words), "--out", str(cut)],
        stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    end = time.monotonic() + 100
    while not list(cut.glob("checkpoints/*/*/sha256.json")) and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list(cut.glob("*/results.json"))
    done = command("resume", cut)
    assert done.returncode == 0, done.stderr
    assert "from    step" in done.stderr
    for seed in range(3):
        one, other = (load_file(p / f"seed-{seed}" / "model.safetensors") for p in (whole, cut))
        assert {k: v.tobytes() for k, v in one.items()} == {
            k: v.tobytes() for k, v in other.items()
        }
        logs = [(p / f"seed-{seed}" / "metrics.jsonl").read_bytes() for p in (whole, cut)]
        assert logs[0] == logs[1]


def test_latents_are_chosen_and_one_that_diverges_is_named(data, tmp_path):
    given = {**SMALL, "latent_dim": "auto", "learning_rate": [0.01, 1e30]}
    found = elbax.sweep(data, out=tmp_path / "auto", verbose=False, report=False, **given)
    assert set(found["latent_dim"]) == {1, 2, 4}
    # Two factors were drawn: one latent is too few.
    assert found.attrs["chosen"]["latent_dim"] == 2
    assert set(found.loc[found["learning_rate"] > 1, "status"]) == {"diverged"}
    again = elbax.sweep(data, out=tmp_path / "auto", verbose=False, report=False, **given)
    assert list(again["status"]) == list(found["status"])


def test_a_mistake_is_a_line_and_nothing_is_written(data, tmp_path):
    for words, said in (
        (["--latent-dim", "2,x"], "latent_dim (--latent-dim) is 'x': give a whole number"),
        (["--priors", "2"], "unknown option '--priors'"),
        (["--latent-dim", 2], "a sweep of 1 run"),
        (["--latent-dim", "auto", "--validation", 0], "give --validation N"),
    ):
        done = command("sweep", data, *words, "--out", tmp_path / "out")
        assert done.returncode == 2
        assert said in done.stderr
        assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
