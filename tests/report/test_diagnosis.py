"""The doctor: figures against numpy's, and four illnesses that are planted, found and mended."""

import json

import jax
import numpy as np
import pytest

import elbax as library
from elbax.report import illnesses
from elbax.report.diagnosis import flags
from elbax.run.labels import conditioned
from elbax.run.run import Run
from tests.linear_gaussian import example

PLAIN = {
    "hidden": (32,),
    "latent_dim": 2,
    "iterations": 1500,
    "batch_size": 50,
    "report": False,
    "verbose": False,
}


def clouds(rows=1200, seed=0):
    """Rows in ten dimensions of four clouds in two, and noise of a twentieth."""
    rng = np.random.default_rng(seed)
    centres = 1.5 * np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    z = centres[rng.integers(4, size=rows)] + 0.4 * rng.normal(size=(rows, 2))
    x = np.tanh(z @ rng.normal(size=(2, 10))) + 0.05 * rng.normal(size=(rows, 10))
    return x.astype(np.float32)


def by_name(run):
    return {one.name: one for one in run.diagnose().findings}


@pytest.mark.slow
def test_figures_are_those_of_the_rows(elbax, finished_run):
    status, out, err = elbax("diagnose", finished_run, "--json")
    assert status == 0, err
    told = json.loads(out)
    run = library.open_run(finished_run)
    found = {one["name"]: one for one in told["findings"]}
    assert list(found) == [one.name for one in run.diagnose().findings]
    assert len(found) == len(illnesses.CHECKS)

    rows = conditioned(run.model, run.dataset.test)
    q = jax.vmap(lambda x: run.model.encode(run.model.preprocessing(x)).mean)(np.asarray(rows))
    silent = np.var(np.asarray(q), axis=0) <= 0.01
    collapse = found["collapse"]
    assert collapse["figures"]["active"] == np.sum(~silent)
    assert collapse["ill"] == (silent.sum() > 1)
    results = run.results
    assert results is not None
    kl = results["test"]["kl"]
    assert collapse["figures"]["kl"] == pytest.approx(kl, rel=1e-3)
    assert found["over-fitting"]["ill"] is None  # so short a run is validated once
    # Pixels under a Bernoulli likelihood have no scale that could be ill.
    assert found["error scale"]["ill"] is found["saturated scales"]["ill"] is None

    status, out, err = elbax("diagnose", finished_run)
    assert status == 0, err
    assert out.splitlines()[0].endswith(f"by {told['count']:,} {told['split']} rows")
    for one in told["findings"]:
        assert one["words"] in out


def test_validation_that_rose_is_over_fitting_unless_the_best_parameters_were_kept(tmp_path):
    history = {"validation": {"step": [10, 20, 30], "elbo": [-9.0, -7.0, -8.5]}}
    results = {"train": {"elbo": -5.0}, "test": {"elbo": -8.0}}
    model, rows = example().model(), np.zeros((3, 4))
    for kept, ill in (("last", True), ("best", False)):
        run = Run(tmp_path, history=history, results={**results, "model": kept})
        found = illnesses.overfitted(illnesses.Patient(run, model, rows, rows))
        assert found.ill is ill
        expected = {"best_validation": 7.0, "rise": 1.5, "train_minus_test": 3.0}
        assert found.figures == pytest.approx(expected)
        assert found.words.startswith("validation rose by 1.50 nats after step 20")
        assert found.options == ({"patience": 5, "validate_every": 10} if ill else {})


def test_options_are_said_as_flags():
    said = flags({"objective.beta": 1.0, "hidden": (64, 64), "fit_prior": "gaussian-mixture"})
    assert said == "--objective.beta 1.0 --hidden 64,64 --fit-prior gaussian-mixture"


PLANTED = {
    "collapse": {"objective.beta": 50.0},
    "error scale": {"likelihood": {"name": "normal", "scale": 2.0}},
    "prior mismatch": {"objective.beta": 0.05, "likelihood": {"name": "normal", "scale": 0.1}},
    "over-fitting": {
        "hidden": (256, 256),
        "iterations": 4000,
        "validate_every": 50,
        "likelihood": {"name": "normal", "scale": "predicted"},
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANTED)
def test_what_was_planted_is_found_and_mended_by_what_it_says(name, tmp_path):
    data = clouds(120 if name == "over-fitting" else 1200)
    asked = {**PLAIN, **PLANTED[name]}
    sick = library.train(data, out=tmp_path / "sick", **asked)
    finding = by_name(sick)[name]
    assert finding.ill, finding.words
    assert finding.options
    mended = library.train(data, out=tmp_path / "mended", **{**asked, **finding.options})
    assert not by_name(mended)[name].ill
    # And what the model is for got better, by more than the errors of both.
    before, after = ((run.results or {})["test"] for run in (sick, mended))
    error = np.hypot(before["standard_error"]["elbo"], after["standard_error"]["elbo"])
    assert after["elbo"] > before["elbo"] + error


@pytest.mark.slow
def test_who_is_well_is_told_so(tmp_path):
    data = clouds()
    likelihood = {"name": "normal", "scale": "shared"}
    run = library.train(data, out=tmp_path / "run", likelihood=likelihood, **PLAIN)
    found = by_name(run)
    for name in ("collapse", "saturated scales", "over-fitting"):
        assert found[name].ill is False, found[name].words
    assert found["error scale"].ill is None


@pytest.mark.slow
def test_codes_that_died_are_found_and_mended(tmp_path):
    # Codes that start far from all that the encoder gives, and are never moved there.
    codes = {
        "recipe": "vq-vae",
        "network": "mlp",
        "posterior": {"name": "vq", "count": 64, "width": 2},
        "likelihood": {"name": "normal", "scale": "shared"},
    }
    asked = {**PLAIN, **codes, "latent_dim": 2}
    dead = {"name": "vq", "restart": 0.0, "commitment": 4.0}
    sick = library.train(clouds(), out=tmp_path / "sick", objective=dead, **asked)
    finding = by_name(sick)["dead codes"]
    assert finding.ill, finding.words
    rows = sick.dataset.train.x
    chosen = np.asarray(
        jax.vmap(lambda x: sick.model.encode(sick.model.preprocessing(x)).indices)(rows)
    )
    assert finding.figures["used"] == len(np.unique(chosen)) < 32
    assert finding.options == {"objective.restart": 0.05}
    mended = library.train(
        clouds(), out=tmp_path / "mended", objective=dead, **{**asked, **finding.options}
    )
    assert by_name(mended)["dead codes"].ill is False
    before, after = ((run.results or {})["test"] for run in (sick, mended))
    assert after["reconstruction"] > before["reconstruction"]
