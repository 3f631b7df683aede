"""Arrays as one string that stands in a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any

import numpy as np

_LARGE = 1_000  # numbers: more of them are kept as halves, of which a page holds twice as many
_SINGLE = 1 << 16


def pack(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Arrays by name as base64, with where each stands: what `unpacked` in program.js reads.

    Bytes stay bytes and whole numbers whole; other numbers are halves (a relative error of 5e-4)
    where there are more than a thousand, else single.

    Args:
        arrays: Of any shape; flat on the other side.
    """
    content, table = io.BytesIO(), {}
    for name, array in arrays.items():
        kind, numbers = _stored(np.ravel(array))
        content.write(b"\0" * (-content.tell() % 4))
        table[name] = [kind, content.tell(), int(numbers.size)]
        content.write(numbers.tobytes())
    return {"table": table, "content": base64.b64encode(content.getvalue()).decode("ascii")}


def _stored(numbers: np.ndarray) -> tuple[str, np.ndarray]:
    if numbers.dtype == np.uint8:
        return "u1", numbers
    if numbers.dtype.kind in "ui" and numbers.min(initial=0) >= 0:
        small = int(numbers.max(initial=0)) < _SINGLE
        return ("u2", numbers.astype("<u2")) if small else ("u4", numbers.astype("<u4"))
    halves = numbers.size > _LARGE and np.abs(numbers[np.isfinite(numbers)]).max(initial=0) < 6e4
    return ("f2", numbers.astype("<f2")) if halves else ("f4", numbers.astype("<f4"))
