"""Data in files of one's own: what a path is, told by content, and NumPy's formats.

No pickle is ever read. Sizes in headers are compared with the file before anything is allocated.
"""

import io
import math
import os
import tokenize
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from elbax.data.arrays import require_room
from elbax.data.errors import DAMAGED_ZIP, DataError
from elbax.data.formats import annotated
from elbax.data.formats.idx import DEFLATE_LIMIT, GZIP_MAGIC, looks_like_idx, read_idx
from elbax.data.formats.images import IMAGE_SUFFIXES, read_images
from elbax.data.splitting import Part, Raw
from elbax.util.words import counted, listed, reason, shown

_NPY_MAGIC = b"\x93NUMPY"
_ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
_IMAGE_MAGICS = (b"\x89PNG", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"RIFF", b"GIF8", b"BM")
_TABLES = (".csv", ".tsv", ".parquet", ".feather", ".arrow", ".xlsx")
_PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".joblib")

KNOWN_SUFFIXES = (
    *(".npy", ".npz", ".gz", ".idx", ".png", ".jpg", ".jpeg", annotated.SUFFIX),
    *(*_TABLES, *_PICKLES),
)

_LABEL_KEYS = ("y", "label", "labels")
_VALIDATION_KEYS = ("validation", "val", "valid")


def read_path(path: Path, background: str | None = None) -> Raw:
    """Read a file or folder, told by its content, not by its name.

    Args:
        path: the file or folder.
        background: of images, the colour that transparent pixels are laid on.

    Raises:
        DataError: not a kind of file that we read, damaged, or holding what we do not take.
    """
    try:
        if path.is_dir():
            return read_images(path, background)
        if not path.is_file():
            raise DataError(f"{shown(path)} is neither a file nor a folder")
        with path.open("rb") as file:
            start = file.read(8)
        return _read_file(path, start)
    except MemoryError:
        raise DataError(f"{shown(path)} does not fit into memory: use fewer rows") from None
    except OSError as error:
        raise DataError(f"cannot read {shown(path)}: {shown(error.strerror or error)}") from None


def _read_file(path: Path, start: bytes) -> Raw:
    if not start:
        raise DataError(f"{shown(path)} is an empty file")
    if start.startswith(_NPY_MAGIC):
        return _own(path, {"all": Part(_map_npy(path))})
    if start.startswith(_ZIP_MAGICS):
        if path.suffix.lower() == ".zip" and not _holds_arrays(path):
            raise DataError(
                f"{shown(path)} is an archive, and not of one table in text: unpack it, and give "
                "one file, or the folder of images"
            )
        return _read_npz(path)
    if start.startswith(GZIP_MAGIC) or looks_like_idx(start):
        return _read_idx_pair(path)
    if start == annotated.HDF5_MAGIC:
        return annotated.read(path)
    raise DataError(_foreign(path, start))


def _foreign(path: Path, start: bytes) -> str:
    suffix = path.suffix.lower()
    if start.startswith(_IMAGE_MAGICS) and suffix in IMAGE_SUFFIXES:
        return f"{shown(path)} is one image: give the folder that holds the images"
    if suffix in (*_TABLES, annotated.SUFFIX):
        return f"{shown(path)} is no {suffix} file, whatever its name: save the table as .csv"
    if suffix in _PICKLES or start[:1] == b"\x80":
        return f"{shown(path)} looks like a pickle, which is never loaded: save it as .npy or .npz"
    return (
        f"{shown(path)} is not .npy, .npz or IDX (it begins with {start.hex(' ')}): "
        "these, tables (.csv, .parquet, .feather, .xlsx) and folders of images are read"
    )


def _own(path: Path, parts: dict[str, Part], where: dict[str, str] | None = None) -> Raw:
    name = path.name
    for suffix in (".gz", *KNOWN_SUFFIXES):
        name = name.removesuffix(suffix) or name
    return Raw(shown(name), shown(path), parts, where=where or {"all": shown(path)})


# --- IDX ------------------------------------------------------------------------------------


def _read_idx_pair(path: Path) -> Raw:
    """An IDX file, and its labels where they lie beside it under the usual name."""
    x = read_idx(path).array
    companion = path.name.replace("images", "labels").replace("idx3", "idx1")
    labels = path.with_name(companion)
    if companion == path.name or not labels.is_file():
        return _own(path, {"all": Part(x)})
    raw = _own(path, {"all": Part(x, read_idx(labels).array)})
    return replace(raw, source=f"{raw.source}, labels from {shown(companion)}")


# --- NumPy ----------------------------------------------------------------------------------


class _Header(NamedTuple):
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype
    offset: int


def read_header(file: IO[bytes] | io.BufferedIOBase, where: str, size: int) -> _Header:
    """The header of one array, checked against the ``size`` of what holds it, header included."""
    try:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        elif version == (2, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
        else:  # 3.0 exists for records with names beyond Latin-1
            raise DataError(f"{where} holds records, not plain numbers: save a plain array")
    except DataError:
        raise
    except (ValueError, SyntaxError, TypeError, EOFError, tokenize.TokenError) as error:
        raise DataError(
            f"{where} is truncated or not a NumPy array ({reason(error, 160)})"
        ) from None
    if dtype.hasobject:
        raise DataError(
            f"{where} holds pickled Python objects, which are never loaded: save plain numbers"
        )
    offset = file.tell()
    expected, found = math.prod(shape) * dtype.itemsize, size - offset
    if min(shape, default=0) < 0 or expected > found:
        raise DataError(
            f"{where} is truncated: its header promises {expected:,} bytes of values "
            f"(shape {shape}, {dtype.name}), it holds {found:,}"
        )
    if expected < found:
        raise DataError(
            f"{where} is longer than its header promises: {found:,} bytes of values instead of "
            f"{expected:,} (shape {shape}, {dtype.name})"
        )
    return _Header(shape, fortran, dtype, offset)


def _map_npy(path: Path) -> np.ndarray:
    """The array of an ``.npy`` file, mapped: rows are copied out of it when they are split."""
    where = shown(path)
    with path.open("rb") as file:
        header = read_header(file, where, os.fstat(file.fileno()).st_size)
    if math.prod(header.shape) == 0 or header.dtype.itemsize == 0:
        raise DataError(f"{where} is empty (shape {header.shape}): there is nothing to learn from")
    require_room(math.prod(header.shape) * header.dtype.itemsize, where)
    order = "F" if header.fortran else "C"
    mapped = np.memmap(path, header.dtype, "r", header.offset, header.shape, order)
    return np.asarray(mapped)


def _holds_arrays(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(".npy") for name in archive.namelist())
    except DAMAGED_ZIP:
        return True  # which says what is wrong with it


def _read_npz(path: Path) -> Raw:
    where = shown(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = {
                info.filename.removesuffix(".npy"): info
                for info in archive.infolist()
                if info.filename.endswith(".npy")
            }
            wanted = _choose(list(members), where)
            arrays = {key: _read_member(archive, members[key], where) for key in wanted.values()}
    except DAMAGED_ZIP as error:
        kind = ".zip file" if path.suffix.lower() == ".zip" else ".npz"
        raise DataError(
            f"{where} is a truncated or damaged {kind} ({reason(error, 160)})"
        ) from None
    except RuntimeError as error:  # a password
        raise DataError(f"{where} cannot be unpacked ({reason(error, 160)})") from None
    parts: dict[str, Part] = {}
    names: dict[str, str] = {}
    for role, key in wanted.items():
        if role.startswith("x:"):
            part = role[2:]
            label = wanted.get(f"y:{part}")
            parts[part] = Part(arrays[key], None if label is None else arrays[label])
            names[part] = f"{where}[{shown(key)}]"
    return _own(path, parts, names)


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> np.ndarray:
    where = f"{where}[{shown(info.filename.removesuffix('.npy'))}]"
    # zipfile never yields more than file_size bytes, so neither does a bomb; and what numpy writes
    # (stored or deflated) cannot hold more than its compressed size allows.
    deflated = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    if deflated and info.file_size > info.compress_size * DEFLATE_LIMIT:
        raise DataError(f"{where} claims {info.file_size:,} bytes, more than it can hold: damaged")
    require_room(info.file_size, where)
    with archive.open(info) as file:
        read_header(file, where, info.file_size)
    try:
        with archive.open(info) as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except ValueError as error:
        raise DataError(f"{where} is truncated or damaged ({reason(error, 160)})") from None


def _choose(keys: list[str], where: str) -> dict[str, str]:
    """Which array plays which role: ``x:all``, ``y:all``, or ``x:train`` and so on."""
    if not keys:
        raise DataError(f"{where} holds no arrays")
    if "x_train" in keys:
        return _choose_splits(keys, where)
    label = next((key for key in _LABEL_KEYS if key in keys), None)
    others = [key for key in keys if key not in _LABEL_KEYS]
    if "x" not in keys and len(others) != 1:
        raise DataError(
            f"{where} holds {counted(len(keys), 'array')} ({listed(keys)}): call the data x and "
            "the labels y, or x_train, x_validation, x_test and y_…"
        )
    chosen = {"x:all": "x" if "x" in keys else others[0]}
    return chosen if label is None else chosen | {"y:all": label}


def _choose_splits(keys: list[str], where: str) -> dict[str, str]:
    if "x_test" not in keys:
        raise DataError(f"{where} holds x_train but no x_test: add it, or call the data x")
    names = {"train": "train", "test": "test"}
    validation = next((name for name in _VALIDATION_KEYS if f"x_{name}" in keys), None)
    if validation is not None:
        names = {"train": "train", "validation": validation, "test": "test"}
    chosen: dict[str, str] = {}
    for part, name in names.items():
        chosen[f"x:{part}"] = f"x_{name}"
        for prefix in _LABEL_KEYS:
            if f"{prefix}_{name}" in keys:
                chosen.setdefault(f"y:{part}", f"{prefix}_{name}")
    return chosen
