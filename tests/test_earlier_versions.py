"""Runs and models of earlier versions open, and give the numbers that those versions gave.

`tests/fixtures/0.1.0/README.md` says how each was made, and what made the expected numbers.
"""

import csv
import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

import elbax as package
from elbax import evaluate
from elbax.evaluate import likelihoods

MADE = Path(__file__).parent / "fixtures" / "0.1.0"
EXPECTED = json.loads((MADE / "expected.json").read_text())


def close(found, expected):
    # Another compiler orders float32 sums differently.
    return np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-4)


@pytest.fixture(params=["image-run", "table-run"])
def run(request, tmp_path):
    """A copy of an old run, beside which its data lie."""
    folder = tmp_path / request.param
    shutil.copytree(MADE / request.param, folder)
    config = json.loads((folder / "config.json").read_text())
    if config["data"]["argument"].endswith("table.csv"):
        config["data"]["argument"] = str(MADE / "table.csv")
        (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def old_noise(monkeypatch):
    """Importance samples drawn as 0.1.0 drew them: by the second half of a row's key."""
    monkeypatch.setattr(likelihoods, "stream", lambda key, _: jax.random.split(key)[1])
    likelihoods._streamed.cache_clear()  # what is compiled knows the other noise
    yield
    likelihoods._streamed.cache_clear()


@pytest.mark.usefixtures("old_noise")
def test_an_old_run_opens_and_is_encoded_and_evaluated(run, elbax, tmp_path):
    opened = package.open_run(run)
    assert opened.results is not None
    assert opened.results["outcome"] == "finished"
    assert opened.history["step"][-1] == opened.results["iterations"]

    status, _, err = elbax("encode", run, "--split", "test", "--out", tmp_path / "codes.csv")
    assert status == 0, err
    with open(tmp_path / "codes.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    names = ["mean_0", "mean_1", "scale_0", "scale_1"]
    expected = EXPECTED["encoded"][run.name]
    close([[float(row[name]) for name in names] for row in rows[: len(expected)]], expected)

    estimators = ["--estimator", "elbo", "--estimator", "importance", "--samples", 20]
    status, out, err = elbax("evaluate", run, "--json", *estimators)
    assert status == 0, err
    bound, importance = json.loads(out)["estimates"]
    close(bound["elbo"], EXPECTED["evaluated"][run.name]["elbo"])
    close(importance["log_likelihood"]["mean"], EXPECTED["evaluated"][run.name]["importance"])


@pytest.mark.slow
def test_an_old_run_resumes_as_that_version_did(run):
    expected = EXPECTED["resumed"][run.name]
    resumed = package.resume(run, expected["iterations"], verbose=False)
    assert resumed.results is not None
    assert resumed.results["iterations"] == expected["iterations"]
    for name, value in expected["test"].items():
        close(resumed.results["test"][name], value)
    close(resumed.results["best"]["validation_loss"], expected["validation_loss"])


@pytest.mark.usefixtures("old_noise")
@pytest.mark.parametrize("name", EXPECTED["models"])
def test_an_old_model_opens_and_says_the_same(name):
    model, expected = package.load(MADE / f"{name}.safetensors"), EXPECTED["models"][name]
    rows = package.load_data("digits").test.x[: len(expected["mean"])]
    close(evaluate.posterior_moments(model, rows)["mean"], expected["mean"])
    found = evaluate.importance(model, rows, key=jax.random.key(1), samples=16)
    close(found.log_likelihood, expected["importance"])
