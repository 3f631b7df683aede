"""docs/imputers-benchmark.md is made of what was recorded; cells are hidden as it says."""

import re
from typing import Any

import numpy as np
import pytest
from scipy import stats

from benchmarks.imputers import __main__ as imputers_benchmark
from benchmarks.imputers import page, published, sets


def test_the_page_is_made_of_the_records():
    written = imputers_benchmark.PAGE.read_text(encoding="utf-8")
    assert written == page.render(imputers_benchmark.recorded(), published.recorded())


def test_the_readme_says_the_same():
    written = imputers_benchmark.PAGE.read_text(encoding="utf-8")
    best, forests, covered = re.findall(r"\| (\d+) of (\d+) rows \|", written)[:3]
    readme = (imputers_benchmark.ROOT / "README.md").read_text(encoding="utf-8")
    line = re.findall(r"^- \[Filling cells\].*?(?=^- )", readme, re.DOTALL | re.MULTILINE)[0]
    assert f"in {' of '.join(best)} rows" in line
    assert re.search(
        rf"than forests in {forests[0]};.*86 to 94 % in {covered[0]},", line, re.DOTALL
    )
    for target in published.TARGETS:
        own = [r["mse"] for r in published.recorded() if r["table"] == target.table]
        assert f"{np.median(own):.3f}".lstrip("0") in line


@pytest.mark.parametrize("mechanism", sets.MECHANISMS)
def test_as_many_cells_are_hidden_as_asked_for_and_by_what_the_mechanism_says(mechanism):
    x = sets.load("diabetes", None)
    gone = np.concatenate([sets.hidden(x, mechanism, 0.3, seed) for seed in range(20)])
    n, rate = gone.size, gone.mean()
    assert abs(rate - 0.3) < 6 * np.sqrt(0.3 * 0.7 / n) + 0.01
    assert not gone.all(axis=1).any()
    repeated, column = np.tile(x, (20, 1)), 2
    depends = np.corrcoef(repeated[:, column], gone[:, column])[0, 1]
    if mechanism == "MCAR":
        assert abs(depends) < 5 / np.sqrt(len(gone))
    if mechanism == "MNAR":  # high ones or low ones by the column and the seed
        one = sets.hidden(x, mechanism, 0.3, 0)
        assert abs(np.corrcoef(x[:, column], one[:, column])[0, 1]) > 0.2
    if mechanism == "MAR":  # three columns of ten have no hole, and say of the others
        one = sets.hidden(x, mechanism, 0.3, 0)
        whole = np.flatnonzero(~one.any(axis=0))
        assert len(whole) == 3
        holed = np.setdiff1d(np.arange(10), whole)
        said = [np.corrcoef(x[:, w], one[:, h])[0, 1] for w in whole for h in holed]
        assert np.abs(said).max() > 0.2


def test_the_error_of_the_mean_is_that_of_the_hidden_cells_from_it():
    x = sets.load("iris", None)
    gone = sets.hidden(x, "MCAR", 0.3, 1)
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    found = sets.error(np.broadcast_to(x.mean(axis=0), x.shape), x, gone)
    assert found == pytest.approx(np.sqrt(np.mean(z[gone] ** 2)))


def test_the_score_of_draws_is_that_of_a_normal_distribution():
    """Of N(0, s²) the score is s (2 φ(x/s) − 1/√π + x/s (2 Φ(x/s) − 1)), Gneiting & Raftery."""
    rng, scale = np.random.default_rng(0), 0.7
    x = rng.normal(size=(500, 1))
    z, deviation = x / scale, x.std()
    normal: Any = stats.norm
    exact = scale * np.mean(z * (2 * normal.cdf(z) - 1) + 2 * normal.pdf(z) - 1 / np.sqrt(np.pi))
    draws = scale * rng.normal(size=(2000, 500, 1))
    gone = np.ones(x.shape, bool)
    assert sets.crps(x, draws, x, gone) == pytest.approx(exact / deviation, rel=0.02)
    # Without the bias of few: two draws have it on average.
    few = [sets.crps(x, scale * rng.normal(size=(2, 500, 1)), x, gone) for _ in range(400)]
    assert np.mean(few) == pytest.approx(exact / deviation, rel=0.03)
    assert sets.crps(x + 2, None, x, gone) == pytest.approx(2 / deviation)


def test_the_notebooks_hide_half_of_the_cells_of_a_standardised_table():
    x, gone = published.holed(published.TARGETS[0], None)
    np.random.seed(1234)  # noqa: NPY002 - as they do
    theirs = x.flatten()
    theirs[np.random.choice(600, np.floor(600 * 0.5).astype(int), replace=False)] = np.nan  # noqa: NPY002
    np.testing.assert_array_equal(np.isnan(theirs.reshape(150, 4)), gone)
    np.testing.assert_allclose(x.std(axis=0), 1.0)
