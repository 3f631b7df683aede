"""`elbax evaluate RUN --estimator disentanglement`: scores against the factors of `shapes`."""

import json

import numpy as np
import pytest

import elbax as library
from elbax.data import shapes
from elbax.run import evaluation
from elbax.run.evaluation import representation
from elbax.run.run import Run


@pytest.mark.slow
def test_scores_are_of_the_factors_that_the_rows_were_drawn_from(elbax, refused, tmp_path):
    folder = tmp_path / "run"
    words = ("--hidden", 4, "--latent-dim", 2, "--iterations", 2, "--no-report", "--out", folder)
    assert elbax("train", "shapes", *words)[0] == 0
    run = Run(folder)
    for split in ("train", "validation", "test"):
        task = evaluation.make_task(run, split, estimators=(), limit=25, seed=0)
        rows, factors, names = representation.factors_of(task)
        assert names == shapes.FACTORS
        np.testing.assert_array_equal(shapes.render(factors), rows)
    status, out, _ = elbax(
        "evaluate", folder, "--estimator", "disentanglement", "--limit", 200, "--json"
    )
    assert status == 0
    found = json.loads(out)
    assert found["rows"] == 200
    assert np.shape(found["dci"]["importance"]) == (2, 5)
    for name in (
        *("mutual_information_gap", "sap", "factor_vae"),
        *("beta_vae", "modularity", "explicitness"),
    ):
        assert 0 <= found[name]["mean"] <= 1
    status, out, _ = elbax("evaluate", folder, "--estimator", "disentanglement", "--limit", 20)
    assert status == 0
    assert "(mutual information gap)" in out
    assert "β-VAE" in out
    assert "explicitness: factor 2 has too few rows of each value" in out
    assert "(a latent tells of one factor only; noise is not near 0)" in out
    assert library.load(folder).latent_dim == 2


def test_data_without_factors_are_refused(finished_run, refused):
    said = refused("evaluate", finished_run, "--estimator", "disentanglement")
    assert "digits does not say them" in said
