"""The one error of this room, and the small helpers that keep its messages to one line."""

import difflib
import os
from collections.abc import Iterable


class DataError(ValueError):
    """Data that cannot be used as they are: one line saying what, where, and the mend."""


class ColumnError(DataError):
    """One column that cannot be used as it is."""


class UnusableColumn(ColumnError):
    """One column that can only be left out."""


def shown(path: object) -> str:
    """A path or a foreign message as it may stand in a one-line message (no control characters)."""
    text = os.fspath(path) if isinstance(path, os.PathLike) else str(path)
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))


def counted(n: int, noun: str, plural: str | None = None) -> str:
    """``1 row``, ``12,000 rows``."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def listed(names: Iterable[object], most: int = 8) -> str:
    """The first few, separated by commas; … for the others."""
    words = [shown(name) for name in names]
    return ", ".join(words[:most]) + (", …" if len(words) > most else "")


def first_line(error: BaseException) -> str:
    """The first line of a foreign message, short."""
    return shown(str(error).splitlines()[0] if str(error) else type(error).__name__)[:160]


def nearest(word: str, known: Iterable[str]) -> str:
    """`` (did you mean 'mnist'?)`` for a misspelt word, or nothing."""
    close = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""
