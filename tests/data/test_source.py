"""Arrays in, splits out: shapes, number types, the fixed order, binarisation, the fingerprint."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elbax.data import DataError, Dataset, load
from elbax.data.splitting import permutation, stratified_permutation


def rows_of(dataset: Dataset) -> np.ndarray:
    return np.concatenate([dataset.train.x, dataset.validation.x, dataset.test.x])


def sorted_rows(x: np.ndarray) -> np.ndarray:
    flat = x.reshape(len(x), -1)
    return flat[np.lexsort(flat.T)]


def assert_one_line(error: pytest.ExceptionInfo[DataError]) -> None:
    assert "\n" not in str(error.value)


# --- shapes and number types ----------------------------------------------------------------


def test_grey_images_get_a_channel(grey):
    with_axis, without = load(grey[..., None]), load(grey)
    assert without.shape == (4, 5, 1)
    assert without.kind == "images"
    assert with_axis.fingerprint == without.fingerprint


def test_colour_images_keep_their_channels():
    dataset = load(np.zeros((10, 6, 7, 3), np.uint8))
    assert dataset.shape == (6, 7, 3)
    assert len(dataset.train) == 8


def test_a_table_of_floats_is_vectors():
    dataset = load(np.random.default_rng(0).normal(size=(50, 3)))
    assert (dataset.kind, dataset.shape, dataset.scale) == ("vectors", (3,), 1.0)
    assert dataset.train.x.dtype == np.float32
    assert [(column.name, column.kind) for column in dataset.columns] == [
        ("0", "continuous"), ("1", "continuous"), ("2", "continuous"),
    ]  # fmt: skip
    np.testing.assert_allclose(dataset.train.x.std(axis=0), 1.0, rtol=1e-5)


def test_every_row_is_in_exactly_one_split(grey):
    dataset = load(grey)
    assert [len(s) for s in (dataset.train, dataset.validation, dataset.test)] == [24, 3, 3]
    np.testing.assert_array_equal(sorted_rows(rows_of(dataset)), sorted_rows(grey))
    np.testing.assert_array_equal(dataset.split("all").x, rows_of(dataset))


@pytest.mark.parametrize(
    ("given_as", "kept_as", "scale"),
    [
        (np.array([[False, True]] * 10), np.uint8, 1.0),
        (np.array([[0, 1]] * 10, np.uint8), np.uint8, 1.0),
        (np.array([[0, 2]] * 10, np.uint8), np.uint8, 1 / 255),
        (np.array([[[0, 255]]] * 10, np.int64), np.uint8, 1 / 255),
        (np.array([[[0, 256]]] * 10, np.int16), np.float32, 1 / 128),
        (np.array([[[-1, 3]]] * 10, np.int64), np.float32, 1 / 2),
        (np.array([[0.0, 1.0]] * 10, ">f8"), np.float32, 1.0),
        (np.array([[0.0, 1.0]] * 10, np.float16), np.float32, 1.0),
    ],
)
def test_number_types(given_as, kept_as, scale):
    dataset = load(given_as)
    assert dataset.train.x.dtype == kept_as
    assert dataset.scale == scale
    np.testing.assert_array_equal(dataset.train.x[0].ravel(), np.float64(given_as[0]).ravel())


def test_the_reading_of_integers_is_said():
    assert "int64 values 0–9 read as bytes" in load(np.arange(10).reshape(10, 1, 1)).source
    big = load(np.full((10, 1, 1), (1 << 24) + 1))
    assert "rounded to 24 bits" in big.source


def test_splits_are_contiguous_and_read_only_and_the_array_stays_writeable(grey):
    dataset = load(np.asfortranarray(grey))
    assert dataset.train.x.flags.c_contiguous
    with pytest.raises(ValueError, match="read-only"):
        dataset.train.x[0] = 0
    grey[0] = 0
    load(grey)
    grey[1] = 0


# --- the fixed order ------------------------------------------------------------------------


def test_the_order_is_the_same_for_ever():
    # Golden values: a change here would move everybody's test rows into their training data.
    assert permutation(10, 0).tolist() == [4, 5, 7, 3, 2, 0, 9, 6, 1, 8]
    assert permutation(10, 1).tolist() == [5, 0, 8, 7, 1, 9, 4, 2, 6, 3]


@given(n=st.integers(0, 200), seed=st.integers(0, 2**63 - 1))
def test_permutation_is_one(n, seed):
    assert sorted(permutation(n, seed).tolist()) == list(range(n))


@given(st.lists(st.integers(0, 4), min_size=1, max_size=300))
def test_stratified_order_holds_the_classes_in_proportion(labels):
    label = np.array(labels)
    order = stratified_permutation(label, 0)
    assert sorted(order.tolist()) == list(range(len(label)))
    for value in np.unique(label):
        share = (label == value).mean()
        held = np.cumsum(label[order] == value)
        expected = share * np.arange(1, len(label) + 1)
        # A class is at most half a member ahead or behind, plus ties between five classes.
        assert np.abs(held - expected).max() <= 0.5 + 5


def test_seed_and_validation_size(grey):
    assert load(grey).fingerprint == load(grey, seed=0).fingerprint
    assert load(grey).fingerprint != load(grey, seed=1).fingerprint
    none = load(grey, validation=0)
    assert [len(none.train), len(none.validation), len(none.test)] == [27, 0, 3]
    assert none.validation.x.shape == (0, 4, 5, 1)
    # The test rows do not depend on how many are held out for validation.
    np.testing.assert_array_equal(none.test.x, load(grey, validation=7).test.x)


@pytest.mark.parametrize(
    ("validation", "message"),
    [(27, "leaves nothing to train on"), (10**9, "leaves nothing"), (-1, "cannot be negative")],
)
def test_impossible_validation_sizes(grey, validation, message):
    with pytest.raises(DataError, match=message):
        load(grey, validation=validation)


def test_negative_seed(grey):
    with pytest.raises(DataError, match="seed = -1"):
        load(grey, seed=-1)


def test_three_rows_are_enough():
    dataset = load(np.eye(3, dtype=np.float32))
    assert [len(dataset.train), len(dataset.validation), len(dataset.test)] == [1, 1, 1]


# --- the fingerprint ------------------------------------------------------------------------


def test_fingerprint_covers_values_shapes_types_and_split(grey):
    other = grey.copy()
    other[7, 1, 1] ^= 1
    prints = [
        load(grey),
        load(other),
        load(grey.reshape(30, 5, 4)),
        load(grey.astype(np.float32)),
        load(grey, validation=4),
        load(grey, binarize="static"),
    ]
    assert len({dataset.fingerprint for dataset in prints}) == len(prints)
    assert load(grey.copy()).fingerprint == prints[0].fingerprint
    assert len(prints[0].fingerprint) == 64


def test_fingerprint_is_the_same_for_ever():
    dataset = load(np.arange(40, dtype=np.uint8).reshape(10, 4))
    assert dataset.fingerprint == "94a4cdbb3708440dd8e5a5428c81a113e73d1f278f75d40f649202de92b5b47f"


# --- binarisation ---------------------------------------------------------------------------


def test_static_binarisation_draws_each_pixel_with_its_grey_level():
    levels = np.arange(256, dtype=np.uint8)
    x = np.repeat(levels[None], 4000, axis=0)
    drawn = load(x, binarize="static").split("all").x
    assert set(np.unique(drawn)) == {0, 1}
    assert drawn[:, 0].sum() == 0  # black is never white
    assert drawn[:, 255].all()
    p = levels / 255
    deviation = np.sqrt(np.maximum(p * (1 - p), 1e-12) / len(x))
    assert np.abs(drawn.mean(axis=0) - p).max() <= 5 * deviation.max()
    # Independent between pixels: two of the same level agree as often as two coins.
    assert abs((drawn[:, 127] == drawn[:, 128]).mean() - 0.5) < 0.04


def test_static_binarisation_is_fixed_and_of_bytes(grey):
    one, two = load(grey, binarize="static"), load(grey, binarize="static")
    np.testing.assert_array_equal(one.train.x, two.train.x)
    assert (one.train.x.dtype, one.scale) == (np.uint8, 1.0)
    assert "Bernoulli draw" in one.source


def test_static_draws_belong_to_rows_of_the_file(grey):
    # A row's draw depends neither on how the data are split nor on what comes after it.
    a = load(grey, binarize="static").split("all").x
    b = load(grey, binarize="static", validation=9, seed=5).split("all").x
    np.testing.assert_array_equal(sorted_rows(a), sorted_rows(b))
    c = load(grey[:20], binarize="static").split("all").x
    missing = {row.tobytes() for row in c} - {row.tobytes() for row in a}
    assert not missing


def test_floats_in_the_unit_interval_can_be_binarised():
    x = np.random.default_rng(0).uniform(size=(2000, 3)).astype(np.float32)
    drawn = load(x, binarize="static").split("all").x
    assert abs(drawn.mean() - 0.5) < 0.04


def test_dynamic_leaves_the_data_alone(grey):
    assert load(grey, binarize="dynamic").fingerprint == load(grey).fingerprint


@pytest.mark.parametrize("binarize", ["static", "dynamic"])
def test_binarisation_needs_probabilities(binarize):
    x = np.full((10, 4), 0.5)
    x[3, 2] = -0.25
    with pytest.raises(DataError, match=r"outside \[0, 1\].*row 3, column 2") as error:
        load(x, binarize=binarize)
    assert_one_line(error)


def test_bytes_as_floats_are_binarised_as_bytes_are(grey):
    floats, bytes_ = (load(x, binarize="static") for x in (grey.astype(np.float64), grey))
    np.testing.assert_array_equal(floats.train.x, bytes_.train.x)


def test_unknown_binarisation(grey):
    with pytest.raises(DataError, match="none, static or dynamic"):
        load(grey, binarize="statik")


# --- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array(3.0), r"0 axes .*\(n, d\)"),
        (np.zeros(5), r"1 axis .*\(n, d\)"),
        (np.zeros((2, 3, 4, 5, 6)), "5 axes"),
        (np.zeros((0, 28, 28)), "empty"),
        (np.zeros((10, 0)), "empty"),
        (np.zeros((1, 28, 28), np.uint8), "1 image only: at least 3"),
        (np.zeros((2, 5)), "2 rows only: at least 3"),
        (np.zeros((10, 1, 28, 28)), "channels first.*moveaxis"),
        (np.zeros((10, 2), complex), "complex numbers"),
        (np.array([["a", "b"]] * 10), "text"),
        (np.array([[None, 1]] * 10, object), "Python objects"),
        (np.zeros((10, 2), "M8[s]"), "dates"),
        (np.zeros((10, 2), [("a", "f4")]), "records"),
    ],
)
def test_arrays_that_are_refused(array, message):
    with pytest.raises(DataError, match=message) as error:
        load(array)
    assert_one_line(error)


def test_infinity_is_counted_and_placed_in_the_rows_of_the_file():
    x = np.zeros((40, 5), np.float32)
    x[13, 2] = x[17, 0] = x[17, 4] = np.inf
    with pytest.raises(DataError, match=r"3 infinite values, .* image 13, pixel \(0, 2\)"):
        load(x[:, None, :])
    with pytest.raises(DataError, match=r"image 13, pixel \(0, 0\), channel 2"):
        load(x[:, None, None, :4])


def test_missing_pixels_are_kept_and_left_out_of_the_scaling():
    rng = np.random.default_rng(0)
    x = rng.normal(280, 20, (60, 4, 4))
    holes = rng.random(x.shape) < 0.2
    holed = np.where(holes, np.nan, x)
    dataset = load(holed)
    assert dataset.holes
    assert not load(x).holes
    everything = dataset.split("all")
    np.testing.assert_array_equal(np.isnan(everything.x[..., 0]), holes[everything.index])
    train = holed[dataset.train.index]
    assert dataset.scaling.shift == pytest.approx(np.nanmean(train), rel=1e-6)
    assert dataset.scaling.unit == pytest.approx(np.nanstd(train), rel=1e-6)
    count, images = holes.sum(), holes.any(axis=(1, 2)).sum()
    assert (
        f"{count:,} pixels ({holes.mean():.1%}) of {images} images missing (NaN)" in dataset.notes
    )
    masked = load(np.ma.array(x, mask=holes))
    assert masked.fingerprint == dataset.fingerprint
    levels = np.ma.array(rng.integers(0, 256, x.shape).astype(np.uint8), mask=holes)
    grey = load(levels)
    assert (grey.scale, np.isnan(grey.split("all").x).sum()) == (1 / 255, count)
    with pytest.raises(DataError, match="nothing but missing values"):
        load(np.full((9, 2, 2), np.nan))
    with pytest.raises(DataError, match="static binarisation cannot keep: give --binarize dynamic"):
        load(np.where(holes, np.nan, rng.random(x.shape)), binarize="static")


def test_infinity_beyond_the_first_chunk_is_placed():
    x = np.zeros((3000, 1, 1000), np.float32)
    x[2500, 0, 7] = np.inf
    with pytest.raises(DataError, match=r"1 infinite value, the first at image 2,500, pixel "):
        load(x)


def test_what_float32_cannot_hold():
    x = np.zeros((10, 1, 2))
    x[4, 0, 1] = 1e39
    with pytest.raises(DataError, match=r"float32 cannot hold.*image 4, pixel \(0, 1\)"):
        load(x)


def test_inspection_may_look_at_bad_data():
    x = np.zeros((2, 2))
    x[1, 1] = np.nan
    dataset = load(x, check=False)
    assert [len(dataset.train), len(dataset.validation), len(dataset.test)] == [2, 0, 0]
    load(x, check=False, binarize="dynamic")
    with pytest.raises(DataError, match="missing"):
        load(x, check=False, binarize="static")


def test_unknown_names_get_the_nearest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"'minst' \(did you mean 'mnist'\?\).*mnist-5k, digits"):
        load("minst")
    with pytest.raises(DataError, match=r"did you mean 'fashion-mnist'"):
        load("FashionMNIST")
    with pytest.raises(DataError, match="no data set") as error:
        load("a\nb")
    assert_one_line(error)


@pytest.mark.parametrize("path", ["nothing.npy", "some/folder", "~nobody-of-this-name/x.npy"])
def test_missing_files(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"no such file or folder|home"):
        load(path)


@pytest.mark.parametrize("path", ["", "  ", "a\0b", "x" * 5000])
def test_impossible_paths(path):
    with pytest.raises(DataError) as error:
        load(path)
    assert_one_line(error)


def test_unknown_split(grey):
    with pytest.raises(DataError, match=r"no split 'tset' \(did you mean 'test'\?\)"):
        load(grey).split("tset")


def test_a_name_wins_over_a_file(tmp_path, monkeypatch, grey):
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "digits", grey)
    (tmp_path / "digits.npy").rename(tmp_path / "digits")
    assert load("digits").shape == (8, 8, 1)
    assert load("./digits").shape == (4, 5, 1)


def test_other_objects_are_refused_and_nothing_heavy_is_imported():
    # In another process: here beartype speaks before elbax does.
    program = """
import sys
from elbax.data import DataError, load
heavy = {"jax", "sklearn", "mlxtend", "pooch", "PIL", "scipy", "requests"} & set(sys.modules)
assert not heavy, heavy
for data in ([[1, 2]], 3, None, {"x": 1}, b"mnist"):
    try:
        load(data)
    except DataError as error:
        assert "give a name, a path or a NumPy array" in str(error)
    else:
        raise SystemExit(f"{data!r} was taken")
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=60)


def test_repr(grey):
    dataset = load(grey)
    assert repr(dataset) == "<Dataset array: 24 / 3 / 3 images of (4, 5, 1) uint8>"
    assert repr(dataset.train) == "<Split 24 rows of (4, 5, 1) uint8>"
