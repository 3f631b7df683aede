"""The estimators as a user of scikit-learn meets them; scikit-learn's own checks stand beside."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from elbax import VAE, LatentMapDisplay, TrainingDisplay, VAEImputer, VAEOutlierDetector
from elbax.data import load
from elbax.estimators import learning, sizes
from elbax.train import Diverged
from elbax.train.state import to_arrays
from tests.linear_gaussian import log_normal

SMALL = {"hidden_layer_sizes": (8,), "n_components": 2, "batch_size": 10, "n_draws": 50}
MEAN = np.array([5.0, -2.0, 300.0, 0.0])
WEIGHT = np.array([[2.0, 0.0], [1.0, 1.0], [-30.0, 20.0], [0.0, 0.4]])
COVARIANCE = WEIGHT @ WEIGHT.T + np.diag([1.0, 0.5, 100.0, 0.05])


def gaussian(rows: int, seed: int = 0) -> np.ndarray:
    """Rows of a normal of four columns in unlike units, of two factors and noise."""
    return np.random.default_rng(seed).multivariate_normal(MEAN, COVARIANCE, rows)


def flowers() -> Any:
    return load_iris()


def holed(x: np.ndarray, share: float = 0.2, seed: int = 1) -> np.ndarray:
    holes = np.random.default_rng(seed).random(x.shape) < share
    return np.where(holes, np.nan, x)


@pytest.fixture(scope="module")
def iris() -> np.ndarray:
    return flowers().data


@pytest.fixture(scope="module")
def small(iris) -> VAE:
    """A short fit that many tests look at; none changes it."""
    return VAE(**SMALL, max_iter=5, random_state=0).fit(iris)


@pytest.fixture(scope="module")
def dense() -> VAE:
    """A fit by the defaults to two thousand rows of the normal, with holes."""
    return VAE(n_components=2, random_state=0).fit(holed(gaussian(2000), 0.1))


# --- the numbers -------------------------------------------------------------------------------


def test_score_is_the_log_density_in_the_units_of_the_data(dense):
    x = gaussian(300, 7)
    exact = log_normal(x, MEAN, COVARIANCE)
    found = dense.score_samples(x)
    assert found.mean() == pytest.approx(exact.mean(), abs=0.2)
    assert np.corrcoef(found, exact)[0, 1] > 0.95
    assert dense.score(x) == pytest.approx(found.mean())


def test_a_missing_cell_leaves_the_density_of_the_others(dense):
    x = gaussian(200, 8)
    x[:, 2] = np.nan
    kept = [0, 1, 3]
    exact = log_normal(x[:, kept], MEAN[kept], COVARIANCE[np.ix_(kept, kept)])
    assert dense.score_samples(x).mean() == pytest.approx(exact.mean(), abs=0.2)


def test_the_three_estimators_agree_and_the_bound_is_below(dense):
    x = gaussian(40, 9)
    scores = {}
    for name in ("importance", "elbo", "prior"):
        again = pickle.loads(pickle.dumps(dense))  # noqa: S301 - our own
        scores[name] = again.set_params(score_estimator=name, n_draws=2000).score(x)
    assert scores["prior"] == pytest.approx(scores["importance"], abs=0.15)
    assert scores["elbo"] < scores["importance"]


def test_samples_have_the_moments_of_the_data(dense):
    x = dense.sample(4000, random_state=0)
    deviation = np.sqrt(np.diag(COVARIANCE))
    np.testing.assert_allclose((x.mean(axis=0) - MEAN) / deviation, 0.0, atol=0.15)
    np.testing.assert_allclose(x.std(axis=0), deviation, rtol=0.15)
    np.testing.assert_array_equal(dense.sample(3, random_state=0), x[:3])
    assert not np.array_equal(dense.sample(3), dense.sample(3))


def test_the_way_there_and_back_reconstructs(dense):
    x = gaussian(300, 10)
    back = dense.inverse_transform(dense.transform(x))
    error = np.mean((back - x) ** 2, axis=0) / np.var(x, axis=0)
    assert (error < [0.4, 0.5, 0.3, 0.5]).all()


def test_units_move_the_score_by_their_jacobian(iris):
    fitted = [VAE(**SMALL, max_iter=3, random_state=0).fit(x) for x in (iris, 10 * iris + 3)]
    before, after = (e.score_samples(x) for e, x in zip(fitted, (iris, 10 * iris + 3), strict=True))
    np.testing.assert_allclose(after, before - 4 * np.log(10), atol=5e-3)
    gained = fitted[1].history_["elbo"] - fitted[0].history_["elbo"]
    np.testing.assert_allclose(gained, -4 * np.log(10), atol=5e-3)


# --- a row by itself ---------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["transform", "score_samples"])
def test_a_row_does_not_know_its_company(small, iris, method):
    call = getattr(small, method)
    together = call(iris)
    order = np.random.default_rng(0).permutation(len(iris))
    np.testing.assert_array_equal(call(iris[order]), together[order])
    np.testing.assert_array_equal(call(iris[7:8])[0], together[7])
    np.testing.assert_array_equal(call(np.repeat(iris[:1], 3, axis=0)), together[[0, 0, 0]])
    np.testing.assert_array_equal(call(np.asfortranarray(iris[::2])), together[::2])


def test_the_same_number_gives_the_same_model(small, iris):
    again = VAE(**SMALL, max_iter=5, random_state=0).fit(iris)
    other = VAE(**SMALL, max_iter=5, random_state=1).fit(iris)
    np.testing.assert_array_equal(again.score_samples(iris), small.score_samples(iris))
    assert not np.array_equal(other.transform(iris), small.transform(iris))


def test_a_generator_is_drawn_from(iris):
    state = np.random.RandomState(0)
    first, second = (VAE(**SMALL, max_iter=1, random_state=state).fit(iris) for _ in range(2))
    assert not np.array_equal(first.transform(iris), second.transform(iris))


# --- more epochs -------------------------------------------------------------------------------


def test_a_warm_start_goes_on_as_if_never_stopped(iris):
    parameters = {**SMALL, "early_stopping": False, "random_state": 0}
    whole = VAE(**parameters, max_iter=6).fit(iris)
    twice = VAE(**parameters, max_iter=3, warm_start=True).fit(iris).fit(iris)
    assert twice.n_iter_ == whole.n_iter_ == 6
    np.testing.assert_array_equal(twice.transform(iris), whole.transform(iris))
    for name, values in whole.history_.items():
        np.testing.assert_allclose(twice.history_[name], values, rtol=1e-6)


def test_no_step_more_leaves_the_model_as_it_is(small, iris):
    # `learning.train` once read the last report of a training that had none.
    trainer, rows = small._resumed(), small._reading.encode(iris)
    judged = {"validation": rows[:20], "validate_every": 5, "patience": 2}
    for given in ({}, judged):
        same, history = learning.train(trainer, rows, batch_size=10, steps=0, **given)
        assert (history.steps, history.metrics, history.validation) == (0, {}, {})
        before, after = to_arrays(trainer.state), to_arrays(same.state)
        assert before.keys() == after.keys()
        for name, array in before.items():
            np.testing.assert_array_equal(after[name], array)


def test_partial_fit_is_an_epoch(iris):
    parameters = {**SMALL, "early_stopping": False, "random_state": 0}
    whole = VAE(**parameters, max_iter=2).fit(iris)
    parts = VAE(**parameters).partial_fit(iris).partial_fit(iris)
    assert parts.n_iter_ == 2
    np.testing.assert_array_equal(parts.transform(iris), whole.transform(iris))
    parts.partial_fit(iris[:1])  # fewer rows than a batch
    assert parts.history_["epoch"].tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="X has 3 features"):
        parts.partial_fit(iris[:, :3])


def test_pickled_and_back_it_says_and_learns_the_same(iris):
    first = VAE(**SMALL, max_iter=2, random_state=0).fit(iris)
    content = pickle.dumps(first)
    assert b"jax" not in content.replace(b"elbax", b"")
    second = pickle.loads(content)  # noqa: S301 - our own
    for method in ("transform", "score_samples"):
        np.testing.assert_array_equal(getattr(second, method)(iris), getattr(first, method)(iris))
    twice = pickle.loads(pickle.dumps(second))  # noqa: S301 - our own
    for each in (first, second, twice):
        each.partial_fit(iris)
    np.testing.assert_array_equal(second.transform(iris), first.transform(iris))
    np.testing.assert_array_equal(twice.transform(iris), first.transform(iris))


def test_several_models_are_one_imputer_that_is_pickled_and_goes_on(iris):
    holed = np.where(np.random.default_rng(0).random(iris.shape) < 0.2, np.nan, iris)
    one = {**SMALL, "max_iter": 3, "random_state": 0, "warm_start": True}
    first = VAEImputer(**one, n_estimators=3).fit(holed)
    assert first.model_.count == 3
    weights = first.model_.stacked.encoder.network.network.layers[0].weight
    assert len({float(w.sum()) for w in weights}) == 3
    second = pickle.loads(pickle.dumps(first))  # noqa: S301 - our own
    for each in (first, second):
        np.testing.assert_array_equal(each.transform(holed), first.transform(holed))
        np.testing.assert_array_equal(each.transform(holed[5:9]), first.transform(holed)[5:9])
    for each in (first, second):
        each.fit(holed)
    np.testing.assert_array_equal(second.transform(holed), first.transform(holed))
    alone = VAEImputer(**one).fit(holed)
    assert not np.array_equal(alone.transform(holed), first.transform(holed))


def test_a_state_saved_before_its_arrays_had_names_comes_back(iris):
    # The file is from an earlier elbax, after this very fit; its arrays are numbered.
    content = (Path(__file__).parent / "numbered.safetensors").read_bytes()
    plain = {**SMALL, "options": {"objective": "elbo", "activation": "relu"}}
    fitted = VAE(**plain, max_iter=4, random_state=1).fit(iris)
    trainer = fitted._trainer
    restored = learning.with_state(trainer, fitted.model_, content)
    then, now = to_arrays(restored.state), to_arrays(trainer.state)
    assert then.keys() == now.keys()
    for name, array in now.items():
        np.testing.assert_allclose(then[name], array, rtol=1e-3, atol=1e-6, err_msg=name)
    other = VAE(**{**plain, "n_components": 3}, max_iter=1, random_state=1).fit(iris)
    with pytest.raises(ValueError, match="of another model or optimiser"):
        learning.with_state(other._trainer, other.model_, content)


def test_early_stopping_keeps_the_best():
    x = gaussian(200)
    parameters = {**SMALL, "max_iter": 400, "learning_rate_init": 0.02, "random_state": 0}
    stopped = VAE(**parameters, early_stopping=True, n_iter_no_change=5).fit(x)
    bounds = -stopped.history_["validation_loss"]
    epochs = stopped.history_["validation_epoch"]
    assert stopped.n_iter_ < 400
    assert stopped.n_iter_ - epochs[bounds.argmax()] == 5
    # Going on begins where it was best: the next look is nearer to the best than to a new start.
    stopped.set_params(warm_start=True, max_iter=1).fit(x)
    assert -stopped.history_["validation_loss"][-1] > bounds.max() - 0.5
    full = VAE(**{**parameters, "max_iter": 2}).fit(x[:50])
    assert "validation_elbo" not in full.history_  # too few rows to keep some apart


# --- with the rest of scikit-learn -------------------------------------------------------------


def test_a_pipeline_and_a_column_transformer(iris):
    frame = pd.DataFrame(iris, columns=list("abcd"))
    frame["kind"] = np.array(["x", "y"])[np.arange(150) % 2]
    coder = VAE(**SMALL, max_iter=1, random_state=0)
    both = ColumnTransformer([("code", coder, list("abcd")), ("hot", OneHotEncoder(), ["kind"])])
    out = both.set_output(transform="default").fit_transform(frame)
    assert out.shape == (150, 4)
    names = both.get_feature_names_out().tolist()
    assert names == ["code__vae0", "code__vae1", "hot__kind_x", "hot__kind_y"]
    piped = make_pipeline(StandardScaler(), VAE(**SMALL, max_iter=1, random_state=0)).fit(iris)
    assert piped.transform(iris).shape == (150, 2)
    assert np.isfinite(piped.score(iris))


@pytest.mark.slow
def test_a_grid_over_components_beta_widths_and_recipes(iris):
    base = {"early_stopping": False, "max_iter": 30, "n_draws": 20, "random_state": 0}
    search = GridSearchCV(
        VAE(hidden_layer_sizes=(8,), batch_size=25, **base),
        [
            {"n_components": [1, 2]},
            {"beta": [0.5]},
            {"hidden_layer_sizes": [(4, 4)]},
            {"recipe": ["iwae"]},
        ],
        cv=2,
        refit=False,
        error_score="raise",  # pyright: ignore[reportArgumentType] - a word that it knows
    ).fit(iris)
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    assert len(set(scores)) == 5


def test_output_as_tables(small, iris):
    frame = pd.DataFrame(iris, columns=list("abcd"))
    coder = VAE(**SMALL, max_iter=1, random_state=0).set_output(transform="pandas").fit(frame)
    assert coder.transform(frame).columns.tolist() == ["vae0", "vae1"]
    coder.set_output(transform="polars")
    out = coder.transform(pl.DataFrame(frame))
    assert isinstance(out, pl.DataFrame)
    np.testing.assert_array_equal(
        out.to_numpy(), coder.set_output(transform="default").transform(frame)
    )
    with pytest.raises(ValueError, match="feature names"):
        coder.transform(frame[list("dcba")])
    assert small.transform(iris.astype(np.float32)).dtype == np.float32


def test_displays(small, iris):
    target = flowers().target
    curves = TrainingDisplay.from_estimator(small)
    assert [line.get_label() for line in curves.lines_] == [
        "bound", "reconstruction", "KL", "bound, validation",
    ]  # fmt: skip
    np.testing.assert_array_equal(curves.lines_[0].get_ydata(), small.history_["elbo"])
    kinds = LatentMapDisplay.from_estimator(small, iris, target)
    assert [len(points.get_offsets()) for points in kinds.scatter_] == [50, 50, 50]
    np.testing.assert_allclose(kinds.scatter_[0].get_offsets(), small.transform(iris[:50]))
    graded = LatentMapDisplay.from_estimator(small, iris, small.score_samples(iris))
    assert len(graded.figure_.axes) == 2  # with a colour bar
    alone = LatentMapDisplay.from_estimator(small, iris, ax=graded.ax_)
    assert alone.ax_ is graded.ax_
    with pytest.raises(ValueError, match="the model has 2"):
        LatentMapDisplay.from_estimator(small, iris, components=(0, 2))


# --- what the data decide, and what is refused -------------------------------------------------


def test_the_rule_is_said_once(iris, capsys):
    VAE(**SMALL, max_iter=1, random_state=0, verbose=1).fit(iris)
    said = capsys.readouterr().out
    assert "[VAE] 150 rows of 4 columns: 4 normal" in said
    assert "n_components=2, hidden_layer_sizes=(8,), batch_size=10" in said
    assert said.count(sizes.RULE) == 1
    VAE(**SMALL, max_iter=1, random_state=0, verbose=2).fit(iris)
    assert "epoch 1: elbo" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rows", "hidden", "batch", "steps", "validation"),
    [
        (50, (64, 64), 5, 1000, 0),
        (500, (64, 64), 45, 10_000, 50),
        (50_000, (256, 256), 100, 10_000, 5000),
    ],
)
def test_sizes_by_the_rows(rows, hidden, batch, steps, validation):
    found = sizes.settle(VAE().get_params(), rows, 30)
    assert found.options.model.hidden == hidden
    assert found.options.model.latent_dim == 10
    assert found.batch_size == batch
    assert found.validation == validation
    per_epoch = (rows - validation) // batch
    assert 0 <= found.max_iter * per_epoch - steps < per_epoch
    assert found.every * per_epoch >= 100
    assert found.patience * found.every * per_epoch >= 1000


def test_likelihoods_by_the_columns():
    rng = np.random.default_rng(0)
    switch = rng.integers(0, 2, 60)
    x = np.stack([rng.normal(size=60), switch, rng.integers(1, 9, 60)], axis=1)
    mixed = VAE(**SMALL, max_iter=1, random_state=0).fit(x)
    assert mixed.likelihood_ == ("normal", "binary", "normal")
    assert set(np.unique(mixed.sample(50)[:, 1])) == {0.0, 1.0}
    x[3, 1] = 2
    with pytest.raises(ValueError, match=r"'x1' has 2.0 in 1 row .*row 3.*knows 0.0, 1.0"):
        mixed.transform(x)
    pixels = VAE(**SMALL, max_iter=1).fit(np.stack([switch, rng.permutation(np.arange(60))], 1))
    assert pixels.likelihood_ == ("normal", "normal")  # 0 and 1 are levels of one scale
    counts = VAE(**SMALL, likelihood=["poisson", "bernoulli"], max_iter=1, random_state=0)
    counts.fit(np.stack([rng.poisson(3, 60), rng.random(60)], axis=1))
    assert counts.likelihood_ == ("poisson", "binary")
    with pytest.raises(ValueError, match=r"'x0' of X is poisson, of whole numbers .* row 0: -1 "):
        counts.transform([[-1, 0.5]])


@pytest.mark.slow
def test_mixed_is_what_a_table_is_taken_for():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "grade": rng.integers(1, 6, 80),
            "kids": rng.poisson(2, 80),
            "income": np.exp(rng.normal(8, 1, 80)),
            "height": rng.normal(170, 10, 80),
            "unit": 7,
        }
    )
    mixed = VAE(**SMALL, likelihood="mixed", max_iter=1, random_state=0).fit(frame)
    table = load(frame, validation=0)
    assert mixed.likelihood_ == tuple(column.likelihood for column in table.columns)
    assert mixed.likelihood_[:3] == ("ordinal-5", "negative-binomial", "log-normal")
    drawn = mixed.sample(40, random_state=0)
    assert set(np.unique(drawn[:, 0])) <= {1.0, 2.0, 3.0, 4.0, 5.0}
    assert (drawn[:, 4] == 7).all()
    again = pickle.loads(pickle.dumps(mixed))  # noqa: S301 - our own
    np.testing.assert_array_equal(again.transform(frame), mixed.transform(frame))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"recipe": "vea"}, "unknown recipe 'vea': did you mean 'vae'"),
        ({"likelihood": "gauss"}, "column 'x0' is to be 'gauss'.*: a column is continuous"),
        ({"likelihood": ["normal"]}, "likelihood names 1 columns, and X has 4"),
        ({"prior": "vampire"}, "did you mean 'vamp'"),
        ({"prior": "hypersphere"}, "choose --posterior power-spherical"),
        ({"n_components": 0}, "The 'n_components' parameter of VAE must be"),
        ({"options": {"kl_warmup": 3}}, "did you mean 'kl_warm_up'"),
        ({"options": {"epochs": 3}}, "give the parameter max_iter instead"),
        ({"options": {"out": "x"}}, "which is of runs on disk"),
        ({"recipe": "conditional"}, "train on labels, and X has none"),
        ({"recipe": "two-stage"}, "fit_prior is .*, which is of runs"),
        (
            {"early_stopping": True, "validation_fraction": 0.999},
            "leaves 0 of 150 rows",
        ),
    ],
)
def test_a_mistake_is_one_line(iris, parameters, message):
    with pytest.raises(ValueError, match=message) as caught:
        VAE(**parameters).fit(iris[:150:1])
    assert "\n" not in str(caught.value)


def test_what_cannot_be_learnt_from_is_refused(iris):
    x = iris[:20].copy()
    with pytest.raises(NotFittedError):
        VAE().transform(x)
    x[:, 1] = np.nan
    with pytest.raises(ValueError, match="column 'x1' has no observed cell"):
        VAE().fit(x)
    x[:, 1] = 1e200
    with pytest.raises(ValueError, match="column 'x1' is beyond 1e100 in 20 rows"):
        VAE().fit(x)
    with pytest.raises(Diverged, match="give a smaller learning_rate_init"):
        VAE(**SMALL, learning_rate_init=1e30, random_state=0).fit(iris)


@pytest.mark.slow
def test_parts_by_name(iris):
    parts = VAE(
        **SMALL,
        prior={"name": "vamp", "components": 3},
        network="gated-mlp",
        options={"kl_warm_up": 10, "gradient_clip": 1.0},
        max_iter=2,
        random_state=0,
    ).fit(iris)
    assert type(parts.model_.prior).__name__ == "VampPrior"
    again = pickle.loads(pickle.dumps(parts))  # noqa: S301 - our own
    np.testing.assert_array_equal(again.score_samples(iris), parts.score_samples(iris))


# --- outliers ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def detector() -> VAEOutlierDetector:
    return VAEOutlierDetector(contamination=0.05, random_state=0).fit(gaussian(500))


def test_outliers_are_told_and_explained(detector):
    ordinary, strange = gaussian(200, 5), gaussian(50, 6)
    strange[:, 3] += 3.0  # four and a half standard deviations of the column
    labels = np.repeat([1, -1], [200, 50])
    x = np.vstack([ordinary, strange])
    assert roc_auc_score(labels == 1, detector.score_samples(x)) > 0.95
    assert np.mean(detector.predict(ordinary) == -1) == pytest.approx(0.05, abs=0.06)
    np.testing.assert_array_equal(detector.predict(x) == -1, detector.decision_function(x) < 0)
    assert np.mean(detector.explain(strange).argmin(axis=1) == 3) > 0.9
    # The same for a new row alone, and of usual rows the shares are about 0.
    why = detector.explain(strange)
    np.testing.assert_array_equal(detector.explain(strange[7:8]), why[7:8])
    np.testing.assert_array_equal(detector.explain(strange[::-1]), why[::-1])
    np.testing.assert_allclose(detector.explain(gaussian(500)).mean(axis=0), 0.0, atol=1e-6)


def test_shares_and_the_latents_make_the_score(detector):
    """score = Σ shares − KL(p(z|x) ‖ p(z)), and a KL is not negative."""
    x = gaussian(100, 11)
    shares = detector.explain(x) + detector.typical_shares_
    cost = shares.sum(axis=1) - detector.score_samples(x)
    assert (cost > -0.2).all()
    assert cost.mean() > 0.3
    x[:, 0] = np.nan
    assert (detector.explain(x)[:, 0] == 0.0).all()


# --- missing cells -----------------------------------------------------------------------------


@pytest.mark.slow
def test_missing_cells_are_filled_and_others_kept():
    full = gaussian(600)
    x = holed(full)
    imputer = VAEImputer(n_components=2, random_state=0).fit(x)
    new = gaussian(200, 12)
    gone = holed(new, seed=4)
    filled = imputer.transform(gone)
    missing = np.isnan(gone)
    np.testing.assert_array_equal(filled[~missing], new[~missing])
    deviation = np.sqrt(np.diag(COVARIANCE))
    error = ((filled - new) / deviation)[missing]
    # The conditional normal is as good as can be; the mean has an error of 1.
    best = np.concatenate([conditional_error(new[i], missing[i]) for i in range(200)])
    assert np.sqrt(np.mean(error**2)) < np.sqrt(np.mean(best**2)) + 0.1
    low, high = imputer.intervals(gone)
    inside = ((low <= new) & (new <= high))[missing]
    assert inside.mean() == pytest.approx(0.9, abs=0.08)
    # Each row by itself.
    np.testing.assert_array_equal(imputer.transform(gone[::-1])[::-1], filled)
    drawn = imputer.set_params(sample_posterior=True).transform(gone)
    spread = ((drawn - filled) / deviation)[missing]
    assert np.std(spread) == pytest.approx(np.std(error), rel=0.25)


def conditional_error(row: np.ndarray, gone: np.ndarray) -> np.ndarray:
    """Of the exact conditional mean, in standard deviations of the columns."""
    seen = ~gone
    deviation = np.sqrt(np.diag(COVARIANCE))
    gain = COVARIANCE[np.ix_(gone, seen)] @ np.linalg.pinv(COVARIANCE[np.ix_(seen, seen)])
    expected = MEAN[gone] + gain @ (row[seen] - MEAN[seen])
    return (expected - row[gone]) / deviation[gone]


def test_empty_columns_and_the_indicator():
    x = holed(np.column_stack([gaussian(60), np.full(60, np.nan)]))
    frame = pd.DataFrame(x, columns=["a", "b", "c", "d", "e"])
    parameters = {**SMALL, "max_iter": 1, "random_state": 0}
    dropped = VAEImputer(**parameters).set_output(transform="pandas").fit(frame)
    assert dropped.transform(frame).columns.tolist() == ["a", "b", "c", "d"]
    kept = VAEImputer(**parameters, keep_empty_features=True, add_indicator=True)
    out = kept.set_output(transform="pandas").fit_transform(frame)
    names = [f"missingindicator_{name}" for name in "abcde"]
    assert out.columns.tolist() == ["a", "b", "c", "d", "e", *names]
    assert (out["e"] == 0).all()
    assert not out.isna().to_numpy().any()
    np.testing.assert_array_equal(out[names].to_numpy(), np.isnan(x))
    with pytest.raises(ValueError, match="X has no observed cell"):
        VAEImputer().fit(np.full((5, 2), np.nan))


def test_a_binary_cell_gets_a_value_that_it_can_have():
    rng = np.random.default_rng(0)
    a = rng.normal(size=300)
    x = np.column_stack([a, a + 0.1 * rng.normal(size=300) > 0]).astype(float)
    x[:20, 1] = np.nan
    filled = VAEImputer(random_state=0).fit_transform(x)
    assert set(np.unique(filled[:, 1])) == {0.0, 1.0}
    assert np.mean(filled[:20, 1] == (a[:20] > 0)) > 0.85
