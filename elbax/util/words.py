"""Names, errors, numbers, times and sizes as words for people: each in one way throughout."""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Iterable, Sequence

NOTHING = "–"
"""What stands where there is no number."""


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known name that a misspelt word is most like, capitals apart; None where none is near."""
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.5)
    return by_lower[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``did you mean 'mnist'?`` for a misspelt word, else the list of what there is."""
    names = list(known)
    close = closest(word, names)
    return "there are: " + ", ".join(sorted(names)) if close is None else f"did you mean '{close}'?"


def hint(word: str, known: Iterable[str]) -> str:
    """`` (did you mean 'mnist'?)`` for a misspelt word, else nothing."""
    close = closest(word, known)
    return "" if close is None else f" (did you mean '{close}'?)"


def shown(path: object) -> str:
    """A path or a foreign message as it may stand in a one-line message (no control characters)."""
    text = os.fspath(path) if isinstance(path, os.PathLike) else str(path)
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))


def is_number(text: str) -> bool:
    """Whether a text is a number as Python writes it."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def reason(error: BaseException, length: int | None = None) -> str:
    """Why something failed: the first line of an error's message, without control characters.

    Args:
        error: Any exception; of the system's, its reason without number and file.
        length: The most characters to give.
    """
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[:1].lower() + error.strerror[1:]
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return shown(lines[0] if lines else type(error).__name__)[:length]


def one_line(error: BaseException) -> str:
    """Any error as one line; of the system's, its file and its reason."""
    file = error.filename if isinstance(error, OSError) and error.strerror else None
    return reason(error) if file is None else f"{shown(file)}: {reason(error)}"


def minus(text: str) -> str:
    """The text of a number with a true minus sign."""
    return text.replace("-", "−")


def number(value: float | None, decimals: int = 2) -> str:
    """``−1,234.50``: thousands apart, a true minus, no minus before zero; a dash for None."""
    if value is None:
        return NOTHING
    text = f"{value:,.{decimals}f}"
    is_zero = not text.strip("-0.,")
    return minus(text.lstrip("-") if is_zero else text)


def plus_minus(value: float | None, error: float | None, decimals: int | None = None) -> str:
    """``−104.21 ± 0.31``; the value alone where the error is unknown, a dash where the value is.

    Args:
        value: The number.
        error: Its standard error.
        decimals: How many each has; None is as many as the error's first digit needs, from 1 to 4:
            ``104.2 ± 0.3``, ``14.24 ± 0.05``.
    """
    if decimals is None:
        known = error is not None and math.isfinite(error) and error > 0
        decimals = min(4, max(1, -math.floor(math.log10(error)))) if known else 1  # type: ignore[arg-type]
    shown_value = number(value, decimals)
    if value is None or error is None or not math.isfinite(error):
        return shown_value
    return f"{shown_value} ± {number(error, decimals)}"


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """``1 row``, ``12,000 rows``."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def listed(names: Iterable[object], most: int = 8) -> str:
    """The first few, separated by commas; … for the others."""
    words = [shown(name) for name in names]
    return ", ".join(words[:most]) + (", …" if len(words) > most else "")


def places(rows: Sequence[int], values: Iterable[object] | None = None) -> str:
    """``in row 4 (counted from 0)``, ``in 12 rows (4, 8, 30, …, counted from 0)``.

    Args:
        rows: The numbers of the rows, in order.
        values: What stands there, of the first three at least: ``in 2 rows (4: −1, 8: −3, …)``.
    """
    said = [f"{row:,}" for row in rows[:3]]
    if values is not None:
        said = [f"{row}: {shown(value)}" for row, value in zip(said, values, strict=False)]
    if len(rows) == 1:
        return f"in row {said[0]} (counted from 0)"
    more = ", …" if len(rows) > 3 else ""
    return f"in {len(rows):,} rows ({', '.join(said)}{more}, counted from 0)"


def duration(seconds: float) -> str:
    """``40 s``, ``12 min`` or ``3.4 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def clock(seconds: float) -> str:
    """``1:05``, or ``2:00:07`` from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def size(count: int) -> str:
    """A number of bytes: ``54.9 MB`` or ``1.23 GB``."""
    return f"{count / 1e6:,.1f} MB" if count < 1e9 else f"{count / 1e9:,.2f} GB"


def rough_size(count: int) -> str:
    """A number of bytes to two digits: ``about 550 MB``."""
    rounded = float(f"{count:.2g}")
    return f"about {rounded / 1e6:g} MB" if rounded < 1e9 else f"about {rounded / 1e9:g} GB"
