"""`elbax evaluate`: its objects, what they are called, and what it refuses."""

import dataclasses
import json
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.special import logsumexp
from scipy.stats import norm

import elbax as library
from elbax.cli.runs import evaluate as cli
from elbax.evaluate.samples import features
from elbax.model import AbstractPrior
from elbax.run import evaluation
from elbax.run.evaluation import density, samples
from elbax.run.run import Run
from elbax.util import environment
from elbax.util.keys import evaluation_key
from tests.command import SMALL

GREY = "lower bound on the expected log-likelihood of the binarised data"


@pytest.fixture
def measured(elbax, finished_run):
    """The JSON object of ``elbax evaluate``."""

    def call(*words, run=finished_run):
        status, out, err = elbax("evaluate", run, *words, "--json")
        assert status == 0, err
        return json.loads(out)

    return call


def by_quadrature(model, x):
    """Log p(x) of each row for two latents: a sum over a grid, in double precision."""
    axis = np.linspace(-6, 6, 241)
    z = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    logits = np.asarray(jax.vmap(lambda z: model.decode(z).logits)(jnp.asarray(z, jnp.float32)))
    logits = logits.reshape(len(z), -1).astype(np.float64)
    x = np.asarray(x, np.float64).reshape(len(x), -1)
    given = logits @ x.T - np.logaddexp(0, logits).sum(axis=1)[:, None]
    prior = norm.logpdf(z).sum(axis=1) + 2 * math.log(axis[1] - axis[0])
    return np.asarray(logsumexp(given + prior[:, None], axis=0))


@pytest.mark.slow
def test_every_estimator_finds_what_quadrature_finds(measured, finished_run):
    run = library.open_run(finished_run)
    truth = by_quadrature(run.model, run.dataset.test.x[:12] / 16).mean()
    words = [w for name in ("importance", "prior", "elbo") for w in ("--estimator", name)]
    found = measured(*words, "--limit", 12, "--samples", 2000)
    assert [one["estimator"] for one in found["estimates"]] == ["importance", "prior", "elbo"]
    annealed = measured("--estimator", "annealed", "--limit", 12, "--samples", 8)
    for one in (*found["estimates"][:2], annealed):
        value = one["log_likelihood"]
        # Four standard deviations, and what the estimates' logarithms are too low by on average.
        bias = 1 / one["effective_sample_size"]["minimum"]
        assert abs(value["mean"] - truth) < 4 * value["monte_carlo_error"] + bias
        assert value["mean"] > one["elbo"]
    assert annealed["sandwich"]["gap"]["mean"] == pytest.approx(0, abs=0.5)


def test_the_object_of_one_estimator(measured, finished_run):
    found = measured("--estimator", "importance", "--samples", 300, "--limit", 30)
    assert set(found) >= {
        *("schema", "estimator", "samples", "data", "split", "count", "elbo", "reconstruction"),
        *("kl", "log_likelihood", "bits_per_dimension", "effective_sample_size", "pareto_k"),
        *("trust", "seconds", "standard_error"),
    }
    assert (found["schema"], found["estimator"]) == (1, "importance")
    assert (found["samples"], found["data"], found["count"]) == (300, "digits", 30)
    assert found["pareto_k"]["threshold"] == pytest.approx(1 - 1 / math.log10(300))
    assert found["trust"] in ("yes", "doubtful", "no")
    model, rows = library.load(finished_run), library.load_data("digits").test.x[:30]
    again = density.estimate("importance", model, rows, evaluation_key(0), 300)
    assert found["log_likelihood"]["mean"] == again.mean().mean
    assert found["log_likelihood"]["standard_error"] == again.mean().standard_error
    assert found["log_likelihood"]["monte_carlo_error"] == again.mean_monte_carlo_error()


def test_elbo_and_importance_stand_together_by_default(measured, finished_run):
    found = measured("--samples", 50)
    results = json.loads((finished_run / "results.json").read_text())
    assert [one["estimator"] for one in found["estimates"]] == ["elbo", "importance"]
    bound, importance = found["estimates"]
    for name in ("elbo", "reconstruction", "kl", "standard_error"):
        assert found[name] == bound[name] == importance[name] == results["test"][name]
    assert bound["log_likelihood"] is None
    assert (bound["samples"], importance["samples"]) == (10, 50)


def test_grey_pixels_are_labelled_and_have_no_bits(elbax, measured, finished_run):
    found = measured("--estimator", "importance", "--samples", 20, "--limit", 5)
    assert found["quantity"] == "binarised-bound"
    assert found["log_likelihood"]["is"].startswith(GREY)
    assert found["bits_per_dimension"] is None
    words = ("--estimator", "importance", "--samples", 20, "--limit", 5)
    _, out, _ = elbax("evaluate", finished_run, *words)
    assert GREY in out
    assert "log P(x)" not in out
    assert "log p(x)" not in out
    assert "No error above covers bias" in out


@pytest.mark.parametrize("how", ["dynamic", "static"])
def test_binarised_pixels_have_a_mass_and_bits(measured, finished_run, how):
    found = measured("--estimator", "importance", "--binarize", how, "--limit", 8)
    assert (found["quantity"], found["binarize"]) == ("log-mass", how)
    bits = -found["log_likelihood"]["mean"] / (64 * math.log(2))
    assert found["bits_per_dimension"] == pytest.approx(bits)
    if how == "static":
        run = library.open_run(finished_run)
        rows = library.load_data("digits", binarize="static").test.x[:8]
        truth = by_quadrature(run.model, rows).mean()
        assert abs(found["log_likelihood"]["mean"] - truth) < 0.5


def test_the_prior_says_how_many_samples_would_do(elbax, measured, finished_run):
    found = measured("--estimator", "prior", "--samples", 100, "--limit", 20)
    needed = found["samples_needed"]
    assert 0 <= needed["log10_median"] <= needed["log10_maximum"]
    # The KL of the posterior is near the encoder's, whose average is the rate.
    assert needed["log10_median"] * math.log(10) == pytest.approx(found["kl"], abs=1.5)
    words = ("--estimator", "prior", "--samples", 100, "--limit", 20)
    assert "enough would be about 10^" in elbax("evaluate", finished_run, *words)[1]


def test_the_gap_is_split(elbax, measured, finished_run):
    found = measured("--estimator", "gap", "--samples", 50, "--limit", 4)
    whole = found["log_likelihood"]["mean"] - found["elbo"]["mean"]
    parts = found["approximation"]["mean"] + found["amortisation"]["mean"]
    assert parts == pytest.approx(whole, abs=1e-6)
    assert found["elbo_split"]["ceiling"] == pytest.approx(math.log(4))
    information = found["elbo_split"]["mutual_information"] + found["elbo_split"]["aggregate_kl"]
    assert information == pytest.approx(found["rate"]["mean"], abs=1.0)


def test_latents(elbax, measured, finished_run):
    found = measured("--estimator", "latents")
    results = json.loads((finished_run / "results.json").read_text())
    assert found["active"] == results["active_latents"]
    total = sum(value["mean"] for value in found["kl_by_latent"])
    assert total == pytest.approx(results["test"]["kl"], rel=1e-4)
    assert found["collapse"]["verdict"] in ("none", "partial", "full")
    assert found["total_correlation"]["ceiling"] == pytest.approx(math.log(180))
    assert 0.1 < found["neighbour_accuracy"]["mean"] <= 1
    assert found["undefined"] == {}
    train = measured("--estimator", "latents", "--split", "train", "--limit", 50)
    assert train["linear_probe_accuracy"] is None
    assert "--split test" in train["undefined"]["linear_probe_accuracy"]
    out = elbax("evaluate", finished_run, "--estimator", "latents", "--limit", 50)[1]
    assert f"{found['active']} of 2 active" in out


def test_samples_in_three_spaces(elbax, measured, finished_run, monkeypatch):
    names = {}
    for space in ("raw", "pca", "classifier"):
        found = measured("--estimator", "samples", "--features", space)
        names[found["feature_space"]] = space
        assert found["frechet_distance"] > 0
        assert 0 <= found["precision"]["mean"] <= 1
        assert found["memorisation"]["training_rows"] == 1437
        assert found["samples_are"].startswith("means of p(x|z)")
    assert len(names) == 3

    def never(*_, **__):
        raise AssertionError("the classifier is in the cache")

    monkeypatch.setattr(features, "classifier", never)
    again = measured("--estimator", "samples")
    assert again["frechet_distance"] == found["frechet_distance"]
    (kept,) = (environment.cache_folder() / "features").iterdir()
    kept.write_bytes(b"damaged")
    monkeypatch.undo()
    assert measured("--estimator", "samples")["frechet_distance"] == found["frechet_distance"]
    assert "features" in elbax("evaluate", finished_run, "--estimator", "samples")[1]


def test_the_cached_classifier_goes_by_versions_and_seed(measured, monkeypatch):
    words = ("--estimator", "samples", "--features", "classifier", "--limit", 60)
    folder = environment.cache_folder() / "features"

    def made(*more):
        before = set(folder.glob("*")) if folder.exists() else set()
        measured(*words, *more)
        return len(set(folder.iterdir()) - before)

    measured(*words)
    assert made() == 0
    assert made("--seed", 4711) == 1
    assert made("--seed", 4711) == 0
    versions = environment.versions()
    monkeypatch.setattr(environment, "versions", lambda: {**versions, "elbax": "0.0.0"})
    assert made() == 1
    assert made() == 0
    monkeypatch.undo()
    of_package = samples.version
    monkeypatch.setattr(
        samples, "version", lambda n: "0.0" if n == "scikit-learn" else of_package(n)
    )
    assert made() == 1


def test_a_classifier_learns_the_labels_of_the_rows_without_holes(finished_run, monkeypatch):
    run = Run(finished_run)
    whole = run.dataset
    x = np.array(whole.train.x, np.float32)
    x[:700, 0, 0] = np.nan
    holed = dataclasses.replace(whole, train=dataclasses.replace(whole.train, x=x))
    seen = {}

    def taught(rows, labels, **_):
        seen["rows"], seen["labels"] = rows, labels
        return features.raw()

    monkeypatch.setattr(features, "classifier", taught)
    monkeypatch.setattr(features, "load", lambda _: (_ for _ in ()).throw(OSError))
    monkeypatch.setattr(features, "save", lambda *_: None)
    task = evaluation.make_task(
        run.replace(dataset=holed), "test", estimators=("samples",), limit=60, seed=0,
        features="classifier",
    )  # fmt: skip
    (found,) = evaluation.measure(task, ("samples",))
    assert found["memorisation"]["training_rows"] == len(x) - 700
    np.testing.assert_allclose(seen["rows"] * 16, x[700:], atol=1e-5)
    assert whole.train.label is not None
    np.testing.assert_array_equal(seen["labels"], whole.train.label[700:])

    x[:, 0, 0] = np.nan
    with pytest.raises(ValueError, match="every training row has missing cells"):
        list(evaluation.measure(task, ("samples",)))


def test_what_takes_long_is_announced(elbax, finished_run, monkeypatch):
    monkeypatch.setattr(cli, "_LONG", 100)
    words = ("--estimator", "importance", "--limit", 20, "--samples", 10)
    assert elbax("evaluate", finished_run, *words)[2] == "importance: 20 rows × 10 samples …\n"


def test_slow_estimators_take_few_rows_unless_told(finished_run):
    run = Run(finished_run)
    counts = [
        len(evaluation.make_task(run, "test", estimators=names, limit=limit, seed=0).rows)
        for names, limit in ((("elbo",), None), (("elbo", "annealed"), None), (("gap",), 150))
    ]
    assert counts == [180, 100, 150]


class Coin(AbstractPrior):
    """A discrete latent: no gradient to move along."""

    latent_dim: int = eqx.field(static=True)

    def __call__(self, encoder=None, condition=None):
        return dist.Bernoulli(jnp.full(self.latent_dim, 0.5)).to_event(1)


class TestRefused:
    """Each in one line."""

    @pytest.mark.parametrize("option", ["samples", "limit"])
    def test_counts(self, refused, finished_run, option):
        assert f"--{option}" in refused("evaluate", finished_run, f"--{option}", 0)

    def test_estimators(self, refused, finished_run):
        assert "importance" in refused("evaluate", finished_run, "--estimator", "importence")

    def test_annealing_of_discrete_latents(self, finished_run):
        run = Run(finished_run)
        run = run.replace(model=dataclasses.replace(run.model, prior=Coin(2)))
        task = evaluation.make_task(run, "test", estimators=("annealed",), limit=2, seed=0)
        with pytest.raises(ValueError, match="discrete"):
            evaluation.check(task, ("annealed",))

    def test_binarising_what_is_binary(self, refused, elbax, tmp_path):
        out = tmp_path / "run"
        words = (*SMALL, "--iterations", 5, "--binarize", "static", "--no-report", "--out", out)
        x = np.random.default_rng(0).integers(0, 2, (200, 4, 4, 1), dtype=np.uint8)
        np.save(tmp_path / "x.npy", x)
        assert elbax("train", tmp_path / "x.npy", *words)[0] == 0
        for how in ("dynamic", "none"):
            assert "no grey levels" in refused("evaluate", out, "--binarize", how)
        assert "no labels" in refused(
            "evaluate", out, "--estimator", "samples", "--features", "classifier"
        )

    def test_binarising_for_a_normal_likelihood(self, refused, elbax, tmp_path):
        out = tmp_path / "run"
        words = (*SMALL, "--iterations", 5, "--likelihood", "normal", "--no-report", "--out", out)
        assert elbax("train", "digits", *words)[0] == 0
        line = refused("evaluate", out, "--binarize", "static")
        assert "normal" in line
        status, shown, _ = elbax("evaluate", out, "--limit", 5, "--samples", 20)
        assert status == 0
        assert "log p(x), a density" in shown
        assert "bits" not in shown
