"""`elbax train`: what it leaves, what it prints, and where its options come from."""

import json

import jax
import numpy as np
import pytest

import elbax
from elbax.cli import main
from elbax.model import Decoder, load_model
from tests.command import SMALL

ARRAYS = {
    "encoder.network.layers.0.weight": (32, 64),
    "encoder.network.layers.2.weight": (4, 16),
    "encoder.network.layers.2.bias": (4,),
    "decoder.network.layers.2.weight": (64, 32),
}


def test_the_folder_holds_what_the_design_says(finished_run):
    names = {entry.name for entry in finished_run.iterdir()}
    assert names == {
        "config.json", "model.safetensors", "best.safetensors", "metrics.jsonl", "results.json",
        "checkpoints", "figures", "report.html", "explorer.html",
    }  # fmt: skip
    figures = {entry.name for entry in (finished_run / "figures").iterdir()}
    assert figures == {
        "normal.png", "reparam.png", "reconstruct.png", "generated.png", "train_process.png",
        "top_infer.png", "top_label.png", "bound.png", "active_units.png", "nearest.png",
        "traverse.png", "interpolate.png",
    }  # fmt: skip


def test_json_is_one_object_with_the_promised_keys(finished_run):
    printed = json.loads((finished_run.parent / "stdout").read_text())
    assert printed["schema"] == 1
    assert printed["run"] == str(finished_run)
    assert printed["iterations"] == 60
    assert printed["seconds"] > printed["compile_seconds"] > 0
    assert printed["ms_per_step"] > 0
    for name in ("train", "test"):
        bound = printed[name]
        assert bound["elbo"] == pytest.approx(bound["reconstruction"] - bound["kl"], abs=1e-4)
        assert set(bound["standard_error"]) == {"elbo", "reconstruction", "kl"}
        assert min(bound["standard_error"].values()) > 0
    assert printed["test"]["elbo"] < 0


def test_every_step_is_logged(finished_run):
    rows = [json.loads(line) for line in (finished_run / "metrics.jsonl").read_text().splitlines()]
    steps = [row for row in rows if "evaluation" not in row]
    assert [row["step"] for row in steps] == list(range(1, 61))
    for row in rows:
        assert row["elbo"] == pytest.approx(row["reconstruction"] - row["kl"], abs=1e-3)
        assert row["loss"] == pytest.approx(-row["elbo"], abs=1e-3)
    assert len(steps[-1]["kl_per_latent"]) == 2
    assert sum(steps[-1]["kl_per_latent"]) == pytest.approx(steps[-1]["kl"], abs=1e-3)
    assert [row["step"] for row in rows if "evaluation" in row] == [60]


def test_config_repeats_the_run(finished_run, tmp_path):
    config = json.loads((finished_run / "config.json").read_text())
    assert config["model"]["latent_dim"] == 2
    assert config["training"]["batch_size"] == 50
    assert len(config["data"]["fingerprint"]) == 64
    words = config["command"].split()
    assert words[:3] == ["elbax", "train", "digits"]
    again = tmp_path / "again"
    assert main([*words[1:], "--out", str(again), "--no-report"]) == 0
    first, second = elbax.load(finished_run), elbax.load(again)
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_arrays_have_the_promised_names(finished_run):
    from safetensors.numpy import load_file

    arrays = load_file(finished_run / "model.safetensors")
    assert len(arrays) == 12
    for name, shape in ARRAYS.items():
        assert arrays[name].shape == shape
        assert arrays[name].dtype == np.float32


def test_progress_says_what_and_where(finished_run):
    said = (finished_run.parent / "stderr").read_text()
    for words in ("digits", "64-32-16-2", "bernoulli", str(finished_run), "compiled in", "60/60"):
        assert words in said
    assert len(said.splitlines()) < 15


def test_dry_run_touches_nothing(elbax, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = elbax("train", "digits", "--dry-run", "--epochs", 2)
    assert (status, out) == (0, "")
    assert "runs/digits-001: 28 steps" in err
    assert list(tmp_path.iterdir()) == []


def test_options_come_from_recipe_then_file_then_flags(elbax, tmp_path):
    file = tmp_path / "options.toml"
    file.write_text(
        'recipe = "aevb"\ndata = "digits"\nseed = 3\n'
        "[model]\nlatent-dim = 4\n[training]\nbatch_size = 20\niterations = 7\n"
    )
    status, _, err = elbax("train", "--config", file, "--iterations", 9, "--dry-run")
    assert status == 0
    assert "64-500-4 and back, tanh" in err  # the recipe's width, the file's latents
    assert "9 steps of 20, adagrad 0.02, seed 3" in err  # the flag, the file, the recipe, the file


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("latent_dims = 3", "'latent_dims': did you mean 'latent_dim'"),
        ("[modle]\nlatent_dim = 3", "[modle]: did you mean 'model'"),
        ("[training]\nlatent_dim = 3", "'latent_dim' stands in [training] and belongs in [model]"),
        ("latent_dim = 2.5", "latent_dim (--latent-dim) is 2.5: give a whole number"),
        ("latent_dim = true", "is True: give a whole number"),
        ('hidden = "3,x"', "give whole numbers from 1 to 16777216 separated by commas"),
        ("hidden = [", "can't be read as TOML"),
    ],
)
def test_a_toml_file_is_checked(refused, tmp_path, content, words):
    file = tmp_path / "options.toml"
    file.write_text(content)
    assert words in refused("train", "digits", "--config", file)


def test_a_missing_toml_file_is_named(refused, tmp_path):
    assert "nowhere.toml" in refused("train", "digits", "--config", tmp_path / "nowhere.toml")


def test_early_stopping_keeps_the_best(tmp_path):
    # A rate at which the loss soon only jumps about: validation can't improve for long.
    run = elbax.train(
        "digits", out=tmp_path / "run", hidden=(16,), latent_dim=2, iterations=5000, verbose=False,
        learning_rate=0.05, validate_every=20, patience=3, report=False,
    )  # fmt: skip
    results, best = run.results, elbax.load(run.path / "best.safetensors")
    assert results is not None
    assert results["outcome"] == "stopped early"
    assert results["model"] == "best"
    assert results["iterations"] == results["best"]["step"] + 3 * 20
    losses = run.history["validation"]["loss"]
    assert results["best"]["validation_loss"] == pytest.approx(losses.min())
    for a, b in zip(jax.tree.leaves(run.model), jax.tree.leaves(best), strict=True):
        np.testing.assert_array_equal(a, b)
    # Killed before it was measured, it is at its end all the same: it takes no step more.
    (run.path / "results.json").unlink()
    log = (run.path / "metrics.jsonl").read_bytes()
    measured = elbax.resume(run.path, verbose=False).results
    assert measured is not None
    assert measured["outcome"] == "stopped early"
    assert measured["iterations"] == results["iterations"]
    assert measured["test"] == results["test"]
    assert (run.path / "metrics.jsonl").read_bytes() == log
    # Asked for more, it goes on.
    more = elbax.resume(run.path, results["iterations"] + 5, verbose=False).results
    assert more is not None
    assert more["iterations"] == results["iterations"] + 5


def test_divergence_keeps_the_last_good_state(refused, tmp_path):
    run = tmp_path / "run"
    words = refused(
        "train", "digits", *SMALL, "--learning-rate", "1e30", "--iterations", 50, "--out", run,
        status=1,
    )  # fmt: skip
    assert "at step 2" in words
    assert "step 1 is kept" in words
    model = elbax.load(run)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(model))
    assert not (run / "results.json").exists()


@pytest.mark.parametrize(
    "words",
    [
        "--posterior full-normal --likelihood normal --likelihood.scale predicted",
        "--binarize dynamic --kl-warm-up 5 --beta 2 --precision bfloat16 --optimizer sgd",
        pytest.param(
            "--learning-rate-schedule cosine --gradient-clip 1 --optimizer sgd --epochs 1",
            marks=pytest.mark.slow,
        ),
        pytest.param("--recipe aevb --validation 0", marks=pytest.mark.slow),
    ],
)
def test_options_reach_the_model(elbax, tmp_path, words):
    length = () if "--epochs" in words else ("--iterations", 3)
    status, out, err = elbax(
        "train", "digits", *length, "--hidden", 8, "--out", tmp_path / "run",
        "--no-report", "--json", *words.split(),
    )  # fmt: skip
    assert status == 0, err
    results = json.loads(out)
    assert results["iterations"] == (3 if length else 1437 // 100)
    test = results["test"]
    assert test["elbo"] == pytest.approx(test["reconstruction"] - test["kl"], rel=1e-5)
    model = load_model(tmp_path / "run")
    assert isinstance(model.decoder, Decoder)
    family = type(model.decoder.likelihood).__name__
    assert family == ("Normal" if "normal --like" in words else "Bernoulli")
    assert model.preprocessing.binarize == ("dynamic" if "dynamic" in words else "none")
