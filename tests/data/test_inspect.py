"""What `describe` counts, which likelihood is chosen, and what a likelihood refuses."""

import re

import numpy as np
import pytest

from elbax.data import DataError, check_support, choose_likelihood, describe, load


def test_describe_counts_what_numpy_counts(grey, tmp_path):
    x = grey.copy()
    x[:, 0, 0] = 7
    np.savez(tmp_path / "x.npz", x=x, y=np.arange(30) % 4)
    found = describe(load(tmp_path / "x.npz"))
    assert (found.kind, found.shape, found.dtype) == ("images", (4, 5, 1), "uint8")
    assert found.counts == {"train": 24, "validation": 3, "test": 3}
    assert (found.minimum, found.maximum) == (x.min(), x.max())
    assert found.mean == pytest.approx(x.mean(), rel=1e-12)
    assert found.distinct == len(np.unique(x))
    assert (found.constant, found.columns) == (1, 20)
    assert found.label_counts == {0: 8, 1: 8, 2: 7, 3: 7}
    assert (found.missing, found.infinite, found.n_bytes) == (0, 0, 600)
    assert found.scale == 1 / 255


def test_describe_with_missing_and_infinite_values():
    x = np.random.default_rng(0).normal(size=(500, 6))
    x[:, 1] = 3.0
    x[:, 2] = np.nan  # nothing at all in this column
    x[4, 3] = np.nan
    x[5, 3], x[6, 4] = np.inf, -np.inf
    found = describe(load(x[:, None], check=False))
    finite = x[np.isfinite(x)].astype(np.float32)
    assert (found.missing, found.missing_rows, found.infinite) == (501, 500, 2)
    assert (found.minimum, found.maximum) == (finite.min(), finite.max())
    assert found.mean == pytest.approx(finite.mean(dtype=np.float64), rel=1e-12)
    assert found.constant == 2
    assert found.distinct is None
    assert found.label_counts is None


def test_describe_nothing_finite():
    found = describe(load(np.full((5, 1, 2), np.nan), check=False))
    assert (found.minimum, found.maximum, found.mean) == (None, None, None)
    assert (found.constant, found.distinct) == (2, 0)
    likelihood, reason = choose_likelihood(load(np.full((5, 1, 2), np.nan), check=False))
    assert (likelihood, reason) == ("normal", "there are no finite values")


def test_binary_hint():
    assert describe(load(np.eye(10))).binary
    assert not describe(load(np.arange(20.0).reshape(10, 2))).binary


@pytest.mark.parametrize(
    ("array", "likelihood", "reason"),
    [
        (np.arange(20, dtype=np.uint8).reshape(10, 2), "bernoulli", "grey levels 0–255"),
        (np.eye(10, dtype=bool), "bernoulli", "binary"),
        (np.eye(10), "bernoulli", "binary"),
        (np.eye(10) / 2, "bernoulli", r"within \[0, 1\]"),
        (np.eye(10) * 2, "mixed", "each column has a family"),
        (np.eye(10)[:, None] * 2, "normal", "real values from 0 to 2, standardised"),
        (-np.eye(10)[:, None], "normal", "real values from -1 to 0, standardised"),
        (np.eye(10)[:, None] * 200, "bernoulli", "float64 from 0 to 200 read as grey levels"),
        (np.full((9, 2, 2), 4000, np.uint16), "bernoulli", "uint16 read as shares of 4,095"),
    ],
)
def test_choice_of_likelihood(array, likelihood, reason):
    name, why = choose_likelihood(load(array), "none")
    assert name == likelihood
    assert re.search(reason, why)
    assert "\n" not in why


def test_choice_follows_binarisation_and_levels(grey):
    assert choose_likelihood(load(grey, binarize="dynamic"), "dynamic")[0] == "bernoulli"
    assert "static" in choose_likelihood(load(grey, binarize="static"), "static")[1]
    assert "0–16" in choose_likelihood(load("digits"))[1]


def test_support(grey):
    check_support(load(grey), "bernoulli")
    check_support(load(grey), "normal")
    check_support(load("digits"), "bernoulli")
    check_support(load(np.eye(10) / 2), "bernoulli")
    check_support(load(-np.eye(10)), "normal")
    with pytest.raises(DataError, match=r"outside \[0, 1\].*rescale, or use the normal"):
        check_support(load(-np.eye(10)[:, None]), "bernoulli")
    check_support(load(grey.astype(np.float32)), "bernoulli")  # grey levels, as floats


@pytest.mark.parametrize("likelihood", ["bernoulli", "normal"])
def test_support_refuses_what_inspection_let_pass(likelihood):
    x = np.zeros((10, 1, 2))
    x[3, 0, 1] = -np.inf
    with pytest.raises(DataError, match=r"^array has 1 infinite value, the first at image 3, p"):
        check_support(load(x, check=False), likelihood)


def test_support_counts_over_the_splits_and_names_the_row_of_the_file(tmp_path):
    x = np.zeros((50, 2, 2), np.float32)
    x[3::2, 1, 0] = np.inf
    dataset = load(x, check=False)
    with pytest.raises(
        DataError, match=r"^array has 24 infinite.*the first at image 3, pixel \(1, 0"
    ):
        check_support(dataset, "normal")
    with pytest.raises(DataError, match=r"the first at image 3, pixel \(1, 0"):
        check_support(load(np.where(np.isinf(x), -0.5, x)), "bernoulli")
    for part in (dataset.train, dataset.validation, dataset.test, dataset.split("all")):
        np.testing.assert_array_equal(part.x[..., 0], x[part.index])
    # A file that comes split has no one order: its splits are named.
    np.savez(tmp_path / "split.npz", x_train=x, x_test=np.zeros_like(x))
    with pytest.raises(DataError, match=r"^split \(train split\) has "):
        check_support(load(tmp_path / "split.npz", check=False), "normal")
    assert load("digits").train.index is None


def test_messages_about_labels_and_text(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros((300, 2)), y=np.arange(3))
    with pytest.raises(DataError, match=r"x\.npz has 3 labels for 300 rows$"):
        load(tmp_path / "x.npz")
    np.save(tmp_path / "text.npy", np.array(["a", "b", "c"]))
    with pytest.raises(DataError, match=r"text\.npy holds text"):
        load(tmp_path / "text.npy")
