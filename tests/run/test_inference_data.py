"""`Run.to_arviz`: labelled draws, whose densities are those of scipy and of the bound."""

import arviz_base
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from scipy.special import logsumexp

import elbax
from elbax.evaluate import importance
from elbax.util.keys import of_seed

DRAWS = 300


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    import pandas as pd

    draw = np.random.default_rng(0)
    a = draw.normal(size=120)
    table = pd.DataFrame({"a": a, "b": 2 * a + draw.normal(size=120), "c": draw.normal(size=120)})
    table.loc[::7, "c"] = np.nan
    return elbax.train(
        table, out=tmp_path_factory.mktemp("arviz") / "run", hidden=(8,), latent_dim=2,
        iterations=40, report=False, verbose=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def found(run):
    return run.to_arviz(draws=DRAWS)


def test_its_groups_are_those_of_arviz(run, found):
    rows = len(run.rows("test")[0])
    posterior, cells = found["posterior"]["z"], found["log_likelihood"]["x"]
    assert posterior.sizes == {"chain": 1, "draw": DRAWS, "row": rows, "latent": 2}
    assert cells.sizes == {"chain": 1, "draw": DRAWS, "row": rows, "column": 3}
    assert cells.coords["column"].values.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(found["observed_data"]["x"], run.rows("test")[0])
    together = arviz_base.extract(found, group="posterior", var_names="z")
    assert together.sizes["sample"] == DRAWS


def test_its_weights_are_log_p_less_log_q(run, found):
    # With the densities of scipy in the place of the model's own.
    for i, row in enumerate(run.rows("test")[0][:5]):
        q = run.model.encode(run.model.preprocessing(jnp.asarray(row)))
        z = found["posterior"]["z"][0, :, i].to_numpy()
        log_q = scipy.stats.norm.logpdf(z, q.mean, np.sqrt(q.variance)).sum(axis=1)
        log_prior = scipy.stats.norm.logpdf(z).sum(axis=1)
        cells = found["log_likelihood"]["x"][0, :, i].to_numpy().sum(axis=1)
        weights = found["sample_stats"]["log_weight"][0, :, i]
        np.testing.assert_allclose(weights, cells + log_prior - log_q, rtol=1e-4, atol=1e-4)


def test_draws_are_of_the_posterior_and_weights_average_to_p(run, found):
    x = run.rows("test")[0]
    z = found["posterior"]["z"][0].to_numpy()
    for i, row in enumerate(x[:5]):
        q = run.model.encode(run.model.preprocessing(jnp.asarray(row)))
        for latent in range(2):
            normal = scipy.stats.norm(q.mean[latent], np.sqrt(q.variance[latent]))
            assert scipy.stats.kstest(z[:, i, latent], normal.cdf).pvalue > 1e-4
    weights = found["sample_stats"]["log_weight"][0].to_numpy().astype(float)
    ours = logsumexp(weights, axis=0) - np.log(DRAWS)
    theirs = importance(run.model, x, key=of_seed(1, "test"), samples=2000)
    errors = np.exp(weights - ours).std(axis=0) / np.sqrt(DRAWS)
    away = (ours - theirs.log_likelihood) / np.hypot(errors, theirs.monte_carlo_error)
    assert np.abs(away).max() < 5


def test_a_missing_cell_has_no_share(run, found):
    missing = np.isnan(run.rows("test")[0])
    assert missing.any()
    np.testing.assert_array_equal(found["log_likelihood"]["x"].to_numpy()[0][:, missing], 0.0)


def test_fewer_rows_are_the_first_ones(run, found):
    few = run.to_arviz(draws=DRAWS, limit=3)
    np.testing.assert_array_equal(few["posterior"]["z"], found["posterior"]["z"][:, :, :3])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"draws": 0}, "one of each at least"),
        ({"draws": 10**9}, "too much for one table"),
    ],
)
def test_what_cannot_be_is_refused(run, asked, said):
    with pytest.raises(ValueError, match=said):
        run.to_arviz(**asked)


def test_without_arviz_one_line_says_what_to_install(run, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "arviz_base", None)
    with pytest.raises(ValueError, match=r"pip install 'elbax\[arviz\]'"):
        run.to_arviz()


def test_an_encoder_of_points_is_refused(run, monkeypatch):
    monkeypatch.setattr("elbax.run.use.inference_data.has_density", lambda _: False)
    with pytest.raises(ValueError, match="encoder gives a point"):
        run.to_arviz()
