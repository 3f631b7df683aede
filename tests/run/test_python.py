"""The front door in Python."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np
import pytest

import elbax
from elbax.data import named
from elbax.data.named import DATA_DIR_VARIABLE
from elbax.recipes.choice import Choice
from elbax.recipes.options import TrainingOptions
from elbax.run import checks
from elbax.run.settle import DataChanged


@pytest.fixture(scope="module")
def array_run(tmp_path_factory):
    """A run on an array in memory, and the array."""
    x = np.random.default_rng(0).random((80, 6)).astype(np.float32)
    out = tmp_path_factory.mktemp("array") / "run"
    run = elbax.train(
        x, out=out, hidden=(8,), latent_dim=3, iterations=30, batch_size=10, verbose=False,
        report=False, validate_every=10,
    )  # fmt: skip
    return run, x


def test_history_is_arrays_of_equal_length(array_run):
    run, _ = array_run
    history = run.history
    assert {len(history[name]) for name in ("step", "loss", "elbo", "reconstruction", "kl")} == {30}
    np.testing.assert_array_equal(history["validation"]["step"], [10, 20, 30])
    assert np.isfinite(history["validation"]["elbo"]).all()


def test_a_run_is_readable(array_run):
    run, _ = array_run
    assert "vae with 3 latents on array, 30 steps, test ELBO" in repr(run)
    assert "vae with 3 latents on array" in run._repr_html_()


def test_a_run_opens_again(array_run):
    run, x = array_run
    again = elbax.open_run(run.path, data=x)
    assert again.results == run.results
    assert again.model.latent_dim == 3
    assert again.dataset.fingerprint == run.dataset.fingerprint


def test_an_array_must_be_handed_over_and_be_the_same(array_run):
    run, x = array_run
    with pytest.raises(ValueError, match="hand it over"):
        _ = elbax.open_run(run.path).dataset
    with pytest.raises(DataChanged, match="changed"):
        _ = elbax.open_run(run.path, data=x + 1).dataset


def test_more_iterations_equal_one_long_run(array_run, tmp_path):
    _, x = array_run
    options = {"hidden": (8,), "latent_dim": 3, "batch_size": 10, "report": False}
    parts = elbax.train(x, out=tmp_path / "a", iterations=20, verbose=False, **options)
    parts = elbax.resume(parts.path, 50, data=x, verbose=False)
    whole = elbax.train(x, out=tmp_path / "b", iterations=50, verbose=False, **options)
    for a, b in zip(jax.tree.leaves(parts.model), jax.tree.leaves(whole.model), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(parts.history["loss"], whole.history["loss"])


LAID_OUT = [
    {"learning_rate_schedule": "staged"},
    {"objective": "elbo", "objective.cycles": 2},
]


@pytest.mark.slow
@pytest.mark.parametrize("options", LAID_OUT)
def test_a_run_that_is_made_longer_keeps_its_schedules(options, tmp_path):
    x = np.random.default_rng(0).random((40, 5)).astype(np.float32)
    options = {"hidden": (8,), "latent_dim": 3, "batch_size": 10, "report": False, **options}
    first = elbax.train(x, out=tmp_path / "a", iterations=20, verbose=False, **options)
    before = first.history["loss"]
    # Cut back to its first steps, it must take the same ones again on its way to another end.
    for checkpoint in (first.path / "checkpoints").iterdir():
        shutil.rmtree(checkpoint)
    longer = elbax.resume(first.path, 30, data=x, verbose=False)
    np.testing.assert_array_equal(longer.history["loss"][:20], before)
    assert longer.config["horizon"] == 20
    assert elbax.resume(first.path, 35, data=x, verbose=False).config["horizon"] == 20


def test_a_length_that_schedules_do_not_reach_is_refused():
    cosine = TrainingOptions(learning_rate_schedule="cosine")
    with pytest.raises(ValueError, match="is 0 from step 20 on"):
        checks.check_horizon(cosine, 20, 30)
    checks.check_horizon(cosine, 20, 10)
    cyclic = TrainingOptions(objective=Choice("elbo").with_options({"cycles": 4}))
    with pytest.raises(ValueError, match="in the midst of the 4 cycles"):
        checks.check_horizon(cyclic, 20, 10)
    checks.check_horizon(cyclic, 20, 30)
    assert not TrainingOptions().has_horizon
    assert cosine.has_horizon
    assert cyclic.has_horizon


def test_a_recorded_data_folder_is_of_its_thread_alone(monkeypatch):
    monkeypatch.delenv(DATA_DIR_VARIABLE, raising=False)
    before = dict(os.environ)
    with named.looking_in("/recorded"):
        assert named._folders("mnist")[0] == Path("/recorded/mnist")
        with ThreadPoolExecutor(1) as other:
            found = other.submit(named._folders, "mnist").result()
        assert Path("/recorded/mnist") not in found
        assert dict(os.environ) == before
        monkeypatch.setenv(DATA_DIR_VARIABLE, "/chosen")  # what the user says comes first
        assert named._folders("mnist")[0] == Path("/chosen/mnist")
        monkeypatch.delenv(DATA_DIR_VARIABLE)
    assert Path("/recorded/mnist") not in named._folders("mnist")


def test_figures_are_matplotlibs(finished_run):
    figure = elbax.open_run(finished_run).figure("normal")
    assert type(figure).__name__ == "Figure"
    with pytest.raises(ValueError, match="generated"):
        elbax.open_run(finished_run).figure("genrated")


def test_an_unknown_option_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(ValueError, match="did you mean 'latent_dim'"):
        elbax.train("digits", out=tmp_path / "run", latent_dims=3)
    assert not (tmp_path / "run").exists()


def test_no_run_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no run"):
        elbax.open_run(tmp_path)


class TestWhatARunRemembers:
    """A run is resumed, and repeated, from its folder alone."""

    def test_the_folder_of_named_data_and_the_command(self, tmp_path, monkeypatch):
        options = {"iterations": 3, "hidden": (4,), "report": False, "verbose": False}
        monkeypatch.setenv("ELBAX_DATA_DIR", str(tmp_path / "here"))
        run = elbax.train("digits", out=tmp_path / "run", **options)
        assert run.config["data"]["folder"] == str(tmp_path / "here")
        monkeypatch.delenv("ELBAX_DATA_DIR")
        # Looked up there while it resumes, kept in config.json, and the environment left alone.
        resumed = elbax.resume(tmp_path / "run", iterations=4, verbose=False)
        assert resumed.config["data"]["folder"] == str(tmp_path / "here")
        assert "ELBAX_DATA_DIR" not in os.environ
        # And the command is the one with the new length.
        assert "--iterations 4" in resumed.config["command"]

    def test_one_length_only(self, tmp_path):
        with pytest.raises(ValueError, match="give one"):
            elbax.train("digits", out=tmp_path / "run", iterations=3, epochs=1)
        (tmp_path / "long.toml").write_text("epochs = 5\n")
        config = tmp_path / "long.toml"
        options = {"config": config, "hidden": (4,), "report": False, "verbose": False}
        run = elbax.train("digits", out=tmp_path / "run", iterations=3, **options)
        assert run.config["iterations"] == 3
