"""The feature spaces: what they are, that they come back from a file, that no row sees another."""

import jax
import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from elbax.evaluate.samples.features import Features, classifier, load, pca, raw, save
from elbax.model import MLP, save_model
from tests.linear_gaussian import example

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 3, 700)
IMAGES = (40 * LABELS[:, None, None, None] + RNG.integers(0, 60, (700, 4, 3, 1))).astype(np.uint8)
TABLE = np.stack([1e4 * RNG.normal(size=700), LABELS + 0.1 * RNG.normal(size=700)], axis=1)
RINGS = 3.0 * (1 + LABELS[:, None]) * np.stack(
    [np.cos(angle := RNG.uniform(0, 7, 700)), np.sin(angle)], axis=1
)  # fmt: skip


def test_raw_features_are_the_stored_numbers():
    found = raw()(IMAGES)
    assert found.dtype == np.float64
    assert np.array_equal(found, IMAGES.reshape(700, 12).astype(float))
    assert raw().name == "raw"


def test_principal_components_are_those_of_the_covariance():
    space = pca(IMAGES, 4)
    x = IMAGES.reshape(700, -1).astype(float)
    values, vectors = np.linalg.eigh(np.cov(x.T))
    found = space(IMAGES)
    assert np.allclose(np.var(found, axis=0, ddof=1), values[::-1][:4])
    expected = (x - x.mean(axis=0)) @ vectors[:, ::-1][:, :4]
    assert np.allclose(np.abs(found), np.abs(expected), atol=1e-8)
    assert np.allclose(found, PCA(4, svd_solver="full").fit_transform(x))
    assert space.name == "4 principal components"


def test_there_are_no_more_components_than_dimensions():
    space = pca(IMAGES)
    assert space.name == "12 principal components"
    # All of them are a rotation: distances are those of the raw data.
    a, b = (f(IMAGES[:2]) for f in (raw(), space))
    assert np.linalg.norm(a[0] - a[1]) == pytest.approx(np.linalg.norm(b[0] - b[1]))


def test_the_classifier_is_scikit_learns_on_scaled_rows():
    space = classifier(IMAGES, LABELS, seed=3)
    x = IMAGES.reshape(700, -1).astype(float)
    x -= x.mean(axis=0)
    x /= x.std()
    network = MLPClassifier((128, 64), max_iter=30, random_state=3)
    with pytest.warns(UserWarning, match="Maximum iterations"):
        network.fit(x, LABELS)
    features = space(IMAGES)
    assert features.shape == (700, 64)
    # The third layer of scikit-learn's, on these features, gives scikit-learn's probabilities.
    logits = features @ network.coefs_[2] + network.intercepts_[2]
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    assert np.allclose(chances, network.predict_proba(x), atol=1e-9)
    assert space.name == "last hidden layer of a classifier of 3 classes, seed 3"


def test_the_classifiers_features_tell_classes_apart_that_the_data_do_not():
    def linear(x: np.ndarray) -> float:
        probe = LogisticRegression(max_iter=10_000).fit(x[:500] / x.std(), LABELS[:500])
        return float(probe.score(x[500:] / x.std(), LABELS[500:]))

    space = classifier(RINGS[:500], LABELS[:500])
    assert linear(RINGS) < 0.6
    assert linear(space(RINGS)) > 0.95
    # A column of large numbers that says nothing does not drown the one that does.
    assert linear(classifier(TABLE[:500], LABELS[:500])(TABLE)) > 0.95


def test_the_classifier_depends_on_its_seed_alone():
    found = [classifier(TABLE[:100], LABELS[:100], seed=seed)(TABLE[:5]) for seed in (0, 0, 1)]
    assert found[0].tobytes() == found[1].tobytes()
    assert not np.allclose(found[0], found[2])
    # Words for classes change nothing.
    words = np.array(["a", "b", "c"])[LABELS[:100]]
    assert np.array_equal(classifier(TABLE[:100], words)(TABLE[:5]), found[0])


SPACES = {"pca": pca(IMAGES, 3), "classifier": classifier(IMAGES[:200], LABELS[:200])}


@pytest.mark.parametrize("name", SPACES)
def test_a_rows_features_do_not_depend_on_the_others(name):
    found = SPACES[name](IMAGES)
    assert found[:1].tobytes() == SPACES[name](IMAGES[:1]).tobytes()
    assert found[:501].tobytes() == SPACES[name](IMAGES[:501]).tobytes()
    # At another place in a product the last bits may differ.
    assert np.allclose(SPACES[name](IMAGES[::-1]), found[::-1], rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("name", SPACES)
def test_features_come_back_from_a_file(name, tmp_path):
    path = tmp_path / "features.safetensors"
    save(SPACES[name], path)
    read = load(path)
    assert read.name == SPACES[name].name
    assert read(IMAGES).tobytes() == SPACES[name](IMAGES).tobytes()


def test_what_holds_no_weights_is_not_saved(tmp_path):
    for features in (raw(), Features("mine", lambda rows: rows)):
        with pytest.raises(ValueError, match="hold no weights"):
            save(features, tmp_path / "features.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_model_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "features.safetensors"
    save_model(path, MLP(3, (), 2, key=jax.random.key(0)))  # not said what it is
    with pytest.raises(ValueError, match=r"features\.safetensors holds no features; delete it"):
        load(path)
    save_model(path, example().model(), {"name": "mine", "rectified": True})
    with pytest.raises(ValueError, match=r"features\.safetensors holds no features; delete it"):
        load(path)


@pytest.mark.parametrize("damage", [lambda _: b"", lambda _: b"text", lambda whole: whole[:-200]])
def test_a_damaged_file_is_refused(damage, tmp_path):
    path = tmp_path / "features.safetensors"
    save(SPACES["pca"], path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"features\.safetensors"):
        load(path)
    with pytest.raises(OSError, match="none"):
        load(tmp_path / "none.safetensors")


def test_a_users_own_function_is_a_space():
    mine = Features("means", lambda rows: rows.mean(axis=(1, 2)))
    assert np.array_equal(mine(IMAGES), IMAGES.mean(axis=(1, 2)))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda rows: rows.mean(axis=(1, 2, 3)), r"'mine' of 700 rows have the shape \(700,\)"),
        (lambda rows: rows[1:, :, 0, 0], r"have the shape \(699, 4\)"),
        (lambda rows: rows[:, :, 0, 0] * np.nan, "not finite"),
    ],
)
def test_features_are_one_finite_vector_a_row(function, message):
    with pytest.raises(ValueError, match=message):
        Features("mine", function)(IMAGES)


def test_features_are_refused_where_they_are_not_defined():
    with pytest.raises(ValueError, match="no rows"):
        raw()(IMAGES[:0])
    with pytest.raises(ValueError, match="made of 12 numbers"):
        SPACES["pca"](IMAGES[:, :2])
    with pytest.raises(ValueError, match="50 principal components of 1 rows"):
        pca(IMAGES[:1])
    with pytest.raises(ValueError, match="0 principal components"):
        pca(IMAGES, 0)
    with pytest.raises(ValueError, match="rows have no labels"):
        classifier(IMAGES, None)
    with pytest.raises(ValueError, match="1 classes"):
        classifier(IMAGES, 0 * LABELS)
