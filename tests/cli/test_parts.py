"""Compositions through every command: trained, resumed, evaluated, sampled and drawn."""

import json

import jax
import numpy as np
import pytest

import elbax as library
from elbax.cli import main

TINY = ["--hidden", "8", "--iterations", "6", "--batch-size", "50", "--no-report"]


def test_parts_are_listed(elbax):
    status, out, _ = elbax("parts", "--json")
    assert status == 0
    entries = json.loads(out)
    names = {(entry["kind"], entry["name"]) for entry in entries}
    assert {
        ("prior", "vamp"), ("posterior", "iaf"), ("network", "conv"),
        ("likelihood", "discretized-logistic-mixture"), ("likelihood", "mixed"),
    } <= names  # fmt: skip
    assert all({"summary", "source", "options"} <= set(entry) for entry in entries)
    status, out, _ = elbax("parts", "prior")
    assert status == 0
    assert "--prior.components 10  (a whole number)" in out
    assert "Tomczak & Welling 2018" in out
    assert "--posterior" not in out


def test_the_help_names_the_parts(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    said = capsys.readouterr().out
    for name in ("vamp", "power-spherical", "resnet", "negative-binomial", "elbax parts"):
        assert name in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--prior mixtura", "prior (--prior) is 'mixtura': did you mean 'mixture'?"),
        ("--prior mixture --prior.component 3", "did you mean 'components'?"),
        ("--pryor.components 3", "unknown option '--pryor' of `elbax train`: did you mean '--prio"),
        ("--likelihood.scale predicted", "give its name too, as --likelihood NAME"),
        ("--prior hypersphere", "choose --posterior power-spherical, or --prior standard-normal"),
        ("--posterior deterministic", "needs a posterior with a density"),
        ("--network conv --hidden 8", "no such widths"),
        ("--prior mixture --prior.components 0", "components is 0; give at least one"),
        ("--prior mixture --free-bits 1", "do not both factorise: leave it out, or take --prior"),
        ("--likelihood log-normal", "is 0, but the likelihood log-normal is for positive numbers"),
        ("--likelihood mixed --likelihood.columns normal", "1 kinds of columns for 64 columns"),
    ],
)
def test_what_does_not_fit_is_one_line_and_nothing_is_written(refused, tmp_path, words, said):
    out = tmp_path / "run"
    assert said in refused("train", "digits", *words.split(), "--out", out)
    assert not out.exists()


def assert_same(one, other):
    for a, b in zip(jax.tree.leaves(library.load(one)), jax.tree.leaves(library.load(other)),
                    strict=True):  # fmt: skip
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


@pytest.fixture
def vamp_of_levels(tmp_path):
    """The words that train a model with a VampPrior and a likelihood over levels."""
    file = tmp_path / "options.toml"
    file.write_text('[prior]\nname = "vamp"\ncomponents = 3\n[likelihood]\nname = "categorical"\n')
    return ["train", "digits", "--config", file, *TINY]


def test_parts_of_a_file_are_said_before_training(elbax, vamp_of_levels):
    status, _, err = elbax(*vamp_of_levels, "--dry-run")
    assert status == 0, err
    assert "vamp (components 3) prior" in err
    assert "categorical (highest 1.0, levels 17) likelihood: as asked" in err


@pytest.mark.slow
def test_a_vamp_prior_of_levels_through_every_command(elbax, refused, vamp_of_levels, tmp_path):
    run, whole = tmp_path / "run", tmp_path / "whole"
    status, _, err = elbax(*vamp_of_levels, "--out", run)
    assert status == 0, err
    assert "vamp (components 3) prior" in err
    assert "categorical (highest 1.0, levels 17) likelihood: as asked" in err
    config = json.loads((run / "config.json").read_text())
    assert config["model"]["prior"] == {"name": "vamp", "components": 3}
    assert config["likelihood"]["options"] == {"highest": 1.0, "levels": 17}

    # Gone on with, it ends where an unbroken run does: one by the command that it recorded.
    words = config["command"].split()[1:]
    assert elbax(*words, "--iterations", "9", "--no-report", "--out", whole)[0] == 0
    assert elbax("resume", run, "--iterations", 9)[0] == 0
    assert_same(run, whole)

    out = tmp_path / "x.npz"
    for sampler in ("prior", "gaussian-mixture"):
        words = ("--sampler", sampler, "--components", 2, "--count", 4)
        assert elbax("sample", run, *words, "--out", out)[0] == 0
        assert np.load(out)["x"].shape == (4, 8, 8, 1)
    assert elbax("encode", run, "--out", out)[0] == 0
    assert "this model's is vamp" in refused("plot", run, "top_infer")


@pytest.mark.slow
def test_latents_on_the_sphere_through_every_command(elbax, refused, tmp_path):
    run, out = tmp_path / "run", tmp_path / "x.npz"
    words = "--prior hypersphere --posterior power-spherical --latent-dim 3 --likelihood poisson"
    assert elbax("train", "digits", *words.split(), *TINY, "--out", run)[0] == 0
    model = library.load(run)
    assert model.preprocessing.scale == 1.0  # counts are what they are
    assert elbax("reconstruct", run, "--out", out)[0] == 0
    assert np.load(out)["original"].max() == 16.0
    assert elbax("encode", run, "--out", out)[0] == 0
    assert elbax("decode", run, "--latents", out, "--out", out)[0] == 0
    assert "are on a sphere: take --sampler prior" in refused(
        "sample", run, "--sampler", "gaussian", "--out", out
    )
    assert "the latents are spherical" in refused("evaluate", run, "--estimator", "annealed")
    status, printed, _ = elbax("evaluate", run, "--limit", 5, "--samples", 5, "--json")
    assert status == 0
    found = json.loads(printed)["estimates"]
    assert [one["estimator"] for one in found] == ["elbo", "importance"]
    assert found[0]["quantity"] == "log-mass"


@pytest.mark.slow
def test_a_table_of_mixed_columns_and_convolutions_of_a_flow(elbax, tmp_path):
    rng = np.random.default_rng(0)
    table = np.stack([rng.normal(size=90), rng.integers(0, 2, 90), rng.integers(0, 3, 90)], axis=1)
    np.save(tmp_path / "table.npy", table.astype(np.float32))
    words = "--likelihood mixed --likelihood.columns normal,binary,categorical-3 --posterior planar"
    run = tmp_path / "run"
    status, _, err = elbax("train", tmp_path / "table.npy", *words.split(), *TINY, "--out", run)
    assert status == 0, err
    assert "log-density" in err
    status, out, _ = elbax("evaluate", run, "--estimator", "latents", "--json")
    assert status == 0
    assert "has no mean" in json.loads(out)["undefined"]["active"]
    status, out, _ = elbax("plot", run, "reconstruct", "generated")
    assert status == 0


def test_levels_of_codes_are_found_in_the_data(elbax, tmp_path):
    codes = np.random.default_rng(0).integers(0, 5, (60, 4)).astype(np.float32)
    np.save(tmp_path / "codes.npy", codes)
    words = ("--likelihood", "ordinal", "--batch-size", 10, "--dry-run")
    status, _, err = elbax("train", tmp_path / "codes.npy", *words)
    assert status == 0, err
    assert "ordinal (highest 4.0, levels 5) likelihood" in err
