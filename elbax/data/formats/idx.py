"""The IDX format (LeCun): two zero bytes, a type, the number of axes, the axes, the values.

All big-endian. The header is believed only as far as the file bears it out: nothing is allocated
before the claimed size has been compared with the file, and no more than that is ever inflated.
"""

import gzip
import hashlib
import io
import math
import os
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from elbax.data.arrays import require_room
from elbax.data.errors import DataError
from elbax.util.words import shown

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
# Deflate cannot do better than this (zlib's technical notes), so a gzip file of s bytes holds at
# most 1032 s.
DEFLATE_LIMIT = 1032
_BLOCK = 1 << 20

GZIP_MAGIC = b"\x1f\x8b"


class IdxFile(NamedTuple):
    """The array of an IDX file, and the SHA-256 of the whole decompressed file."""

    array: np.ndarray
    digest: str


def looks_like_idx(start: bytes) -> bool:
    """Whether these first four bytes may begin an (uncompressed) IDX file."""
    return len(start) >= 4 and start[:2] == b"\0\0" and start[2] in _TYPES and start[3] > 0


def read_idx(path: Path) -> IdxFile:
    """Read an IDX file, gzip-compressed or not (told by its content, not by its name).

    Raises:
        DataError: foreign, truncated, damaged, longer than its header says, or too large.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            compressed = file.read(2) == GZIP_MAGIC
            file.seek(0)
            if not compressed:
                return _read_stream(file, path, limit=size)
            with gzip.GzipFile(fileobj=file, mode="rb") as stream:
                return _read_stream(stream, path, limit=size * DEFLATE_LIMIT)
    except EOFError:
        raise DataError(f"{shown(path)} is a truncated gzip file: copy it again") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"{shown(path)} is a damaged gzip file ({shown(error)}): copy it again"
        ) from None
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"cannot read {shown(path)}: {shown(reason)}") from None


def _read_stream(file: io.BufferedIOBase, path: Path, *, limit: int) -> IdxFile:
    dtype, shape, header = _read_header(file, path)
    expected = math.prod(shape) * dtype.itemsize
    if len(header) + expected > limit:
        raise DataError(
            f"{shown(path)} claims {expected:,} bytes of values (shape {_spelt(shape)}), more than "
            f"the file can hold ({limit - len(header):,}): it is truncated or not IDX"
        )
    require_room(expected, shown(path))
    array = np.empty(shape, dtype)
    # A view of the array's own memory: the file is read straight into it.
    memory = array.reshape(-1).view(np.uint8).data
    sha = hashlib.sha256(header)
    found = 0
    while found < expected:
        n = file.readinto(memory[found : found + _BLOCK])
        if not n:
            raise DataError(
                f"{shown(path)} is truncated: its header promises {expected:,} bytes of values "
                f"(shape {_spelt(shape)}), it holds {found:,}"
            )
        sha.update(memory[found : found + n])
        found += n
    # One byte more must be the end; for gzip this also checks the checksum.
    if file.read(1):
        raise DataError(
            f"{shown(path)} is longer than the {expected:,} bytes of values (shape "
            f"{_spelt(shape)}) that its header promises: it is damaged or not IDX"
        )
    return IdxFile(array, sha.hexdigest())


def _read_header(file: io.BufferedIOBase, path: Path) -> tuple[np.dtype, tuple[int, ...], bytes]:
    start = file.read(4)
    if not looks_like_idx(start):
        raise DataError(
            f"{shown(path)} is not an IDX file: it begins with {start.hex(' ') or 'nothing'}, "
            "not 00 00, a type and a number of axes"
        )
    axes = file.read(4 * start[3])
    if len(axes) < 4 * start[3]:
        raise DataError(
            f"{shown(path)} is truncated: its header needs {4 + 4 * start[3]} bytes, "
            f"it has {4 + len(axes)}"
        )
    if start[3] > 4:
        raise DataError(f"{shown(path)} has {start[3]} axes: images have 3 or 4, vectors 2")
    return np.dtype(_TYPES[start[2]]), struct.unpack(f">{start[3]}I", axes), start + axes


def _spelt(shape: tuple[int, ...]) -> str:
    return " × ".join(f"{n:,}" for n in shape)
