"""A folder of PNG or JPEG images, with one subfolder per class or none."""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from elbax.data.arrays import require_room
from elbax.data.errors import DataError
from elbax.data.splitting import Part, Raw
from elbax.util.words import counted, shown

if TYPE_CHECKING:
    from PIL import Image

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
_OTHER_IMAGES = (".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".avif")
_SPLIT_NAMES = {"train", "val", "valid", "validation", "test"}
_GREY = ("1", "L")
_ALPHA = ("LA", "RGBA", "PA")
_COLOUR = ("P", "RGB")
# What Pillow's decoders raise on damaged files.
_DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
)


def read_images(folder: Path) -> Raw:
    """Read a folder of images into one array of bytes, in the order of their names.

    Grey images give one channel, colour images three; where a folder holds both, the grey ones are
    repeated over three channels, which loses nothing. Pixels are taken as stored (no EXIF
    rotation). An alpha channel is dropped when it is opaque and refused otherwise. Hidden files and
    files that are no PNG or JPEG are ignored. Subfolders are classes, coded in the order of their
    names.

    Raises:
        DataError: no images, images of several sizes, damaged or foreign files, 16-bit images.
    """
    files, labels, names = _list(folder)
    shape, colours = _survey(files)
    channels = 3 if colours else 1
    n_bytes = len(files) * shape[0] * shape[1] * channels
    require_room(n_bytes, shown(folder))
    x = np.empty((len(files), *shape, channels), np.uint8)
    for i, path in enumerate(files):
        with _opened(path) as image:
            x[i] = _pixels(image, channels, path)
    source = f"{counted(len(files), 'image')} in {shown(folder)}"
    grey = len(files) - colours
    if colours and grey:
        source += f"; {counted(grey, 'grey image')} read as colour"
    label = np.array(labels, np.int64) if names else None
    where = {"all": shown(folder)}
    parts = {"all": Part(x, label)}
    name = folder.resolve().name or "images"
    return Raw(shown(name), source, parts, levels=255, label_names=names, where=where)


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _images_in(folder: Path) -> list[Path]:
    return [p for p in _visible(folder) if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()]


def _list(folder: Path) -> tuple[list[Path], list[int], tuple[str, ...]]:
    """The image files, their class codes, and the names of the classes (both empty without)."""
    direct = _images_in(folder)
    classes = [(path, _images_in(path)) for path in _visible(folder) if path.is_dir()]
    classes = [(path, files) for path, files in classes if files]
    if direct and classes:
        raise DataError(
            f"{shown(folder)} has images both in itself ({shown(direct[0].name)}) and in "
            f"subfolders ({shown(classes[0][0].name)}): keep one or the other"
        )
    if direct:
        return direct, [], ()
    if not classes:
        raise DataError(_nothing_in(folder))
    names = tuple(shown(path.name) for path, _ in classes)
    if {name.lower() for name in names} <= _SPLIT_NAMES:
        raise DataError(
            f"{shown(folder)} has the subfolders {', '.join(names)}, which are splits, not "
            "classes: elbax splits by itself; give it one of them, or all images in one folder"
        )
    labels = [code for code, (_, files) in enumerate(classes) for _ in files]
    return [file for _, files in classes for file in files], labels, names


def _nothing_in(folder: Path) -> str:
    there = _visible(folder)
    if not there:
        return f"{shown(folder)} is an empty folder: it should hold PNG or JPEG images"
    hint = ""
    if any(path.suffix.lower() in _OTHER_IMAGES for path in there):
        hint = "; convert the images to PNG"
    elif any("-ubyte" in path.name for path in there):
        hint = "; give one of its IDX files, or a data set's name with ELBAX_DATA_DIR set"
    return f"{shown(folder)} holds no PNG or JPEG images, nor subfolders with them{hint}"


@contextmanager
def _opened(path: Path) -> Iterator["Image.Image"]:
    """An open image; whatever Pillow has to say against it becomes one line."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # Pillow's own limits against decompression bombs, the lower one as an error too.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=["PNG", "JPEG"]) as image:
                yield image
    except UnidentifiedImageError:
        raise DataError(f"{shown(path)} is not a PNG or JPEG image: mend or remove it") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DataError(f"{shown(path)} is too large an image: cut or shrink it") from None
    except DataError:
        raise
    except _DECODER_ERRORS as error:
        if isinstance(error, OSError) and error.strerror:
            raise DataError(f"cannot read {shown(path)}: {error.strerror}") from None
        raise DataError(
            f"{shown(path)} is a truncated or damaged image ({shown(error)}): mend or remove it"
        ) from None


def _survey(files: list[Path]) -> tuple[tuple[int, int], int]:
    """The common (height, width) and the number of colour images, from the headers alone."""
    size: tuple[int, int] | None = None
    colours = 0
    for path in files:
        with _opened(path) as image:
            here, mode = (image.height, image.width), image.mode
        if mode not in (*_GREY, *_ALPHA, *_COLOUR):
            raise DataError(
                f"{shown(path)} is in the pixel format {mode} (16-bit, CMYK, …): save it as 8-bit "
                "grey or RGB, or give the values as .npy"
            )
        size = size or here
        if here != size:
            raise DataError(
                f"images of different sizes: {shown(files[0])} is {size[1]}×{size[0]}, "
                f"{shown(path)} is {here[1]}×{here[0]} (width × height): make them all one size"
            )
        colours += mode not in (*_GREY, "LA")
    if size is None:
        raise DataError("no images")
    return size, colours


def _pixels(image: "Image.Image", channels: int, path: Path) -> np.ndarray:
    if image.mode in _ALPHA or "transparency" in image.info:
        image = image.convert("RGBA")
        low, _ = image.getchannel("A").getextrema()
        if low != 255:
            raise DataError(f"{shown(path)} is partly transparent: flatten it onto a background")
    values = np.asarray(image.convert("RGB" if channels == 3 else "L"))
    return values if channels == 3 else values[..., None]
