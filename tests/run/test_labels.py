"""Labels in training and after it, models without a bound, and what is refused by name."""

import dataclasses
import json

import equinox as eqx
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import elbax as library
from elbax.run import labels
from tests.command import called

TINY = ["--iterations", "12", "--batch-size", "40", "--no-report"]


def run_of(folder, *words):
    return json.loads(called("train", "digits", *words, *TINY, "--json", "--out", folder)[0])


@pytest.fixture(scope="module")
def conditional(tmp_path_factory):
    folder = tmp_path_factory.mktemp("conditional") / "run"
    return folder, run_of(folder, "--recipe", "conditional", "--hidden", "8")


@pytest.fixture(scope="module")
def semi_supervised(tmp_path_factory):
    folder = tmp_path_factory.mktemp("semi") / "run"
    words = ("--recipe", "semi-supervised", "--hidden", "8", "--latent-dim", "2")
    return folder, run_of(folder, *words, "--labelled", "30")


@pytest.fixture(scope="module")
def deterministic(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deterministic") / "run"
    words = ("--posterior", "deterministic", "--objective", "wae-mmd", "--hidden", "8")
    return folder, run_of(folder, *words, "--likelihood", "normal", "--likelihood.scale", "1")


def test_a_conditional_model_is_of_data_given_their_label(conditional, elbax, refused, tmp_path):
    folder, results = conditional
    assert results["test"]["given"] == "label"
    model = library.load(folder)
    assert model.condition_dim == 10
    out = tmp_path / "x.npz"
    assert elbax("sample", folder, "--count", 12, "--out", out)[0] == 0
    np.testing.assert_array_equal(np.load(out)["label"], np.arange(12) % 10)
    every = np.load(out)["x"]
    assert elbax("sample", folder, "--count", 12, "--label", 3, "--out", out)[0] == 0
    threes = np.load(out)["x"]
    np.testing.assert_array_equal(threes[3], every[3])  # the same noise under the same label
    assert np.abs(threes[2] - every[2]).max() > 0
    assert "not one of the 10 of training" in refused("sample", folder, "--label", 12, "--out", out)
    for words in (("encode",), ("reconstruct",)):
        assert elbax(*words, folder, "--out", out)[0] == 0
    assert "give --label" in refused("decode", folder, "--z", ",".join(["0"] * 10), "--out", out)
    z = ",".join(["0"] * 10)
    assert elbax("decode", folder, "--z", z, "--label", 1, "--out", out)[0] == 0
    status, printed, _ = elbax("evaluate", folder, "--limit", 20, "--samples", 20, "--json")
    assert status == 0
    bound, weighed = json.loads(printed)["estimates"]
    assert bound["given"] == "label"
    assert weighed["log_likelihood"]["mean"] > bound["elbo"]


def test_the_bound_of_a_conditional_model_is_its_objectives(conditional):
    """`elbo` on rows with their condition is `NegativeELBO` on a conditioned batch."""
    import jax
    import jax.numpy as jnp

    from elbax.evaluate import elbo
    from elbax.model import Batch, NegativeELBO, conditioned

    model = library.load(conditional[0])
    part = library.load_data("digits").test
    rows = labels.conditioned(model, part)
    found = elbo(model, rows, key=jax.random.key(0), samples=50)
    batch = conditioned(Batch(jnp.asarray(part.x) / 16.0, label=jnp.asarray(part.label)), 10)
    goal, step = NegativeELBO(samples=50), jnp.asarray(0)
    _, (_, metrics) = goal(model, batch, state=None, step=step, key=jax.random.key(1))
    assert found.kl.mean() == pytest.approx(float(metrics["kl"]), rel=1e-4)
    assert found.elbo.mean() == pytest.approx(float(metrics["elbo"]), abs=0.05)
    wrong = labels.one_hot((np.asarray(part.label) + 1) % 10, 10)
    other = elbo(model, type(rows)(part.x, wrong), key=jax.random.key(0), samples=50)
    assert np.abs(other.elbo - found.elbo).mean() > 1e-3


def test_labels_of_a_few_rows_are_reported_apart(semi_supervised, elbax, refused, tmp_path):
    folder, results = semi_supervised
    for name in ("train", "test"):
        found = results[name]
        assert found["elbo"] == pytest.approx(found["reconstruction"] - found["kl"], abs=1e-3)
        assert 0 <= found["labels"]["accuracy"] <= 1
        # After few steps labels tell nothing yet: log p(x, y) is about log p(x) − log 10.
        assert found["labels"]["bound"] < found["elbo"]
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    shares = [row["labelled"] for row in rows if "evaluation" not in row]
    assert 0 < np.mean(shares) < 0.1  # 30 of 1,437
    assert all(row["labelled"] == 0 for row in rows if "evaluation" in row)
    out = tmp_path / "x.npz"
    assert elbax("sample", folder, "--count", 3, "--out", out)[0] == 0
    assert elbax("reconstruct", folder, "--out", out)[0] == 0
    said = refused("evaluate", folder, "--estimator", "importance")
    assert "take elbo, which sums them out" in said
    status, printed, _ = elbax("evaluate", folder, "--estimator", "elbo")
    assert status == 0
    assert "bound on log p(x, y)" in printed


def test_the_label_is_summed_out_as_by_the_objective(semi_supervised):
    import jax
    import jax.numpy as jnp

    from elbax.evaluate import elbo
    from elbax.model import Batch, Preprocessing, SemiSupervised

    model = dataclasses.replace(library.load(semi_supervised[0]), preprocessing=Preprocessing())
    x = library.load_data("digits", binarize="static").test.x
    found = elbo(model, x, key=jax.random.key(0), samples=30)
    hidden = jnp.full(len(x), -1)
    batch = Batch(jnp.asarray(x, jnp.float32), label=hidden)
    goal = eqx.filter_jit(SemiSupervised())
    values = [
        goal(model, batch, state=None, step=jnp.asarray(0), key=jax.random.key(i))[1][1]
        for i in range(30)
    ]
    expected = np.mean([float(value["unlabelled_bound"]) for value in values])
    assert found.elbo.mean() == pytest.approx(expected, abs=0.2)


def test_shown_labels_are_as_many_of_each_class():
    rng = np.random.default_rng(0)
    label = rng.choice(4, 400, p=[0.7, 0.1, 0.1, 0.1])
    found = labels.shown(label, 20, 0)
    assert [int((found == value).sum()) for value in (0, 1, 2, 3)] == [5, 5, 5, 5]
    kept = found >= 0
    np.testing.assert_array_equal(found[kept], label[kept])
    assert (labels.shown(label, 20, 1) != found).any()
    np.testing.assert_array_equal(labels.shown(label, None, 0), label)
    assert (labels.shown(label, 0, 0) == -1).all()


def test_a_model_without_a_bound_reports_none(deterministic, elbax, refused, tmp_path):
    folder, results = deterministic
    for name in ("train", "test"):
        assert not {"elbo", "kl"} & set(results[name])
        terms = results[name]["terms"]
        assert terms["loss"] == pytest.approx(
            100 * terms["mmd"] - terms["reconstruction"], rel=1e-3
        )
    text = (folder / "metrics.jsonl").read_text() + (folder / "results.json").read_text()
    assert "elbo" not in text
    assert '"kl"' not in text
    said = refused("evaluate", folder, "--estimator", "importance")
    assert "is a point: it has no bound; take prior" in said
    assert "its posterior is a point" in refused("compare", folder, folder)
    assert "betas" in refused("plot", folder, "rate_distortion", "--betas", "1,2")
    assert "bound" in refused("plot", folder, "bound", "--out", tmp_path)
    status, printed, _ = elbax("evaluate", folder, "--estimator", "latents")
    assert status == 0
    assert "of 10 active" in printed


@pytest.mark.parametrize(
    ("data", "words", "said"),
    [
        (
            "array",
            "--recipe conditional",
            "the recipe conditional does not suit array: training needs labels",
        ),
        ("array", "--recipe conv", "the recipe conv does not suit array: the network conv is for"),
        ("array", "--recipe continuous-bernoulli", "does not suit array: "),
        ("array", "--condition label", "training needs labels, and array has none"),
        ("digits", "--labelled 50", "does not learn from labels of some rows"),
        ("digits", "--recipe semi-supervised --labelled 5", "give from 10, one of each class"),
        ("digits", "--recipe semi-supervised --condition label", "gives the model labels itself"),
        ("digits", "--prior conditional", "give --condition label, or choose --prior"),
        ("digits", "--posterior deterministic", "or --objective wae-mmd, rae-l2"),
        ("digits", "--objective info --prior mixture", "compares draws with draws of the prior"),
    ],
)
def test_what_does_not_suit_the_data_is_refused(refused, tmp_path, data, words, said):
    if data == "array":
        data = tmp_path / "array.npy"
        np.save(data, np.random.default_rng(0).normal(size=(200, 5)).astype(np.float32))
    assert said in refused("train", data, *words.split(), "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_rows_without_a_label_help_to_classify(tmp_path):
    """Kingma et al. 2014, section 4.1: a classifier of the labelled rows alone is beaten."""
    run = library.train(
        "mnist-5k", out=tmp_path / "run", recipe="semi-supervised", iterations=1200, report=False
    )
    train, test = run.dataset.train, run.dataset.test
    assert train.label is not None
    assert test.label is not None
    known = labels.shown(train.label, 100, 0) >= 0
    np.testing.assert_array_equal(np.bincount(train.label[known]), 10)
    pixels, others = train.x[known].reshape(100, -1) / 255, test.x.reshape(len(test), -1) / 255
    alone = LogisticRegression(max_iter=5000).fit(pixels, train.label[known])
    right = labels.predicted(run.model, test.x) == test.label
    assert right.mean() > alone.score(others, test.label)
