"""Files of one's own: .npy, .npz and IDX, whole, split, truncated, foreign and hostile."""

import gzip
import io
import os
import pickle
import resource
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elbax.data import DataError, Split, load
from elbax.data.formats.idx import read_idx


def refused(path, match):
    with pytest.raises(DataError, match=match) as error:
        load(path)
    text = str(error.value)
    assert "\n" not in text
    assert path.name in text  # every message says which file


def labels_of(split: Split) -> np.ndarray:
    assert split.label is not None
    return split.label


def npy_bytes(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npy_header(shape: str, descr: str = "'<f8'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


# --- .npy -----------------------------------------------------------------------------------


@pytest.mark.parametrize("as_path", [True, False])
def test_npy(tmp_path, grey, as_path):
    path = tmp_path / "faces.npy"
    np.save(path, grey)
    dataset = load(path if as_path else str(path))
    assert dataset.name == "faces"
    assert dataset.source == str(path)
    assert dataset.fingerprint == load(grey).fingerprint


def test_npy_in_fortran_order_and_big_endian(tmp_path):
    x = np.random.default_rng(0).normal(size=(20, 3)).astype(">f4")
    np.save(tmp_path / "x.npy", np.asfortranarray(x))
    assert load(tmp_path / "x.npy").fingerprint == load(x.astype(np.float32)).fingerprint


def test_the_data_outlive_the_file(tmp_path, grey):
    path = tmp_path / "x.npy"
    np.save(path, grey)
    dataset = load(path)
    path.write_bytes(b"")
    assert dataset.split("all").x.sum() == grey.sum()


@pytest.mark.parametrize("keep", [3, 9, 40, 100, -1])
def test_truncated_npy(tmp_path, grey, keep):
    path = tmp_path / "x.npy"
    path.write_bytes(npy_bytes(grey)[:keep])
    refused(path, "truncated|is not .npy")


def test_truncated_npy_names_expected_and_found(tmp_path, grey):
    path = tmp_path / "x.npy"
    path.write_bytes(npy_bytes(grey)[:-7])
    refused(path, r"promises 600 bytes .*it holds 593")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (npy_header("(1000000000000, 784)"), "promises 6,272,000,000,000,000 bytes"),
        (npy_header("(-5, 3)") + bytes(99), "truncated"),
        (npy_header("(5, 3") + bytes(999), "truncated or not a NumPy array"),
        (npy_header("(0, 3)"), "empty"),
        (npy_header("(3, 2)") + bytes(49), "longer than its header promises: 49 .* of 48"),
        (npy_header("(3,)", "'|O'") + pickle.dumps([1, 2, 3]), "pickled Python objects"),
        (npy_header("(3,)", "'<U0'"), "empty"),
        (b"\x93NUMPY\x03\x00" + bytes(20), "records"),
        (b"\x93NUMPY\x09\x00" + bytes(20), "records|not a NumPy array"),
        (b"", "empty file"),
        (b"\n", "is not .npy"),
        (b"hello, world", "begins with 68 65 6c"),
    ],
)
def test_npy_that_are_refused(tmp_path, content, message):
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    refused(path, message)


def test_pickled_objects_are_never_loaded(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "exploded"),)

    np.save(tmp_path / "x.npy", np.array([Bomb()] * 5, object), allow_pickle=True)
    refused(tmp_path / "x.npy", "pickled Python objects, which are never loaded")
    np.savez(tmp_path / "x.npz", x=np.array([Bomb()] * 5, object))
    refused(tmp_path / "x.npz", "pickled Python objects, which are never loaded")
    np.savez(tmp_path / "y.npz", x=np.eye(5), y=np.array([Bomb()] * 5, object))
    refused(tmp_path / "y.npz", "pickled Python objects, which are never loaded")
    (tmp_path / "z.pkl").write_bytes(pickle.dumps(Bomb()))
    refused(tmp_path / "z.pkl", "pickle, which is never loaded")
    assert not (tmp_path / "exploded").exists()


# --- .npz -----------------------------------------------------------------------------------


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("key", ["y", "label", "labels"])
def test_npz_with_labels(tmp_path, grey, save, key):
    label = np.arange(30) % 3
    save(tmp_path / "x.npz", **{"x": grey, key: label})
    dataset = load(tmp_path / "x.npz")
    parts = dataset.split("all")
    assert labels_of(parts).dtype == np.int64
    pairs = {(x.tobytes(), int(y)) for x, y in zip(parts.x, labels_of(parts), strict=True)}
    assert pairs == {(x.tobytes(), int(y)) for x, y in zip(grey, label, strict=True)}


def test_npz_with_one_array(tmp_path, grey):
    np.savez(tmp_path / "x.npz", pictures=grey)
    assert load(tmp_path / "x.npz").fingerprint == load(grey).fingerprint


def test_npz_with_its_own_splits(tmp_path, grey):
    np.savez(tmp_path / "x.npz", x_train=grey[:20], x_val=grey[20:25], x_test=grey[25:])
    dataset = load(tmp_path / "x.npz")
    np.testing.assert_array_equal(dataset.train.x[..., 0], grey[:20])
    np.testing.assert_array_equal(dataset.validation.x[..., 0], grey[20:25])
    np.testing.assert_array_equal(dataset.test.x[..., 0], grey[25:])
    assert dataset.splits == "as stored in the file: train 20, validation 5, test 5 rows"
    with pytest.raises(DataError, match="its own validation data"):
        load(tmp_path / "x.npz", validation=3)


def test_npz_of_keras_has_train_and_test_only(tmp_path, grey):
    np.savez(
        tmp_path / "x.npz",
        x_train=grey[:20],
        x_test=grey[20:],
        y_train=np.arange(20, dtype=np.uint8),
        y_test=np.arange(10, dtype=np.uint8),
    )
    dataset = load(tmp_path / "x.npz")
    assert [len(dataset.train), len(dataset.validation), len(dataset.test)] == [18, 2, 10]
    np.testing.assert_array_equal(dataset.test.x[..., 0], grey[20:])
    np.testing.assert_array_equal(dataset.train.x[..., 0], grey[dataset.train.label])
    everything = load(tmp_path / "x.npz", validation=0)
    np.testing.assert_array_equal(everything.train.x[..., 0], grey[:20])


def test_text_labels_are_coded_alike_in_all_splits(tmp_path, grey):
    np.savez(
        tmp_path / "x.npz",
        x_train=grey[:6],
        x_validation=grey[6:8],
        x_test=grey[8:11],
        y_train=np.array(["dog", "cat", "dog", "cat", "dog", "dog"]),
        y_validation=np.array(["dog", "dog"]),
        y_test=np.array(["emu", "cat", "dog"]),
    )
    dataset = load(tmp_path / "x.npz")
    assert dataset.label_names == ("cat", "dog", "emu")
    assert labels_of(dataset.train).tolist() == [1, 0, 1, 0, 1, 1]
    assert labels_of(dataset.validation).tolist() == [1, 1]
    assert labels_of(dataset.test).tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (np.zeros(29), "29 labels for 30 rows"),
        (np.full(30, 0.5), "whole numbers or text"),
        (np.full(30, np.nan), "whole numbers or text"),
        (np.zeros(30, complex), "whole numbers or text"),
        (np.eye(30), "one label per row"),
        (np.array(3), "one label per row"),
    ],
)
def test_labels_that_are_refused(tmp_path, grey, label, message):
    np.savez(tmp_path / "x.npz", x=grey, y=label)
    refused(tmp_path / "x.npz", message)


@pytest.mark.parametrize(
    "label",
    [np.arange(30.0), np.arange(30, dtype=np.uint8), np.arange(30)[:, None]],
    ids=["whole floats", "bytes", "column"],
)
def test_labels_that_are_taken(tmp_path, grey, label):
    np.savez(tmp_path / "x.npz", x=grey, y=label)
    assert sorted(labels_of(load(tmp_path / "x.npz").split("all")).tolist()) == list(range(30))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.eye(9), "b": np.eye(9)}, r"2 arrays \(a, b\): call the data x"),
        ({}, "holds no arrays|damaged"),
        ({"x_train": np.eye(9)}, "no x_test"),
        ({"x_train": np.eye(9), "x_test": np.eye(8)}, r"rows of \(9,\) .* of \(8,\)"),
        (
            {"x_train": np.eye(9, dtype=np.uint8), "x_test": np.eye(9)},
            "uint8.*float32: save both alike",
        ),
        ({"x_train": np.eye(9), "x_test": np.eye(9), "y_test": np.zeros(9)}, "not train"),
        ({"x": np.eye(9)[:1]}, "1 row only"),
        ({"x": np.where(np.eye(9) > 0, np.inf, 0)}, "'0' is infinite in row 0"),
    ],
)
def test_npz_that_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "x.npz", **arrays)
    refused(tmp_path / "x.npz", message)


def test_npz_inside_a_bomb_is_refused_without_unpacking(tmp_path):
    # 10^12 promised, a few bytes there.
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", npy_header("(1000000000000,)") + bytes(100))
    refused(tmp_path / "x.npz", r"promises 8,000,000,000,000 bytes .* it holds 100")


@pytest.mark.parametrize("keep", [10, 200, 500, -1, -30])
def test_truncated_npz(tmp_path, grey, keep):
    stream = io.BytesIO()
    np.savez_compressed(stream, x=grey)
    (tmp_path / "x.npz").write_bytes(stream.getvalue()[:keep])
    refused(tmp_path / "x.npz", "truncated or damaged")


def test_a_flipped_byte_in_an_npz_is_noticed(tmp_path, grey):
    stream = io.BytesIO()
    np.savez(stream, x=grey)
    content = bytearray(stream.getvalue())
    content[400] ^= 1
    (tmp_path / "x.npz").write_bytes(content)
    refused(tmp_path / "x.npz", "truncated or damaged")


# --- IDX ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx(tmp_path, write_idx, dtype, suffix):
    x = np.random.default_rng(0).integers(0, 100, (20, 3, 2)).astype(dtype)
    path = tmp_path / f"x{suffix}"
    write_idx(path, x)
    np.testing.assert_array_equal(read_idx(path).array, x)
    assert load(path).fingerprint == load(x).fingerprint


def test_idx_takes_the_labels_beside_it(tmp_path, write_idx, grey):
    write_idx(tmp_path / "t-images-idx3-ubyte.gz", grey)
    write_idx(tmp_path / "t-labels-idx1-ubyte.gz", np.arange(30, dtype=np.uint8))
    dataset = load(tmp_path / "t-images-idx3-ubyte.gz")
    np.testing.assert_array_equal(dataset.train.x[..., 0], grey[dataset.train.label])
    assert "labels from t-labels-idx1-ubyte.gz" in dataset.source


def test_labels_alone_are_no_data(tmp_path, write_idx):
    write_idx(tmp_path / "t-labels-idx1-ubyte", np.arange(30, dtype=np.uint8))
    refused(tmp_path / "t-labels-idx1-ubyte", "1 axis")


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_an_idx_header_that_claims_too_much_allocates_nothing(tmp_path, suffix):
    header = struct.pack(">BBBB3I", 0, 0, 8, 3, 1_000_000, 1_000, 1_000) + bytes(100)
    path = tmp_path / f"x{suffix}"
    path.write_bytes(gzip.compress(header) if suffix else header)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(path, r"claims 1,000,000,000,000 bytes .*more than the file can hold")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_a_gzip_bomb_is_not_inflated_beyond_its_header(tmp_path, idx_bytes):
    content = idx_bytes(np.zeros((10, 2, 2), np.uint8)) + bytes(200_000_000)
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(content, 1))
    del content
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(path, "longer than the 40 bytes")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_truncated_idx_names_expected_and_found(tmp_path, idx_bytes, grey):
    path = tmp_path / "x"
    path.write_bytes(idx_bytes(grey)[:-10])
    refused(path, r"claims 600 bytes .*more than the file can hold \(590\)")
    path.write_bytes(idx_bytes(grey)[:9])
    refused(path, "its header needs 16 bytes, it has 9")
    path.write_bytes(idx_bytes(grey) + b"\0")
    refused(path, "longer than the 600 bytes")
    path.write_bytes(gzip.compress(idx_bytes(grey)[:-10]))
    refused(path, r"promises 600 bytes .*it holds 590")
    path.write_bytes(gzip.compress(idx_bytes(grey))[:-20])
    refused(path, "truncated gzip")
    path.write_bytes(gzip.compress(idx_bytes(grey))[:-1])
    refused(path, "truncated gzip")


def test_a_flipped_byte_in_a_gzip_file_is_noticed(tmp_path, idx_bytes, grey):
    content = bytearray(gzip.compress(idx_bytes(grey), 0))
    content[300] ^= 1
    (tmp_path / "x.gz").write_bytes(content)
    refused(tmp_path / "x.gz", "damaged gzip")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(b"some text", mtime=0), "is not an IDX file: it begins with 73 6f 6d 65"),
        (gzip.compress(b"", mtime=0), "begins with nothing"),
        (b"\x1f\x8b nonsense", "gzip"),
        (b"\0\0\x08\x09" + bytes(100), "9 axes"),
        (b"\0\0\x07\x03" + bytes(100), "is not .npy, .npz or IDX"),
        (struct.pack(">BBBB2I", 0, 0, 8, 2, 0, 5), "empty"),
    ],
)
def test_foreign_idx(tmp_path, content, message):
    path = tmp_path / "x.gz"
    path.write_bytes(content)
    refused(path, message)


# --- other files ----------------------------------------------------------------------------


def test_other_kinds_of_files(tmp_path, write_image, grey):
    write_image(tmp_path / "one.png", grey[0])
    refused(tmp_path / "one.png", "is one image: give the folder")
    (tmp_path / "t.xlsx").write_text("a,b\n1,2\n")
    refused(tmp_path / "t.xlsx", "is a damaged workbook")
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "neither a file nor a folder")
    (tmp_path / "bad\nname.npy").write_bytes(b"x")
    with pytest.raises(DataError, match=r"bad\\nname") as error:
        load(tmp_path / "bad\nname.npy")
    assert "\n" not in str(error.value)


def _seeds() -> list[bytes]:
    x = np.arange(60, dtype=np.uint8).reshape(5, 4, 3)
    packed = io.BytesIO()
    np.savez_compressed(packed, x=x, y=np.arange(5))
    idx = struct.pack(">BBBB3I", 0, 0, 8, 3, 5, 4, 3) + x.tobytes()
    return [npy_bytes(x), packed.getvalue(), idx, gzip.compress(idx, mtime=0)]


@settings(
    max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    seed=st.sampled_from(_seeds()),
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4),
    cut=st.none() | st.integers(0, 200),
)
def test_damaged_files_are_read_or_refused_in_one_line(tmp_path, seed, changes, cut):
    content = bytearray(seed)
    for place, value in changes:
        content[place % len(content)] = value
    path = tmp_path / "x"
    path.write_bytes(content[:cut])
    try:
        load(path)
    except DataError as error:
        assert "\n" not in str(error)  # noqa: PT017 -- a refusal is allowed, not demanded
