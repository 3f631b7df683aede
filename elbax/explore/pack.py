"""Arrays as one string that stands in a page."""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

_LARGE = 1_000  # numbers: more of them are kept as halves, of which a page holds twice as many
# Five characters stand for four bytes; none of these means anything in a page or in JSON.
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%()*+-;?^_`|~.,/[]'>"
_SINGLE = 1 << 16


def pack(arrays: Mapping[str, np.ndarray], *, halves: bool = True) -> dict[str, Any]:
    """Arrays by name, deflated, as text, with where each stands: for `unpacked` in program.js.

    Bytes stay bytes and whole numbers whole; other numbers are halves without their last bit (a
    relative error of 1e-3 at most) where there are more than a thousand, else single.

    Args:
        arrays: Of any shape; flat on the other side.
        halves: Whether there are such.
    """
    content, table = io.BytesIO(), {}
    for name, array in arrays.items():
        kind, numbers = _stored(np.ravel(array), halves=halves)
        content.write(b"\0" * (-content.tell() % 4))
        table[name] = [kind, content.tell(), int(numbers.size)]
        content.write(_planes(numbers) if kind == "f2" else numbers.tobytes())
    deflated = zlib.compress(content.getvalue(), 9)
    text = _as_text(deflated)
    return {"table": table, "content": text, "size": len(deflated), "alphabet": ALPHABET}


def _stored(numbers: np.ndarray, *, halves: bool) -> tuple[str, np.ndarray]:
    if numbers.dtype == np.uint8:
        return "u1", numbers
    if numbers.dtype.kind in "ui" and numbers.min(initial=0) >= 0:
        small = int(numbers.max(initial=0)) < _SINGLE
        return ("u2", numbers.astype("<u2")) if small else ("u4", numbers.astype("<u4"))
    large = numbers.size > _LARGE and np.abs(numbers[np.isfinite(numbers)]).max(initial=0) < 6e4
    return ("f2", numbers.astype("<f2")) if halves and large else ("f4", numbers.astype("<f4"))


def _planes(halves: np.ndarray) -> bytes:
    """All low bytes, then all high ones, which are alike and so deflate; the last bit rounded."""
    bits = halves.view("<u2").astype(np.uint32)
    rounded = np.where(np.isfinite(halves), (bits + 1) & 0xFFFE, bits).astype("<u2")
    return rounded.view(np.uint8).reshape(-1, 2).T.tobytes()


def _as_text(content: bytes) -> str:
    """Bytes in base 85."""
    words = np.frombuffer(content + b"\0" * (-len(content) % 4), ">u4").astype(np.uint64)
    digits = np.stack([words // 85**power % 85 for power in range(4, -1, -1)], axis=1)
    return np.frombuffer(ALPHABET.encode(), np.uint8)[digits.astype(np.intp)].tobytes().decode()
