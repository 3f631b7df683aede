"""Folders of images: order, classes, grey and colour, and files that cannot be read."""

import errno
import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from elbax.data import DataError, load
from elbax.data.formats.images import read_images


@pytest.fixture
def folder(tmp_path, grey, write_image):
    """Twelve grey 4×5 images, a hidden one of another size, and a note."""
    for i in range(12):
        write_image(tmp_path / "faces" / f"{i:02d}.png", grey[i])
    write_image(tmp_path / "faces" / ".hidden.png", np.zeros((9, 9), np.uint8))
    (tmp_path / "faces" / "README.txt").write_text("hello")
    return tmp_path / "faces"


def refused(path, match):
    with pytest.raises(DataError, match=match) as error:
        load(path)
    assert "\n" not in str(error.value)


def test_grey_images_in_the_order_of_their_names(folder, grey):
    raw = read_images(folder)
    np.testing.assert_array_equal(raw.parts["all"].x[..., 0], grey[:12])
    dataset = load(folder)
    assert dataset.name == "faces"
    assert dataset.fingerprint == load(grey[:12]).fingerprint
    assert dataset.source.startswith("12 images in ")
    assert dataset.scale == 1 / 255


def test_subfolders_are_classes(tmp_path, grey, write_image):
    for i in range(10):
        write_image(tmp_path / "pets" / ("dog" if i % 2 else "cat") / f"{i}.PNG", grey[i])
    (tmp_path / "pets" / "empty").mkdir()
    dataset = load(tmp_path / "pets")
    assert dataset.label_names == ("cat", "dog")
    raw = read_images(tmp_path / "pets")
    assert np.array_equal(np.asarray(raw.parts["all"].label), [0] * 5 + [1] * 5)
    np.testing.assert_array_equal(raw.parts["all"].x[..., 0], [*grey[0:10:2], *grey[1:10:2]])


def test_black_and_white_images_are_grey(tmp_path, write_image):
    x = np.zeros((4, 5), np.uint8)
    x[1, 2] = 255
    for i in range(3):
        write_image(tmp_path / f"{i}.png", x, "1")
    np.testing.assert_array_equal(read_images(tmp_path).parts["all"].x[0, ..., 0], x)


def test_jpeg_and_colour(tmp_path, write_image):
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 250
    for i in range(3):
        write_image(tmp_path / f"{i}.JPEG", red)
    dataset = load(tmp_path)
    assert dataset.shape == (8, 8, 3)
    assert np.abs(dataset.train.x.astype(int) - red).max() <= 3


def test_grey_among_colour_is_repeated_over_the_channels(tmp_path, grey, write_image):
    colour = np.random.default_rng(1).integers(0, 256, (4, 5, 3), np.uint8)
    write_image(tmp_path / "a.png", grey[0])
    write_image(tmp_path / "b.png", colour)
    write_image(tmp_path / "c.png", grey[1])
    x = read_images(tmp_path).parts["all"].x
    np.testing.assert_array_equal(x[0], np.repeat(grey[0][..., None], 3, -1))
    np.testing.assert_array_equal(x[1], colour)
    assert "2 grey images read as colour" in load(tmp_path).source


def test_opaque_alpha_is_dropped_and_transparency_refused(tmp_path, grey, write_image):
    opaque = np.dstack([grey[0]] * 3 + [np.full((4, 5), 255, np.uint8)])
    for i in range(3):
        write_image(tmp_path / f"{i}.png", opaque)
    np.testing.assert_array_equal(read_images(tmp_path).parts["all"].x[0], opaque[..., :3])
    clear = opaque.copy()
    clear[2, 2, 3] = 0
    write_image(tmp_path / "2.png", clear)
    refused(tmp_path, "2.png is partly transparent")


def test_grey_with_alpha_stays_grey_exactly(tmp_path, write_image):
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for i in range(3):
        write_image(tmp_path / f"{i}.png", levels, "LA")
    np.testing.assert_array_equal(read_images(tmp_path).parts["all"].x[0, ..., 0], levels)


def test_different_sizes_name_two(folder, write_image):
    write_image(folder / "05.png", np.zeros((7, 5), np.uint8))
    refused(folder, r"different sizes: .*00\.png is 5×4, .*05\.png is 5×7")


def test_sixteen_bit_images(folder, write_image):
    write_image(folder / "03.png", np.zeros((4, 5), np.uint16))
    refused(folder, r"different depths: .*00\.png holds uint8, .*03\.png uint16")


def test_foreign_and_truncated_images_are_named(folder):
    good = (folder / "07.png").read_bytes()
    (folder / "07.png").write_text("this is no image")
    refused(folder, r"07\.png is no image that can be read")
    (folder / "07.png").write_bytes(good[:45])
    refused(folder, r"07\.png is a truncated or damaged image|07\.png is no image")
    (folder / "07.png").write_bytes(b"")
    refused(folder, r"07\.png is no image that can be read")


def test_truncated_jpeg_is_named(tmp_path, write_image):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    for i in range(3):
        write_image(tmp_path / f"{i}.jpg", noise)
    content = (tmp_path / "1.jpg").read_bytes()
    (tmp_path / "1.jpg").write_bytes(content[: len(content) // 2])
    refused(tmp_path, r"1\.jpg is a truncated or damaged image")


def test_decompression_bombs_are_refused(folder, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 15)  # the images have 20: Pillow warns
    refused(folder, r"00\.png is too large an image")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5)  # more than twice: Pillow raises
    refused(folder, r"00\.png is too large an image")


def test_folders_without_images(tmp_path):
    refused(tmp_path, "is an empty folder")
    (tmp_path / ".hidden.png").write_bytes(b"")
    refused(tmp_path, "is an empty folder")
    (tmp_path / "a.dcm").write_bytes(b"")
    refused(tmp_path, "no images .*convert them to PNG or TIFF")
    (tmp_path / "a.dcm").unlink()
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"")
    refused(tmp_path, "give one of its IDX files")


def test_one_image(tmp_path, grey, write_image):
    write_image(tmp_path / "only.png", grey[0])
    refused(tmp_path, "1 image only: at least 3")


def test_images_beside_subfolders(folder, grey, write_image):
    write_image(folder / "more" / "x.png", grey[0])
    refused(folder, r"both in itself \(00\.png\) and in subfolders \(more\)")


def test_subfolders_named_like_splits(tmp_path, grey, write_image):
    write_image(tmp_path / "train" / "x.png", grey[0])
    write_image(tmp_path / "test" / "x.png", grey[0])
    refused(tmp_path, "test, train, which are splits, not classes")


def test_unreadable_images(folder, monkeypatch):
    def denied(path, **_):  # root reads everything, so the refusal is made here
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Image, "open", denied)
    refused(folder, r"cannot read .*00\.png: Permission denied")


def _encoded(kind: str) -> bytes:
    stream = io.BytesIO()
    x = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(x).save(stream, kind)
    return stream.getvalue()


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.sampled_from([_encoded("PNG"), _encoded("JPEG")]),
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=3),
    cut=st.none() | st.integers(0, 300),
)
def test_damaged_images_are_read_or_refused_in_one_line(tmp_path, seed, changes, cut):
    content = bytearray(seed)
    for place, value in changes:
        content[place % len(content)] = value
    for i in range(3):
        (tmp_path / f"{i}.png").write_bytes(content[:cut])
    try:
        load(tmp_path)
    except DataError as error:
        assert "\n" not in str(error)  # noqa: PT017 -- a refusal is allowed, not demanded
