"""Runs whose latents are codes: what every command makes of them."""

import json

import jax
import numpy as np
import pytest

import elbax as library
from elbax.model.codes.families import codes_of
from elbax.report import page
from tests.command import called

WORDS = [
    *("--recipe", "vq-vae", "--network", "mlp", "--hidden", "32", "--latent-dim", "16"),
    *("--posterior.count", "8", "--posterior.width", "4", "--learning-rate", "0.003"),
    *("--iterations", "120", "--batch-size", "50", "--no-report"),
]


@pytest.fixture(scope="module")
def codes_run(tmp_path_factory):
    run = tmp_path_factory.mktemp("codes") / "run"
    called("train", "digits", *WORDS, "--out", run)
    return run


def test_bound_and_use_of_codes_are_those_of_the_rows(elbax, codes_run):
    run = library.open_run(codes_run)
    results, model = run.results, run.model
    assert results is not None
    assert results["test"]["kl"] == pytest.approx(4 * np.log(8), rel=1e-5)
    assert results["active_latents"] is None
    out = json.loads(elbax("evaluate", codes_run, "--json", "--estimator", "latents")[1])
    rows = run.dataset.test.x
    z = np.reshape(jax.vmap(lambda x: model.encode(model.preprocessing(x)).z)(rows), (-1, 4))
    codes, counts = np.unique(z, axis=0, return_counts=True)
    shares = counts / counts.sum()
    found = out["codes"]
    assert found == results["codes"]
    assert found["codes"] == 8
    assert found["chosen"] == 4 * len(rows)
    assert found["used"] == [len(codes)]
    assert found["perplexity"][0] == pytest.approx(np.exp(-np.sum(shares * np.log(shares))))
    said = elbax("evaluate", codes_run)[1]
    assert f"codes       {len(codes)} of 8 used, perplexity {found['perplexity'][0]:.1f}" in said


def test_the_report_says_how_many_codes_are_used(codes_run, tmp_path):
    page.write_report(tmp_path / "report.html", library.open_run(codes_run), None)
    results = json.loads((codes_run / "results.json").read_text())
    said = (tmp_path / "report.html").read_text()
    assert f"{results['codes']['used'][0]} of 8 used, perplexity" in said


def test_verbs_work_on_codes_or_say_in_a_line_why_not(elbax, codes_run, tmp_path):
    status, out, err = elbax("sample", codes_run, "--count", 4, "--out", tmp_path / "s.npz")
    assert status == 0, err
    assert "uniform over codes: none was fitted" in out
    with np.load(tmp_path / "s.npz") as drawn:
        x, z = drawn["x"], drawn["z"]
    assert elbax("encode", codes_run, "--out", tmp_path / "e.npz")[0] == 0
    with np.load(tmp_path / "e.npz") as encoded:
        made_of = {tuple(code) for code in encoded["mean"].reshape(-1, 4)}
        assert "scale" not in encoded
    vectors = codes_of(library.open_run(codes_run).model.encoder).codebook
    assert vectors is not None
    vectors = np.asarray(vectors.vectors)
    known = {tuple(code) for code in vectors[0]}
    assert made_of <= known
    assert {tuple(code) for code in z.reshape(-1, 4)} <= known
    np.save(tmp_path / "z.npy", z)
    words = ("decode", codes_run, "--latents", tmp_path / "z.npy", "--out", tmp_path / "d.npy")
    assert elbax(*words)[0] == 0
    assert np.allclose(np.load(tmp_path / "d.npy"), x, atol=1e-5)
    assert elbax("reconstruct", codes_run, "--out", tmp_path / "r.png")[0] == 0

    for words, why in {
        ("score", codes_run, "--out", tmp_path / "x.csv"): "all its mass on one choice of codes",
        ("evaluate", codes_run, "--estimator", "importance"): "take elbo, latents",
        ("evaluate", codes_run, "--estimator", "annealed"): "take elbo, latents",
        ("evaluate", codes_run, "--estimator", "gap"): "take elbo, latents",
        ("explore", codes_run): "moves a vector of real latents",
        ("sample", codes_run, "--sampler", "flow", "--out", tmp_path / "x.png"): "are codes",
    }.items():
        status, out, err = elbax(*words)
        assert status != 0, words
        assert why in err
        assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--latent-dim", "15"], "give a multiple of 4"),
        (["--objective", "elbo"], "it would not train the codes; choose"),
        (["--prior", "standard-normal"], "choose --posterior"),
        (["--network", "conv-grid"], "cannot be shared by the 2 × 2 places"),
    ],
)
def test_what_does_not_go_together_is_one_line(elbax, tmp_path, words, why):
    more = ["--posterior.width", "6", "--latent-dim", "18"] if "conv-grid" in words else []
    base = [w for w in WORDS if not more or w not in ("--hidden", "32")]
    status, _, err = elbax("train", "digits", *base, *words, *more, "--out", tmp_path / "run")
    assert status != 0
    assert why in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_grid_is_of_codes(elbax, tmp_path):
    status, _, err = elbax("train", "digits", "--network", "conv-grid", "--out", tmp_path / "run")
    assert status == 2
    assert "gives each place codes of its own: choose --posterior" in err
    assert len(err.strip().splitlines()) == 1


def test_a_prior_is_fitted_over_the_codes(elbax, codes_run, tmp_path):
    run = tmp_path / "run"
    status, out, err = elbax(
        "train", "digits", *WORDS, "--fit-prior", "autoregressive", "--out", run
    )
    assert status == 0, err
    results = [library.open_run(one).results or {} for one in (codes_run, run)]
    uniform, fitted = (one["test"] for one in results)
    assert fitted["reconstruction"] == pytest.approx(uniform["reconstruction"], abs=1e-3)
    assert fitted["kl"] < uniform["kl"] - 0.5
    assert fitted["elbo"] == pytest.approx(fitted["reconstruction"] - fitted["kl"], abs=1e-3)
    status, out, err = elbax("sample", run, "--count", 4, "--out", tmp_path / "s.png")
    assert status == 0, err
    assert out.endswith("z from the prior\n")
    words = ("--sampler", "autoregressive", "--count", 4, "--out", tmp_path / "t.png")
    assert "the autoregressive prior fitted to the latents" in elbax("sample", codes_run, *words)[1]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([*WORDS, "--fit-prior", "flow"], "give autoregressive, or leave it out"),
        (["--fit-prior", "autoregressive"], "is autoregressive, over codes"),
    ],
)
def test_priors_of_other_latents_are_refused(elbax, tmp_path, words, why):
    status, _, err = elbax("train", "digits", *words, "--out", tmp_path / "run")
    assert status != 0
    assert why in err
    assert len(err.strip().splitlines()) == 1
