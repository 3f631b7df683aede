"""From any array to the two kinds of numbers we keep: bytes and float32. And what is refused.

Whatever is allocated beyond the result is allocated in chunks of rows: a data set of 50 MB must not
cost 400 MB on its way in.
"""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from elbax.data.errors import DataError
from elbax.util.words import counted, shown

# Rows per chunk are chosen so that one chunk has about this many elements.
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Scaling:
    """How stored numbers are read: (number − shift) / unit.

    Attributes:
        shift: of real values the training rows' mean, else 0.
        unit: the level that means 1, or of real values the training rows' standard deviation.
        levels: whether the numbers are shares of a brightest level, else they are real.
        words: what the numbers were taken for, and why; nothing where they are as they are.
    """

    shift: float = 0.0
    unit: float = 1.0
    levels: bool = False
    words: str = ""


_DEPTHS = (8, 10, 12, 14, 16)  # bits of an image sensor
_GREY_FLOAT = (64.0, 128.0, 255.0)  # grey levels as floats: least below, greatest between


def scaling_of(parts: Sequence[np.ndarray], dtype: np.dtype, *, images: bool) -> Scaling:
    """How to read numbers that are neither bytes nor within [0, 1].

    Unsigned 16-bit images are shares of the brightest level that their depth allows; floats from
    about 0 to about 255 are grey levels (of vectors, whole ones in 64 columns or more: flattened
    images). All others are real, standardised by the training rows' one mean and one standard
    deviation.

    Args:
        parts: the splits as stored, training rows first.
        dtype: of the numbers in the file.
        images: whether they are images.
    """
    train = parts[0]
    if train.dtype == np.uint8:
        return Scaling()
    ends = [(np.nanmin(p, initial=np.inf), np.nanmax(p, initial=-np.inf)) for p in parts]
    low, high = float(min(e[0] for e in ends)), float(max(e[1] for e in ends)) + 0.0

    def moments() -> tuple[float, float]:
        holes = np.isnan(train)
        return _moments(train[~holes] if holes.any() else train)

    return scaling_between(
        low,
        high,
        dtype,
        moments,
        images=images,
        flat=lambda: train[0].size >= 64 and all((p == np.rint(p)).all() for p in parts),
    )


def scaling_between(
    low: float,
    high: float,
    dtype: np.dtype,
    moments: Callable[[], tuple[float, float]],
    *,
    images: bool,
    flat: Callable[[], bool],
) -> Scaling:
    """`scaling_of`, by what is known of all numbers.

    Args:
        low: the least.
        high: the greatest.
        dtype: of the numbers in the file.
        moments: the training rows' mean and standard deviation.
        images: whether they are images.
        flat: of vectors, whether they may be flattened images.
    """
    if not np.isfinite([low, high]).all() or 0 <= low <= high <= 1:
        return Scaling()
    if images and low >= 0 and dtype.kind == "u" and dtype.itemsize == 2:
        top = next(2**bits - 1 for bits in _DEPTHS if high < 2**bits)
        return Scaling(0.0, float(top), True, f"{dtype.name} read as shares of {top:,}")
    below, least, most = _GREY_FLOAT
    if (images or flat()) and 0 <= low < below and least < high <= most:
        return Scaling(
            0.0, most, True, f"{dtype.name} from {low:g} to {high:g} read as grey levels"
        )
    mean, spread = moments()
    by = f"mean {mean:.6g} and deviation {spread:.6g}"
    words = f"real values from {low:g} to {high:g}, standardised by the training rows' {by}"
    return Scaling(mean, spread if spread > 0 else 1.0, False, words)


def _moments(x: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of all numbers, in float64 but without a copy of them in it."""
    mean = float(np.mean(x, dtype=float))
    squares = sum(float(np.sum((x[rows] - mean) ** 2, dtype=float)) for rows in row_chunks(x))
    return mean, math.sqrt(squares / x.size)


def is_levels(x: np.ndarray) -> bool:
    """Whether vectors (n, d) are levels of one scale: bytes, or numbers within [0, 1] and no holes.

    What is not is read by its columns, as a table is.
    """
    if np.ma.isMaskedArray(x) and np.ma.is_masked(x):
        return False
    if x.dtype == np.uint8 or x.dtype.kind == "b":
        return True
    with np.errstate(invalid="ignore"):
        low, high = float(x.min()), float(x.max())  # NaN where a cell is missing
    return levels_between(low, high, x.shape[1], lambda: bool(np.all(x == np.rint(x))))


def levels_between(low: float, high: float, columns: int, whole: Callable[[], bool]) -> bool:
    """`is_levels` of vectors without holes, by their least and greatest number."""
    if 0 <= low <= high <= 1:
        return True
    grey = columns >= 64 and 0 <= low < _GREY_FLOAT[0] and _GREY_FLOAT[1] < high <= _GREY_FLOAT[2]
    return grey and whole()


def row_chunks(x: np.ndarray) -> Iterator[slice]:
    """Slices over the leading axis of about a million elements each."""
    n = x.shape[0]
    step = max(1, _CHUNK // max(1, x.size // max(1, n)))
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


def require_room(n_bytes: int, where: str) -> None:
    """Refuse what cannot fit, before it is allocated.

    Raises:
        DataError: ``n_bytes`` is more than this machine's memory.
    """
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on this platform: numpy will say it
        return
    if memory > 0 and n_bytes > memory:
        raise DataError(
            f"{where} claims {n_bytes:,} bytes of data, more than this machine's memory "
            f"({memory:,} bytes): use fewer rows"
        )


def image_shape(x: np.ndarray, where: str) -> np.ndarray:
    """The array as rows: ``(n, d)`` stays, ``(n, h, w)`` gets a channel, ``(n, h, w, c)`` stays.

    Raises:
        DataError: any other shape, an empty array, channels that come first, or text.
    """
    if x.dtype.kind in "US":
        raise _not_real(x.dtype, where)
    if x.ndim not in (2, 3, 4):
        raise DataError(
            f"{where} has {counted(x.ndim, 'axis', 'axes')} (shape {x.shape}): give vectors (n, d) "
            "or images (n, height, width) or (n, height, width, channels)"
        )
    if x.size == 0:
        raise DataError(f"{where} is empty (shape {x.shape}): there is nothing to learn from")
    if x.ndim == 4 and x.shape[1] in (1, 3, 4) and x.shape[3] > 4:
        raise DataError(
            f"{where} has shape {x.shape}, which looks like channels first: "
            "save numpy.moveaxis(x, 1, -1), that is (n, height, width, channels)"
        )
    return x[..., None] if x.ndim == 3 else x


def to_numbers(x: np.ndarray, where: str, *, check: bool = True) -> tuple[np.ndarray, str]:
    """Bytes or float32, and a remark on what was done ("" when nothing was).

    uint8 stays; booleans become 0 and 1; other integers become bytes when all lie within 0..255 and
    float32 otherwise; floats become float32. Nothing is copied that need not be.

    Args:
        x: any array, at least one element.
        where: how messages call it.
        check: refuse values that float32 cannot hold (otherwise they become infinite).

    Raises:
        DataError: complex numbers, text, dates, objects, records; overflow of float32.
    """
    if np.ma.isMaskedArray(x) and np.ma.is_masked(x) and x.dtype.kind in "buif":
        x = np.ma.filled(x.astype(np.promote_types(x.dtype, np.float32)), np.nan)
    x = np.asarray(x)
    kind = x.dtype.kind
    if kind == "b":
        return x.view(np.uint8), "true/false read as 1/0"
    if x.dtype == np.uint8:
        return x, ""
    if kind in "iu":
        return _from_integers(x)
    if kind == "f":
        return _from_floats(x, where, check=check)
    raise _not_real(x.dtype, where)


def _not_real(dtype: np.dtype, where: str) -> DataError:
    return DataError(
        f"{where} holds {_spelt(dtype)}, not real numbers: convert it to uint8 or float32"
    )


def _spelt(dtype: np.dtype) -> str:
    names = {"c": "complex numbers", "U": "text", "S": "text", "O": "Python objects"}
    names |= {"M": "dates", "m": "time spans", "V": "records"}
    return f"{names.get(dtype.kind, 'values')} ({shown(dtype)})"


def _from_integers(x: np.ndarray) -> tuple[np.ndarray, str]:
    low, high = int(x.min()), int(x.max())
    if low >= 0 and high <= 255:
        return x.astype(np.uint8), f"{x.dtype.name} values {low}–{high} read as bytes"
    exact = max(-low, high) <= 1 << 24
    rounded = "" if exact else ", rounded to 24 bits"
    return x.astype(np.float32), f"{x.dtype.name} values read as float32{rounded}"


def _from_floats(x: np.ndarray, where: str, *, check: bool) -> tuple[np.ndarray, str]:
    if x.dtype == np.float32 and x.dtype.isnative:
        return x, ""
    remark = "" if x.dtype.itemsize == 4 else f"{x.dtype.name} read as float32"
    out = np.empty(x.shape, np.float32)
    for rows in row_chunks(x):
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            out[rows] = x[rows]
        if check and x.dtype.itemsize > 4:
            lost = np.isinf(out[rows]) & np.isfinite(x[rows])
            if lost.any():
                place = place_of(lost, rows.start)
                raise DataError(
                    f"{where} holds values that float32 cannot hold (beyond 3.4e38), the first at "
                    f"{place}: rescale the data"
                )
    return out, remark


def place_of(hit: np.ndarray, first_row: int = 0) -> str:
    """Where the first true cell is: ``row 3, column 7 (counted from 0)``."""
    row, *cell = (int(i) for i in np.unravel_index(int(np.argmax(hit)), hit.shape))
    row += first_row
    if len(cell) == 1:
        return f"row {row:,}, column {cell[0]} (counted from 0)"
    channel = f", channel {cell[2]}" if hit.shape[-1] > 1 else ""
    return f"image {row:,}, pixel ({cell[0]}, {cell[1]}){channel} (counted from 0)"


def check_finite(x: np.ndarray, where: str) -> None:
    """Refuse infinity, with its count and the first place; NaN is an element not observed.

    Raises:
        DataError: there is at least one, or no element was observed.
    """
    if x.dtype == np.uint8:
        return
    count, missing, first = 0, 0, ""
    for rows in row_chunks(x):
        hit = np.isinf(x[rows])
        found = int(hit.sum())
        if found and not count:
            first = place_of(hit, rows.start)
        count += found
        missing += int(np.isnan(x[rows]).sum())
    if count:
        raise DataError(
            f"{where} has {counted(count, 'infinite value')}, the first at {first}: mend them, or "
            "set them to NaN to have them taken as missing"
        )
    if missing and missing == x.size:
        raise DataError(f"{where} holds nothing but missing values (NaN): there is nothing to read")


def holes_in_words(parts: Sequence[np.ndarray]) -> str:
    """``3,210 pixels (5.1%) of 200 images are missing``; nothing where all were observed."""
    cells = rows = 0
    for x in parts:
        for some in row_chunks(x) if x.dtype != np.uint8 else ():
            missing = np.isnan(x[some]).reshape(len(x[some]), -1).sum(axis=1)
            cells, rows = cells + int(missing.sum()), rows + int(np.count_nonzero(missing))
    if not cells:
        return ""
    cell, row = ("pixel", "image") if parts[0].ndim > 2 else ("cell", "row")
    share = cells / sum(x.size for x in parts)
    return f"{counted(cells, cell)} ({share:.1%}) of {counted(rows, row)} missing (NaN)"


def to_labels(y: np.ndarray, n: int, where: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels as int64, and their names where they were text (codes in sorted order).

    Whole numbers stored as floats are taken as integers.

    Raises:
        DataError: not one label per row, or not whole numbers.
    """
    y = np.asarray(y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise DataError(
            f"the labels of {where} have shape {y.shape}: give one label per row, shape ({n},) "
            "(for one-hot labels, their argmax)"
        )
    if len(y) != n:
        raise DataError(f"{where} has {counted(len(y), 'label')} for {counted(n, 'row')}")
    kind = y.dtype.kind
    if kind in "US":
        names, codes = np.unique(y, return_inverse=True)
        text = [n.decode("utf-8", "replace") if isinstance(n, bytes) else str(n) for n in names]
        return codes.astype(np.int64), tuple(text)
    if kind == "f" and bool(np.all(np.isfinite(y)) and np.all(y == np.trunc(y))):
        return y.astype(np.int64), ()
    if kind in "bi" or (kind == "u" and (y.size == 0 or int(y.max()) < 1 << 63)):
        return y.astype(np.int64), ()
    raise DataError(f"the labels of {where} must be whole numbers or text, not {_spelt(y.dtype)}")
