"""How a column of text writes numbers or dates: found once, read, and written back the same way.

``"6,013"``, ``"$6.59"``, ``"8.9 %"``, ``"1.234,5"``, ``"(12.00)"`` and ``"30.07.2025"`` are numbers
and dates to people, and text to every reader of files.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

# Marks of a cell that was not observed, besides the empty one; compared without case and blanks.
_MARKS = (
    "? - -- — – . .. na n/a n.a. #n/a nan -nan null none nil missing <na> nat #null! #value! "
    "#div/0! #num! #name? #ref! \\n"
)
MARKS = frozenset(_MARKS.split()) | {"", "not available", "no data"}

_NUMBER = re.compile(r"(?:[-+−]\s?)?(?:\d[\d.,'’_\s]*|[.,]\d+)(?:[eE][-+]?\d+)?")
_CURRENCIES = "EUR USD GBP CHF JPY CNY INR AUD CAD NZD SEK NOK DKK PLN CZK HUF BRL"
_CODES = frozenset(_CURRENCIES.split())
_UNIT = re.compile(r"[^\W\d_]{1,4}[²³]?(?:/[^\W\d_]{1,3}[²³]?)?|[%‰°]|°[CFK]")
_BLANKS = str.maketrans("", "", " \t\u00a0\u202f\u2009")
# Day, month and year in the orders that people write; the first that reads every cell is taken.
_DATES = (
    "%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%Y.%m.%d", "%Y%m%d",
    "%d.%m.%y", "%m/%d/%y", "%d/%m/%y", "%d %b %Y", "%d %B %Y", "%d-%b-%Y", "%b %d, %Y",
    "%B %d, %Y",
)  # fmt: skip
_TIMES = ("", " %H:%M:%S", " %H:%M", "T%H:%M:%S", "T%H:%M")
_SAMPLE = 1_000  # different texts tell what a column of more of them is
_MOST_ODD_OF_SAMPLE = 0.5
_MOST_ODD = 0.2  # of the cells of a column of numbers may be something else: it is then refused


class Found(NamedTuple):
    """What the texts of a column are.

    Attributes:
        notation: How they write numbers or dates.
        values: (levels,) the number of each text, NaN where it is none.
        odd: The texts that are no number or date, most frequent first.
    """

    notation: "Notation"
    values: np.ndarray
    odd: list[str]


@dataclass(frozen=True)
class Notation:
    """How numbers or dates are written.

    Attributes:
        prefix: Stands before every number, a currency for instance.
        suffix: Stands after every number: a unit or per cent.
        decimal: Between the whole number and its decimals.
        thousands: Between groups of three digits, or nothing.
        decimals: Digits after the decimal mark, the most that occurs.
        date: The format of a date (`time.strptime`); empty for numbers. Its number is in seconds.
    """

    prefix: str = ""
    suffix: str = ""
    decimal: str = "."
    thousands: str = ""
    decimals: int = 0
    date: str = ""

    @property
    def plain(self) -> bool:
        """Whether the numbers are written as every program writes them."""
        return not (self.prefix or self.suffix or self.thousands or self.date) and (
            self.decimal == "."
        )

    def parse(self, text: str) -> float:
        """The number that a text stands for; NaN where it is none."""
        if self.date:
            return float(_seconds([text], self.date)[0])
        return _number(text, self.prefix, self.suffix, self.decimal, self.thousands)

    def write(self, values: np.ndarray) -> list[str]:
        """Numbers as text."""
        if self.date:
            import pyarrow as pa
            from pyarrow import compute

            pc: Any = compute  # its functions are made at run time

            days = pa.array(np.rint(values).astype("int64")).cast(pa.timestamp("s"))
            return pc.strftime(days, format=self.date).to_pylist()
        marks = str.maketrans({",": self.thousands, ".": self.decimal})
        texts = [f"{abs(value):,.{self.decimals}f}".translate(marks) for value in values]
        signs = ["-" if value < 0 else "" for value in values]
        pairs = zip(signs, texts, strict=True)
        return [f"{sign}{self.prefix}{text}{self.suffix}" for sign, text in pairs]

    def in_words(self) -> str:
        """What is special about it, for messages."""
        if self.date:
            return f"dates as in {self.write(np.array([1753920000.0]))[0]}"
        return f"numbers as in {self.write(np.array([1234.5]))[0]}"


def is_mark(text: str, more: frozenset[str] = frozenset()) -> bool:
    """Whether a text stands for a cell that was not observed: one of `MARKS`, or of `more`."""
    text = text.strip().casefold()
    return text in MARKS or text in more


def find(texts: Sequence[str], counts: np.ndarray) -> Found | None:
    """How the texts of a column write numbers or dates; None where they are neither.

    Args:
        texts: The different texts, marks of missing cells left out.
        counts: (n,) how often each occurs.
    """
    few = texts[:: max(1, len(texts) // _SAMPLE)]
    for look in (_find_numbers, _find_dates):
        found = look(few)
        if found is None or np.isnan(found.values).sum() > _MOST_ODD_OF_SAMPLE * len(few):
            continue
        found = look(texts) or found
        lost = np.isnan(found.values)
        if counts[lost].sum() <= _MOST_ODD * counts.sum() and len(texts) - lost.sum() >= 2:
            odd = sorted(np.flatnonzero(lost), key=lambda i: -counts[i])
            return found._replace(odd=[texts[int(i)] for i in odd])
    return None


def _find_numbers(texts: Sequence[str]) -> Found | None:
    pieces = [_pieces(text) for text in texts]
    if not any(pieces):
        return None
    around = Counter((piece[0], piece[2]) for piece in pieces if piece)
    (prefix, suffix), _ = around.most_common(1)[0]
    if not (_is_currency(prefix) and (_is_currency(suffix) or _UNIT.fullmatch(suffix.strip()))):
        return None
    cores = [piece[1] for piece in pieces if piece and (piece[0], piece[2]) == (prefix, suffix)]
    decimal, thousands = _marks(cores)
    values = np.array([_number(text, prefix, suffix, decimal, thousands) for text in texts])
    tails = [core.rpartition(decimal)[2] for core in cores if decimal in core]
    decimals = max((len(tail.strip()) for tail in tails), default=0)
    return Found(Notation(prefix, suffix, decimal, thousands, decimals), values, [])


def _pieces(text: str) -> tuple[str, str, str] | None:
    """What stands before a number, the number, and what stands after it."""
    text = text.strip()
    if text.startswith("(") and text.endswith(")"):  # accountants' negative numbers
        text = "-" + text[1:-1]
    sign = ""
    if text[:1] in "-+−" and not text[1:2].isdigit():
        sign, text = text[0], text[1:].lstrip()
    match = _NUMBER.search(text)
    if match is None:
        return None
    core = match[0].rstrip()
    return text[: match.start()], sign + core, text[match.start() + len(core) :]


def _is_currency(text: str) -> bool:
    text = text.strip()
    return text == "" or text in _CODES or all(unicodedata.category(c) == "Sc" for c in text)


def _marks(cores: Sequence[str]) -> tuple[str, str]:
    """The decimal mark and the mark between thousands."""
    for mark in ("'", "’", "_", "\u202f", "\u00a0", " "):
        if any(re.search(rf"\d{mark}\d{{3}}(?!\d)", core) for core in cores):
            return ("," if any("," in core for core in cores) else "."), mark
    both = [core for core in cores if "," in core and "." in core]
    if both:
        decimal = max(",.", key=both[0].rfind)
        return decimal, "," if decimal == "." else "."
    for mark, other in ((",", "."), (".", ",")):
        marked = [core for core in cores if mark in core]
        if not marked:
            continue
        group = re.escape(mark)  # of three digits; in India of two but for the last
        pattern = rf"[-+−]?[1-9]\d{{0,2}}({group}\d{{2,3}})*{group}\d{{3}}"
        grouped = all(re.fullmatch(pattern, core) for core in marked)
        many = any(core.count(mark) > 1 for core in marked)
        # One comma before three digits is between thousands, one point is a decimal one.
        if grouped and (many or mark == ","):
            return other, mark
        return mark, ""
    return ".", ""


def _number(text: str, prefix: str, suffix: str, decimal: str, thousands: str) -> float:
    pieces = _pieces(text)
    if pieces is None or pieces[0].strip() != prefix.strip() or pieces[2].strip() != suffix.strip():
        return math.nan
    core = pieces[1].translate(_BLANKS).replace("−", "-")
    if thousands.strip():
        core = core.replace(thousands, "")
    try:
        return float(core.replace(decimal, "."))
    except ValueError:
        return math.nan


def _find_dates(texts: Sequence[str]) -> Found | None:
    if not any(
        any(c.isdigit() for c in text) and (len(text.strip()) >= 6 or ":" in text)
        for text in texts[:20]
    ):
        return None
    few = texts[:: max(1, len(texts) // _SAMPLE)]
    formats = [date + time for date in _DATES for time in _TIMES] + ["%H:%M", "%H:%M:%S"]
    best = min(formats, key=lambda one: int(np.isnan(_seconds(few, one)).sum()))
    return Found(Notation(date=best), _seconds(texts, best), [])


def _seconds(texts: Sequence[str], date: str) -> np.ndarray:
    """Seconds since 1970 of each text, NaN where it is no such date."""
    import pyarrow as pa
    from pyarrow import compute

    pc: Any = compute  # its functions are made at run time

    found: Any = pc.strptime(pa.array(list(texts)), format=date, unit="s", error_is_null=True)
    return np.array(found.cast(pa.int64()).cast(pa.float64()).to_numpy(zero_copy_only=False))
