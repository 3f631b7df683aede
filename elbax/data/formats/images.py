"""A folder of images, with one subfolder per class or none."""

import hashlib
import io
import math
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from elbax.data.arrays import require_room
from elbax.data.errors import DataError
from elbax.data.splitting import Part, Raw
from elbax.util.words import counted, listed, shown

if TYPE_CHECKING:
    from PIL import Image

IMAGE_SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".gif", ".pgm", ".ppm",
)  # fmt: skip
_FORMATS = ["PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "PPM"]
_SPLIT_NAMES = {"train", "val", "valid", "validation", "test"}
_GREY = ("1", "L")
_ALPHA = ("LA", "RGBA", "PA")
_COLOUR = ("P", "RGB", "YCbCr", "CMYK")
_DEEP = ("I;16", "I;16B", "I;16L", "I", "F")  # grey of 16 bits and more, and floats
_ORIENTATION = 0x0112  # the EXIF tag
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


class _Page(NamedTuple):
    """One image of a file: the only one, or a page of a TIFF."""

    path: Path
    number: int


class _Kind(NamedTuple):
    """What the images have in common."""

    shape: tuple[int, int]
    dtype: np.dtype
    colours: int  # how many are of colour


def read_images(folder: Path, background: str | None = None) -> Raw:
    """Read a folder of images into one array, in the order of their names.

    Grey images give one channel, colour images three; where a folder holds both, the grey ones are
    repeated over three channels, which loses nothing. Images are turned upright as their EXIF
    orientation says; each page of a TIFF is one. Grey images of 16 bits, and floats, keep their
    values. An alpha channel is dropped when it is opaque, laid on `background`, or else refused.
    Hidden files and files that are no images are left out, and said. Subfolders are classes, coded
    in the order of their names.

    Args:
        folder: the folder.
        background: the colour that transparent pixels are laid on, by a name or as #rrggbb.

    Raises:
        DataError: no images, images of several sizes or depths, damaged or foreign files.
    """
    found = open_folder(folder, background)
    require_room(len(found) * math.prod(found.shape) * found.dtype.itemsize, shown(folder))
    x = np.empty((len(found), *found.shape), found.dtype)
    for i in range(len(found)):
        x[i] = found.image(i)
    label = None
    if found.label_names:
        label = np.array([found.label(i) for i in range(len(found))], np.int64)
    levels = 255 if found.dtype == np.uint8 else None
    return Raw(
        found.name,
        found.source,
        {"all": Part(x, label)},
        levels=levels,
        label_names=found.label_names,
        where={"all": shown(folder)},
    )


@dataclass(frozen=True, eq=False)
class ImageFolder:
    """A folder of images, known by the heads of its files.

    Attributes:
        name: the folder's name.
        source: its path, and what of it is worth a word.
        shape: (height, width, channels) of an image.
        dtype: of its values.
        pages: the images.
        labels: the class of each file, where subfolders are classes.
        label_names: the names of the classes.
        background: the colour that transparent pixels are laid on.
        identity: what another content would change.
    """

    name: str
    source: str
    shape: tuple[int, ...]
    dtype: np.dtype
    pages: tuple["_Page", ...]
    labels: Mapping[Path, int]
    label_names: tuple[str, ...]
    background: str | None
    identity: str

    @property
    def together(self) -> int:
        """Images that are best read at once: each is a file."""
        return 1

    def __len__(self) -> int:
        return len(self.pages)

    def image(self, number: int) -> np.ndarray:
        """One image, (height, width, channels).

        Raises:
            DataError: it is damaged, gone, or no longer what it was.
        """
        page = self.pages[number]
        with _opened(page.path, page.number) as image:
            _dtype(image.mode, page.path)
            pixels = _pixels(image, self.shape[2], page.path, self.background)
        if pixels.shape != self.shape or pixels.dtype != self.dtype:
            raise DataError(
                f"{shown(page.path)} has changed while it was read: bring the old one back, or "
                "train a new run"
            )
        return pixels

    def label(self, number: int) -> int:
        """The class of an image."""
        return self.labels[self.pages[number].path]

    def read(self, start: int, stop: int) -> Part:
        """Images from one to another, and their classes.

        Raises:
            DataError: one is damaged, gone, or no longer what it was.
        """
        x = np.stack([self.image(number) for number in range(start, stop)])
        if not self.label_names:
            return Part(x)
        return Part(x, np.array([self.label(i) for i in range(start, stop)], np.int64))


def open_folder(folder: Path, background: str | None = None) -> ImageFolder:
    """A folder of images, of which the heads are read alone.

    Args:
        folder: the folder.
        background: the colour that transparent pixels are laid on, by a name or as #rrggbb.

    Raises:
        DataError: no images, images of several sizes or depths, damaged or foreign files.
    """
    found = _list(folder)
    pages, kind = _survey(found.files)
    source = f"{counted(len(pages), 'image')} in {shown(folder)}"
    if len(pages) > len(found.files):
        source += f" ({counted(len(found.files), 'file')}, a page each)"
    grey = len(pages) - kind.colours
    if kind.colours and grey:
        source += f"; {counted(grey, 'grey image')} read as colour"
    if found.others:
        names = listed([shown(path.name) for path in found.others], 3)
        source += f"; {counted(len(found.others), 'other file')} left out: {names}"
    labels = dict(zip(found.files, found.labels, strict=True)) if found.names else {}
    files = [f"{path.relative_to(folder)} {path.stat().st_size}" for path in found.files]
    return ImageFolder(
        shown(folder.resolve().name or "images"),
        source,
        (*kind.shape, 3 if kind.colours else 1),
        kind.dtype,
        tuple(pages),
        labels,
        found.names,
        background,
        hashlib.sha256("\n".join(files).encode("utf-8", "surrogateescape")).hexdigest(),
    )


def read_png(file: io.BytesIO, where: str, shape: tuple[int, ...]) -> np.ndarray:
    """One PNG of a known size, from memory: its size is looked at before it is unpacked.

    Args:
        file: Its bytes.
        where: What messages call it.
        shape: (height, width, channels) that it has to have.

    Returns:
        The pixels, of `shape`.

    Raises:
        DataError: no PNG, a damaged one, one of another size, of colour where grey is wanted, or
            partly transparent.
    """
    path = Path(where)
    with _opened(path, file=file) as image:
        if (image.height, image.width) != shape[:2]:
            raise DataError(
                f"{where} is {image.width}×{image.height}, and images of {shape[1]}×{shape[0]} "
                "(width × height) are wanted"
            )
        _dtype(image.mode, path)
        if shape[2] == 1 and image.mode not in (*_GREY, *_DEEP, "LA"):
            raise DataError(f"{where} is of colour, and grey images are wanted: save it as grey")
        return _pixels(image, shape[2], path, None)


class _Found(NamedTuple):
    """The files of a folder: images, their class codes and the classes' names; and others."""

    files: list[Path]
    labels: list[int]
    names: tuple[str, ...]
    others: list[Path]


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _images_in(folder: Path) -> tuple[list[Path], list[Path]]:
    """The images of a folder, and its other files (a link to nowhere is one)."""
    files = [path for path in _visible(folder) if not path.is_dir()]
    images = [p for p in files if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()]
    return images, [path for path in files if path not in set(images)]


def _list(folder: Path) -> _Found:
    direct, others = _images_in(folder)
    inside = [(path, *_images_in(path)) for path in _visible(folder) if path.is_dir()]
    classes = [(path, files) for path, files, _ in inside if files]
    if direct and classes:
        raise DataError(
            f"{shown(folder)} has images both in itself ({shown(direct[0].name)}) and in "
            f"subfolders ({shown(classes[0][0].name)}): keep one or the other"
        )
    if direct:
        return _Found(direct, [], (), others)
    if not classes:
        raise DataError(_nothing_in(folder))
    names = tuple(shown(path.name) for path, _ in classes)
    if {name.lower() for name in names} <= _SPLIT_NAMES:
        raise DataError(
            f"{shown(folder)} has the subfolders {', '.join(names)}, which are splits, not "
            "classes: elbax splits by itself; give it one of them, or all images in one folder"
        )
    labels = [code for code, (_, files) in enumerate(classes) for _ in files]
    others += [path for _, files, left in inside if files for path in left]
    return _Found([file for _, files in classes for file in files], labels, names, others)


def _nothing_in(folder: Path) -> str:
    there = _visible(folder)
    if not there:
        return f"{shown(folder)} is an empty folder: it should hold images"
    hint = ""
    if any(path.suffix.lower() in (".dcm", ".heic", ".avif", ".jp2", ".nii") for path in there):
        hint = "; convert them to PNG or TIFF, or give the values as .npy"
    elif any("-ubyte" in path.name for path in there):
        hint = "; give one of its IDX files, or a data set's name with ELBAX_DATA_DIR set"
    return (
        f"{shown(folder)} holds no images (PNG, JPEG, TIFF, WebP, BMP, GIF), nor subfolders with "
        f"them{hint}"
    )


@contextmanager
def _opened(path: Path, page: int = 0, file: io.BytesIO | None = None) -> Iterator["Image.Image"]:
    """An open image, upright; whatever Pillow has to say against it becomes one line.

    Args:
        path: Its file; with `file` what messages call it.
        page: Of a TIFF.
        file: The bytes of a PNG.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # Pillow's own limits against decompression bombs, the lower one as an error too.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            formats = _FORMATS if file is None else ["PNG"]
            with Image.open(path if file is None else file, formats=formats) as image:
                if page:
                    image.seek(page)
                turned = image.getexif().get(_ORIENTATION, 1) != 1
                yield ImageOps.exif_transpose(image) if turned else image
    except UnidentifiedImageError:
        raise DataError(f"{shown(path)} is no image that can be read: mend or remove it") from None
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


def _survey(files: Sequence[Path]) -> tuple[list[_Page], _Kind]:
    """Every image, and what they have in common, from the headers alone."""
    pages: list[_Page] = []
    first: tuple[tuple[int, int], np.dtype] | None = None
    colours = 0
    for path in files:
        with _opened(path) as image:
            count = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
            here, mode = (image.height, image.width), image.mode
            deep = _dtype(mode, path)
        pages += [_Page(path, number) for number in range(count)]
        first = first or (here, deep)
        if here != first[0]:
            size = first[0]
            raise DataError(
                f"images of different sizes: {shown(files[0])} is {size[1]}×{size[0]}, "
                f"{shown(path)} is {here[1]}×{here[0]} (width × height): make them all one size"
            )
        if deep != first[1]:
            raise DataError(
                f"images of different depths: {shown(files[0])} holds {first[1].name}, "
                f"{shown(path)} {deep.name}: make them all alike"
            )
        colours += count * (mode not in (*_GREY, *_DEEP, "LA"))
    if first is None:
        raise DataError("no images")
    return pages, _Kind(*first, colours)


def _dtype(mode: str, path: Path) -> np.dtype:
    """What an image of this mode is stored as."""
    if mode in (*_GREY, *_ALPHA, *_COLOUR):
        return np.dtype(np.uint8)
    if mode not in _DEEP:
        raise DataError(
            f"{shown(path)} is in the pixel format {mode}: save it as grey or RGB, or give the "
            "values as .npy"
        )
    return np.dtype({"I": np.int32, "F": np.float32}.get(mode, np.uint16))


def _pixels(image: "Image.Image", channels: int, path: Path, background: str | None) -> np.ndarray:
    if image.mode in _DEEP:
        return np.asarray(image)[..., None]
    if image.mode in _ALPHA or "transparency" in image.info:
        image = image.convert("RGBA")
        low, _ = image.getchannel("A").getextrema()
        if low != 255:
            image = _flattened(image, path, background)
    values = np.asarray(image.convert("RGB" if channels == 3 else "L"))
    return values if channels == 3 else values[..., None]


def _flattened(image: "Image.Image", path: Path, background: str | None) -> "Image.Image":
    from PIL import Image, ImageColor

    if background is None:
        raise DataError(
            f"{shown(path)} is partly transparent: --background white (background='white') lays "
            "it on that colour"
        )
    try:
        colour = ImageColor.getrgb(background)[:3]
    except ValueError:
        raise DataError(
            f"background (--background) is {shown(repr(background))}: give a colour, such as white "
            "or #808080"
        ) from None
    return Image.alpha_composite(Image.new("RGBA", image.size, (*colour, 255)), image)
