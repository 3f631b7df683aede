"""Streamed data against the same data in memory: what they are, and which rows they hold."""

import json
import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from elbax.data import DataError, load, tables
from elbax.data.formats import tables as table_files

RNG = np.random.default_rng(1)
ROWS = 3_000
MEMORY = 40_000  # bytes: all of the data here take more


def people(rows=ROWS, rng=RNG):
    """A table of every kind of column, in groups that are not alike."""
    z = rng.normal(size=rows) + np.linspace(-1, 1, rows)
    return pd.DataFrame(
        {
            "height": 170 + 10 * z,
            "weight": np.exp(4 + 0.8 * rng.normal(size=rows)),
            "visits": rng.poisson(np.exp(0.5 + 0.5 * z)),
            "smokes": rng.random(rows) < 0.3,
            "city": rng.choice(["Bern", "Basel", "Chur"], rows),
            "grade": np.clip(np.rint(3 + z), 1, 6).astype(int),
            "income": np.where(rng.random(rows) < 0.1, np.nan, np.round(5000 + 900 * z)),
            "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, rows), "D"),
            "id": np.arange(rows),
        }
    )


def trained(data, rows=ROWS):
    """The numbers of the rows that are trained on."""
    return np.setdiff1d(np.arange(rows), np.r_[data.test.index, data.validation.index])


@pytest.fixture(scope="module")
def frame():
    return people()


@pytest.fixture(scope="module")
def file(frame, tmp_path_factory):
    path = tmp_path_factory.mktemp("streams") / "people.parquet"
    frame.to_parquet(path, row_group_size=170)
    return path


@pytest.fixture(scope="module")
def folder(frame, tmp_path_factory):
    path = tmp_path_factory.mktemp("streams") / "parts"
    for number, year in enumerate((2020, 2021, 2022)):
        part = path / f"year={year}" / "a.parquet"
        part.parent.mkdir(parents=True)
        frame[number * 1000 : (number + 1) * 1000].to_parquet(part, row_group_size=90, index=False)
    return path


def all_rows(data):
    """The training rows of streamed data, unit after unit."""
    stream = data.stream
    parts = list(stream.read(np.arange(len(stream.counts)), 0))
    labels = [part.label for part in parts if part.label is not None]
    return np.concatenate([part.x for part in parts]), np.concatenate(labels) if labels else None


# --- tables -----------------------------------------------------------------------------------


def test_columns_are_what_they_are_in_memory(file):
    whole, some = load(file), load(file, memory=MEMORY)
    assert whole.stream is None
    assert some.stream is not None
    assert some.ignored == whole.ignored == {"id": "an index: it counts the rows"}
    for a, b in zip(whole.columns, some.columns, strict=True):
        known = ("name", "kind", "dtype", "categories", "resolution", "lower", "upper")
        assert [getattr(a, x) for x in known] == [getattr(b, x) for x in known]


def test_scales_are_those_of_the_training_rows(frame, file):
    data = load(file, memory=MEMORY)
    train = trained(data)
    assert len(train) == data.training_rows
    by_name = {column.name: column for column in data.columns}
    for name in ("height", "income"):
        values = frame[name].to_numpy()[train]
        assert by_name[name].shift == pytest.approx(np.nanmean(values), rel=1e-12)
        assert by_name[name].scale == pytest.approx(np.nanstd(values), rel=1e-12)
    weights = np.log(frame["weight"].to_numpy()[train])
    assert np.log(by_name["weight"].scale) == pytest.approx(weights.mean(), rel=1e-12)


def test_rows_are_those_of_the_table_in_its_order(file):
    data = load(file, memory=MEMORY)
    table = table_files.read(file)
    expected = tables.encode(table, data.columns).x
    x, _ = all_rows(data)
    train = trained(data)
    np.testing.assert_array_equal(x, expected[train])
    for part in (data.train, data.validation, data.test):
        np.testing.assert_array_equal(part.x, expected[part.index])
    assert set(np.array(data.train.index)) <= set(trained(data))


def test_labels_are_coded_over_all_rows(frame, file):
    data, whole = load(file, labels="city", memory=MEMORY), load(file, labels="city")
    assert data.label_names == whole.label_names == ("Basel", "Bern", "Chur")
    _, labels = all_rows(data)
    train = trained(data)
    codes = frame["city"].map({"Basel": 0, "Bern": 1, "Chur": 2}).to_numpy()
    np.testing.assert_array_equal(labels, codes[train])
    np.testing.assert_array_equal(data.test.label, codes[data.test.index])
    grades = load(file, labels="grade", memory=MEMORY)
    np.testing.assert_array_equal(grades.test.label, frame["grade"][grades.test.index])


def test_a_folder_with_hive_partitions_is_one_table(frame, folder):
    data, whole = load(folder, memory=MEMORY), load(folder)
    assert [column.name for column in data.columns][-1] == "year"
    assert [c.categories for c in data.columns] == [c.categories for c in whole.columns]
    year = np.repeat([2020, 2021, 2022], 1000)
    expected = data.columns[-1].categories.index
    found = data.test.x[:, -1]
    assert found.tolist() == [expected(value) for value in year[data.test.index]]
    np.testing.assert_allclose(
        tables.decode(data.columns, data.test.x)["height"], frame["height"][data.test.index],
        atol=1e-3,
    )  # fmt: skip


def test_a_table_elsewhere_is_read_by_its_address(frame):
    fsspec = pytest.importorskip("fsspec")
    there = fsspec.filesystem("memory")
    with there.open("/bucket/people.parquet", "wb") as file:
        frame.to_parquet(file, row_group_size=200)
    data = load("memory://bucket/people.parquet", memory=MEMORY)
    np.testing.assert_array_equal(all_rows(data)[0].shape, (data.training_rows, 8))
    assert load("memory://bucket/people.parquet").training_rows == 2_400
    with pytest.raises(DataError, match=r"no such file or folder: memory://bucket/other"):
        load("memory://bucket/other.parquet")


def test_a_data_set_that_hugging_face_saved(frame, tmp_path):
    """By its own format: an Arrow stream a shard, and two files of JSON."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    for number in range(2):
        name = tmp_path / f"data-0000{number}-of-00002.arrow"
        part = table.slice(number * 1500, 1500)
        with pa.OSFile(str(name), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(part, max_chunksize=100)
    files = [{"filename": f"data-0000{number}-of-00002.arrow"} for number in range(2)]
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": files}))
    (tmp_path / "dataset_info.json").write_text("{}")
    data = load(tmp_path, memory=MEMORY)
    assert load(tmp_path).stream is None
    expected = tables.encode(table_files.read(tmp_path), data.columns).x
    train = trained(data)
    np.testing.assert_array_equal(all_rows(data)[0], expected[train])


def test_what_fits_is_read_as_before(file):
    whole, roomy = load(file), load(file, memory=10**9)
    assert roomy.stream is None
    assert roomy.fingerprint == whole.fingerprint


def test_the_fingerprint_is_that_of_the_rows(frame, file, tmp_path):
    first = load(file, memory=MEMORY).fingerprint
    assert load(file, memory=MEMORY).fingerprint == first
    other = frame.copy()
    other.loc[1234, "height"] += 1
    other.to_parquet(tmp_path / "people.parquet", row_group_size=170)
    assert load(tmp_path / "people.parquet", memory=MEMORY).fingerprint != first


# --- arrays -----------------------------------------------------------------------------------


def test_images_in_an_npy_file(tmp_path):
    images = RNG.integers(0, 256, (900, 8, 8), np.uint8)
    np.save(tmp_path / "x.npy", images)
    data = load(tmp_path / "x.npy", memory=MEMORY)
    assert (data.kind, data.shape, data.levels) == ("images", (8, 8, 1), 255)
    train = trained(data, 900)
    x, _ = all_rows(data)
    np.testing.assert_array_equal(x[..., 0], images[train])
    np.testing.assert_array_equal(data.test.x[..., 0], images[data.test.index])


def test_vectors_in_an_npy_file_are_standardised_by_their_columns(tmp_path):
    x = np.c_[RNG.normal(5, 3, (4_000, 4)), RNG.random(4_000) < 0.3]
    np.save(tmp_path / "x.npy", x)
    data, whole = load(tmp_path / "x.npy", memory=MEMORY), load(tmp_path / "x.npy")
    assert [c.kind for c in data.columns] == [c.kind for c in whole.columns]
    train = trained(data, 4_000)
    rows, _ = all_rows(data)
    own = (x[train, :4] - x[train, :4].mean(axis=0)) / x[train, :4].std(axis=0)
    np.testing.assert_allclose(rows[:, :4], own, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(rows[:, 4], x[train, 4])


def test_grey_levels_as_floats_are_read_as_in_memory(tmp_path):
    x = RNG.integers(0, 256, (500, 6, 6)).astype(np.float64)
    x[0, 0, 0], x[1, 0, 0] = 0, 255
    np.save(tmp_path / "x.npy", x)
    data, whole = load(tmp_path / "x.npy", memory=MEMORY), load(tmp_path / "x.npy")
    assert data.scaling == whole.scaling
    assert data.train.x.dtype == whole.train.x.dtype
    real = RNG.normal(100, 30, (500, 6, 6)).astype(np.float32) * 7
    np.save(tmp_path / "y.npy", real)
    data = load(tmp_path / "y.npy", memory=MEMORY)
    train = trained(data, 500)
    assert data.scaling.shift == pytest.approx(float(real[train].mean()), rel=1e-5)
    assert data.scaling.unit == pytest.approx(float(real[train].std()), rel=1e-5)


def test_a_folder_of_images_with_classes(tmp_path, write_image):
    pixels = RNG.integers(0, 256, (120, 5, 7), np.uint8)
    for number, image in enumerate(pixels):
        write_image(tmp_path / "faces" / ("ab"[number // 60]) / f"{number:03}.png", image)
    data, whole = load(tmp_path / "faces", memory=2_000), load(tmp_path / "faces")
    assert data.label_names == whole.label_names == ("a", "b")
    train = trained(data, 120)
    x, labels = all_rows(data)
    np.testing.assert_array_equal(x[..., 0], pixels[train])
    np.testing.assert_array_equal(labels, train // 60)


class Source:
    """A source as Grain's are: a length, and rows by their number."""

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, number):
        return self.rows[number]


def test_whatever_has_a_length_and_rows_is_streamed():
    rows = RNG.random((400, 9)).astype(np.float32)
    data = load(Source(rows), memory=10**9)
    train = trained(data, 400)
    np.testing.assert_array_equal(all_rows(data)[0], rows[train])
    pairs = load(Source([(row, i % 3) for i, row in enumerate(rows)]), memory=10**9)
    np.testing.assert_array_equal(all_rows(pairs)[1], train % 3)


# --- what is refused --------------------------------------------------------------------------


def one_line(error):
    text = str(error.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.drop(columns="height"), "has no column 'height'"),
        (lambda f: f.assign(more=1), "has a column 'more'"),
        (lambda f: f.assign(height=f["height"].astype(str)), "column 'height' of"),
    ],
)
def test_a_partition_with_another_schema(frame, tmp_path, change, words):
    for number, part in enumerate((frame[:1000], change(frame[1000:]))):
        part.to_parquet(tmp_path / f"{number}.parquet", index=False)
    with pytest.raises(DataError) as error:
        load(tmp_path, memory=MEMORY)
    assert words in one_line(error)
    assert "1.parquet" in str(error.value)


def test_a_file_that_vanishes(folder, frame, tmp_path):
    for number in range(2):
        frame[number * 1500 : (number + 1) * 1500].to_parquet(tmp_path / f"{number}.parquet")
    data = load(tmp_path, memory=MEMORY)
    os.remove(tmp_path / "1.parquet")
    with pytest.raises(DataError, match=r"1\.parquet is gone: bring it back"):
        all_rows(data)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.assign(city=f["city"].replace("Bern", "Genf")), "Genf"),
        (lambda f: f.assign(weight=-f["weight"]), "weight"),
        (lambda f: f.assign(height=f["height"].astype(str)), "height"),
        (lambda f: f[:50], "has changed while it was read"),
    ],
)
def test_values_that_change_kind_while_they_are_read(frame, tmp_path, change, words):
    path = tmp_path / "people.parquet"
    frame.to_parquet(path, row_group_size=400)
    data = load(path, memory=MEMORY)
    change(frame).to_parquet(path, row_group_size=400)
    with pytest.raises(DataError) as error:
        all_rows(data)
    assert words in one_line(error)


def test_a_damaged_file(frame, tmp_path):
    frame.to_parquet(tmp_path / "0.parquet", compression="none")
    content = bytearray((tmp_path / "0.parquet").read_bytes())
    (tmp_path / "0.parquet").write_bytes(content[:-2000])
    with pytest.raises(DataError, match=r"0\.parquet"):
        load(tmp_path, memory=MEMORY)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kinds": {"heigth": "count"}}, "did you mean|no column"),
        ({"kinds": {"height": "count"}}, "cannot be count"),
        ({"labels": "nothing"}, "no column 'nothing'"),
        ({"labels": "income"}, "missing in"),
        ({"labels": "height"}, "different|whole numbers"),
        ({"constraints": ("height >= 0",)}, "goes without constraints"),
        ({"validation": ROWS}, "give at most"),
        ({"binarize": "dynamic"}, "no pixels"),
    ],
)
def test_what_does_not_go_is_refused_in_a_line(file, options, words):
    with pytest.raises(DataError, match=words) as error:
        load(file, memory=MEMORY, **options)
    one_line(error)
