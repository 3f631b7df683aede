"""Sizes of memory in words: ``2GB``."""

from __future__ import annotations

import os
import re
from decimal import Decimal

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_WRITTEN = re.compile(r"\s*(\d+(?:\.\d*)?)\s*([kmgt]?)(i?)b?\s*", re.IGNORECASE)


def parse(text: str, name: str) -> int:
    """Bytes from words: ``2GB`` is 2·10⁹, ``2GiB`` 2·2³⁰, ``500M`` and plain numbers are taken too.

    Args:
        text: The words.
        name: What the option is called in the message.

    Raises:
        ValueError: They are no size, or one of nothing; in one line.
    """
    found = _WRITTEN.fullmatch(str(text))
    size = 0
    if found is not None:
        units = _BINARY if found[3] else _UNITS
        size = int(Decimal(found[1]) * units[found[2].lower()])
    if size < 1:
        raise ValueError(f"{name} is {text!r}: give a size, such as 2GB or 500MB")
    return size


def words(size: int) -> str:
    """A size for people, and for `parse`: rounded down to three digits, ``2.14GB``."""
    for unit in ("t", "g", "m", "k"):
        if size >= _UNITS[unit]:
            # In thousandths, of which three digits count: what is left is cut off.
            thousandths = size * 1000 // _UNITS[unit]
            step = 10 ** max(0, len(str(thousandths)) - 3)
            return f"{thousandths // step * step / 1000:g}{unit.upper()}B"
    return f"{size}B"


def of_machine() -> int | None:
    """This machine's memory in bytes; None where the platform does not tell."""
    try:
        found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
    return found if found > 0 else None
