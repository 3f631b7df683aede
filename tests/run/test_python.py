"""The front door in Python."""

import os

import jax
import numpy as np
import pytest

import elbax
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
    assert run._repr_html_().startswith("<table>")


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
