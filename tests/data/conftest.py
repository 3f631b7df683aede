"""Small files in the formats that elbax reads, written without elbax."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

_CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array: np.ndarray) -> bytes:
    code = _CODES[array.dtype.str[1:]]
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.fixture(name="idx_bytes")
def _idx_bytes() -> Callable[[np.ndarray], bytes]:
    return idx_bytes


@pytest.fixture
def write_idx() -> Callable[[Path, np.ndarray], bytes]:
    """Write an IDX file (gzip when the name ends in .gz); gives the decompressed bytes."""

    def write(path: Path, array: np.ndarray) -> bytes:
        content = idx_bytes(array)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)
        return content

    return write


@pytest.fixture
def grey() -> np.ndarray:
    """(30, 4, 5) bytes, every row another one."""
    return np.random.default_rng(0).integers(0, 256, (30, 4, 5), np.uint8)


@pytest.fixture
def write_image() -> Callable[..., None]:
    """Write an array as an image file."""
    from PIL import Image

    def write(path: Path, array: np.ndarray, mode: str | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(array)
        (image.convert(mode) if mode else image).save(path)

    return write
