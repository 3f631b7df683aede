"""`elbax compare`, and the curve over β that `elbax plot` trains."""

import base64
import json
import math
import shutil

import numpy as np
import pytest
from PIL import Image

import elbax as library
from elbax.evaluate import elbo, importance
from elbax.report import comparison_page
from elbax.util.keys import evaluation_key
from tests.command import SMALL, called
from tests.report.test_report import PNG, parse


@pytest.fixture(scope="module")
def runs(finished_run, tmp_path_factory):
    """Three runs of which two differ by their seed alone; their pictures are one pixel each."""
    folder = tmp_path_factory.mktemp("runs")
    shutil.copytree(finished_run, folder / "first")
    for name, more in (("seed", ["--seed", 1]), ("wide", ["--beta", 2])):
        words = [*SMALL, "--iterations", 60, "--no-report", *more, "--out", folder / name]
        called("train", "digits", *words)
    for name in ("first", "seed", "wide"):
        (folder / name / "figures").mkdir(exist_ok=True)
        for figure in comparison_page.SIDE_BY_SIDE:
            (folder / name / "figures" / f"{figure}.png").write_bytes(PNG)
    return folder


@pytest.fixture(scope="module")
def compared(runs):
    """What the command prints as JSON, and the page."""
    words = [runs / "first", runs / "seed", runs / "wide", "--samples", 40, "--limit", 50]
    out, _ = called("compare", *words, "--json", "--out", runs / "page.html")
    return json.loads(out), (runs / "page.html").read_text()


def test_differences_are_paired(runs, compared):
    found, _ = compared
    rows, key = library.load_data("digits").test.x[:50], evaluation_key(0)
    models = [library.load(runs / name) for name in ("first", "wide")]
    bounds = [elbo(model, rows, key=key).elbo.astype(float) for model in models]
    logs = [importance(model, rows, key=key, samples=40).log_likelihood for model in models]
    for name, (a, b) in {"elbo": bounds, "log_likelihood": logs}.items():
        difference = found["runs"][2]["difference"][name]
        assert difference["mean"] == pytest.approx(np.mean(b - a), rel=1e-5)
        error = np.std(b - a, ddof=1) / math.sqrt(50)
        assert difference["standard_error"] == pytest.approx(error, rel=1e-5)
    assert found["runs"][0]["difference"]["elbo"] == {"mean": 0.0, "standard_error": 0.0}
    assert (found["count"], found["quantity"]) == (50, "binarised-bound")
    assert found["runs"][2]["options"] == {"beta": 2.0, "seed": 0}


def test_seeds_have_a_spread_of_their_own(compared):
    found, _ = compared
    (group,) = found["seeds"]
    assert (group["runs"], group["seeds"]) == (["first", "seed"], [0, 1])
    a, b = (run["elbo"]["mean"] for run in found["runs"][:2])
    assert group["elbo"]["mean"] == pytest.approx((a + b) / 2)
    assert group["elbo"]["standard_error"] == pytest.approx(abs(a - b) / 2)


def test_the_page_holds_everything(compared):
    _, html = compared
    parsed = parse(html)
    assert all(load.startswith("data:image/png;base64,") for load in parsed.loads)
    assert len(parsed.loads) == 3 * len(comparison_page.SIDE_BY_SIDE) + 1  # rate and distortion
    assert parsed.loads.count("data:image/png;base64," + base64.b64encode(PNG).decode()) == (
        3 * len(comparison_page.SIDE_BY_SIDE)
    )
    text = "".join(parsed.text)
    assert "first · seed · wide" in text
    assert "standard error over seeds (not over rows)" in text
    assert "a difference is paired" in text
    assert "log p by" not in text
    assert not {"script", "link", "iframe"} & set(parsed.tags)


def test_a_run_is_no_different_from_itself(elbax, runs, tmp_path):
    out = tmp_path / "page.html"
    words = (runs / "first", runs / "first", "--limit", 10, "--samples", 10, "--out", out)
    status, shown, told = elbax("compare", *words)
    assert status == 0
    assert "0.00 ± 0.00" in shown
    assert "IS bound" in shown
    assert f"page: {out}" in shown
    assert "measuring" in told
    assert out.exists()


class TestRefused:
    """Each in one line that names both runs."""

    def test_one_run(self, refused, runs):
        assert "two runs or more" in refused("compare", runs / "first")

    def test_other_data(self, refused, elbax, runs, tmp_path):
        np.save(tmp_path / "x.npy", np.random.default_rng(0).random((60, 8, 8), np.float32))
        words = (*SMALL, "--iterations", 2, "--no-report", "--batch-size", 10)
        elbax("train", tmp_path / "x.npy", *words, "--out", tmp_path / "other")
        line = refused("compare", runs / "first", tmp_path / "other")
        assert f"{runs / 'first'} and {tmp_path / 'other'} do not compare" in line
        assert "data or their splits are different (digits and x" in line

    @pytest.mark.parametrize(
        ("option", "value", "reason"),
        [
            ("--binarize", "dynamic", "binarised differently (none and dynamic)"),
            pytest.param(
                "--likelihood", "normal", "the other a log p(x), a density", marks=pytest.mark.slow
            ),
        ],
    )
    def test_other_quantities(self, refused, elbax, runs, tmp_path, option, value, reason):
        words = (*SMALL, "--iterations", 2, "--no-report", option, value)
        elbax("train", "digits", *words, "--out", tmp_path / "other")
        assert reason in refused("compare", runs / "first", tmp_path / "other")

    def test_targets(self, refused, runs, tmp_path):
        pair = (runs / "first", runs / "seed")
        assert ".html" in refused("compare", *pair, "--out", tmp_path / "page.txt")
        missing = tmp_path / "nowhere" / "page.html"
        assert "there is no folder" in refused("compare", *pair, "--out", missing)
        assert "--limit" in refused("compare", *pair, "--limit", 0)


def test_a_curve_over_beta_is_trained_once(elbax, runs, tmp_path):
    words = ("plot", runs / "first", "rate_distortion", "--betas", "1,4", "--out", tmp_path)
    status, out, told = elbax(*words)
    assert status == 0, told
    assert out.split() == [str(tmp_path / "rate_distortion.png")]
    assert told.count("training at β") == 2
    assert "60 steps" in told
    with Image.open(tmp_path / "rate_distortion.png") as image:
        assert image.width > 300
    # At the run's own β the copy is the run: the same steps, the same seed.
    mine, copy = (
        json.loads((folder / "results.json").read_text())["test"]["elbo"]
        for folder in (runs / "first", runs / "first" / "betas" / "1")
    )
    assert copy == mine
    assert elbax(*words)[2] == ""


@pytest.mark.parametrize("betas", ["1", "a,b", "1,-2", "1,inf"])
def test_impossible_betas(refused, runs, betas):
    assert "--betas" in refused("plot", runs / "first", "rate_distortion", "--betas", betas)


def test_betas_belong_to_their_figure(refused, runs):
    assert "rate_distortion" in refused("plot", runs / "first", "normal", "--betas", "1,2")
    assert "--betas" in refused("plot", runs / "first", "rate_distortion")
