"""What a reader hands over, and its fixed splits, fixed binarisation and fingerprint.

Everything random here comes from the raw output of Philox4x64-10 (Salmon et al., 2011), which numpy
promises never to change; its ``Generator`` methods (``permutation``, ``random``) carry no such
promise (NEP 19), and a split must be the same on every machine for years.
"""

import hashlib
import sys
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from elbax.data.arrays import check_finite, place_of, row_chunks
from elbax.data.errors import DataError
from elbax.util.words import counted

# The first digits of π: nothing up the sleeve. Not a run's seed: the same for everybody.
_BINARIZE_KEY = 3_141_592_653
_SPLIT_KEY = 2_718_281_828

MINIMUM_ROWS = 3


SplitRule = Literal["tail", "stratified", "permuted", "given"]


class Part(NamedTuple):
    """One stored array and its labels; row *i* here is row *i* of the file, or `origin[i]`."""

    x: np.ndarray
    label: np.ndarray | None = None
    origin: np.ndarray | None = None


@dataclass(frozen=True)
class Raw:
    """Everything a reader knows.

    Attributes:
        name: the data set's name, or the stem of its path.
        source: citation or path, one line.
        parts: ``all``; or ``train`` and ``test``; or ``train``, ``validation`` and ``test``.
        rule: how the parts become splits. ``tail``: the training part's last rows are the
            validation split; ``stratified`` and ``permuted``: in a fixed random order, each class
            spread evenly or not; ``given``: the file holds all three.
        validation: rows of validation data by default (None: a tenth).
        test: rows of test data when the part is ``all`` (None: a tenth).
        levels: the byte that means 1 (255 for grey levels); None: found from the data.
        label_names: names of the labels 0, 1, …, where there are any.
        where: how messages call the arrays, part by part.
        names: of vectors, what their columns are called, where they have names.
    """

    name: str
    source: str
    parts: dict[str, Part]
    rule: SplitRule = "permuted"
    validation: int | None = None
    test: int | None = None
    levels: int | None = None
    label_names: tuple[str, ...] = ()
    where: dict[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()


def _raw_stream(*key: int) -> np.random.Philox:
    return np.random.Philox(key=np.array(key, np.uint64))


def permutation(n: int, seed: int) -> np.ndarray:
    """A random order of ``n`` rows that depends on ``seed`` alone. Shape (n,), int64."""
    return np.argsort(_raw_stream(_SPLIT_KEY, seed).random_raw(n), kind="stable")


def stratified_permutation(label: np.ndarray, seed: int) -> np.ndarray:
    """A random order in which every stretch holds the classes in proportion. Shape (n,), int64.

    The members of a class, in random order, are put at equal distances over the whole; ties between
    classes are decided by the random order. So the last tenth holds a tenth of every class.
    """
    order = permutation(len(label), seed)
    position = np.empty(len(label))
    for value in np.unique(label):
        members = np.flatnonzero(label[order] == value)
        position[members] = (np.arange(len(members)) + 0.5) / len(members)
    return order[np.argsort(position, kind="stable")]


def binarise(x: np.ndarray, scale: float, stream: int, where: str) -> np.ndarray:
    """One Bernoulli draw per pixel, P(1) = value × scale: the same draw for everybody.

    Args:
        x: (n, …) bytes or float32.
        scale: what one unit is worth, so that values become probabilities.
        stream: number of the stored part (training file 0, test file 1, …).
        where: how messages call the array.

    Returns:
        (n, …) bytes, 0 or 1.

    Raises:
        DataError: a value is not a probability after scaling.
    """
    check_finite(x, where)
    if x.dtype != np.uint8 and np.isnan(x).any():
        raise DataError(
            f"{where} has missing values (NaN), which static binarisation cannot keep: give "
            "--binarize dynamic"
        )
    check_probabilities(x, scale, where)
    bits = _raw_stream(_BINARIZE_KEY, stream)
    out = np.empty(x.shape, np.uint8)
    for rows in row_chunks(x):
        chunk = x[rows]
        draw = bits.random_raw(chunk.size)
        # 53 bits of each draw, as a number in [0, 1): a pixel of 1 is then always 1, of 0 never.
        uniform = (draw >> np.uint64(11)).reshape(chunk.shape) * 2.0**-53
        np.less(uniform, chunk * scale, out=out[rows], casting="unsafe")
    return out


def check_probabilities(
    x: np.ndarray, scale: float, where: str, likelihood: str = "bernoulli"
) -> None:
    """Refuse values that are not probabilities once scaled.

    Raises:
        DataError: naming the first place, and the classic: bytes given as floats 0–255.
    """
    if x.dtype == np.uint8:
        highest = int(x.max(initial=0))
        if highest * scale <= 1 + 1e-9:
            return
        raise DataError(f"{where} has bytes up to {highest}, more than {1 / scale:g}")
    low, high, whole, first = np.inf, -np.inf, True, ""
    for rows in row_chunks(x):
        chunk = x[rows]
        missing = np.isnan(chunk)
        outside = ~((chunk >= 0) & (chunk * scale <= 1) | missing)
        if outside.any() and not first:
            first = place_of(outside, rows.start)
        low = min(low, float(np.nanmin(chunk, initial=np.inf)))
        high = max(high, float(np.nanmax(chunk, initial=-np.inf)))
        whole = whole and bool(np.all((chunk == np.round(chunk)) | missing))
    if not first:
        return
    if low >= 0 and high <= 255 and (whole or (x.ndim == 4 and high > 16)):
        raise DataError(
            f"{where} runs from {low:g} to {high:g}: these look like grey levels (bytes) stored as "
            f"floats; divide by 255 or save as uint8 (the first outside [0, 1] at {first})"
        )
    raise DataError(
        f"{where} runs from {low:g} to {high:g}, outside [0, 1]: a {likelihood} likelihood and "
        f"binarisation need probabilities; rescale, or use the normal likelihood "
        f"(the first at {first})"
    )


def split(
    raw: Raw, parts: dict[str, Part], validation: int | None, seed: int, *, check: bool
) -> tuple[dict[str, Part], str]:
    """The three splits, as C-contiguous arrays, and one line saying how they were made.

    Raises:
        DataError: too few rows, or a validation size that leaves nothing to train on.
    """
    if validation is not None and validation < 0:
        raise DataError(f"validation = {validation}: the number of rows cannot be negative")
    if "validation" in parts:
        if validation is not None:
            raise DataError(
                f"{raw.name} holds its own validation data: leave the validation size out"
            )
        made = {name: _rows(part, slice(None)) for name, part in parts.items()}
        counts = ", ".join(f"{name} {len(part.x):,}" for name, part in made.items())
        return made, f"as stored in the file: {counts} rows"
    if "test" in parts:
        return _split_training_part(raw, parts, validation, seed)
    return _split_whole(raw, parts["all"], validation, seed, check=check)


def _rows(part: Part, rows: slice | np.ndarray) -> Part:
    x = np.ascontiguousarray(part.x[rows])
    label = None if part.label is None else np.ascontiguousarray(part.label[rows])
    return Part(x, label)


def _numbered(part: Part, rows: np.ndarray) -> Part:
    return _rows(part, rows)._replace(origin=rows)


def _split_training_part(
    raw: Raw, parts: dict[str, Part], validation: int | None, seed: int
) -> tuple[dict[str, Part], str]:
    n = len(parts["train"].x)
    held = _held_out(validation, raw.validation, n)
    _leave_some(raw, held, n, 0)
    test = f"test: {counted(len(parts['test'].x), 'row')} of the test file"
    if raw.rule == "tail" or held == 0:
        train_rows, validation_rows = slice(0, n - held), slice(n - held, n)
        line = f"train: rows 0–{n - held - 1:,} of the training file; "
        line += f"validation: rows {n - held:,}–{n - 1:,}; " if held else "no validation; "
    else:
        order = permutation(n, seed)
        train_rows, validation_rows = order[: n - held], order[n - held :]
        line = f"training rows in a fixed random order (Philox, seed {seed}): train the first "
        line += f"{n - held:,}, validation the last {held:,}; "
    made = {
        "train": _rows(parts["train"], train_rows),
        "validation": _rows(parts["train"], validation_rows),
        "test": _rows(parts["test"], slice(None)),
    }
    return made, line + test


def _split_whole(
    raw: Raw, part: Part, validation: int | None, seed: int, *, check: bool
) -> tuple[dict[str, Part], str]:
    n = len(part.x)
    if n < MINIMUM_ROWS:
        if check:
            raise DataError(
                f"{raw.where.get('all', raw.name)} has "
                f"{counted(n, 'row' if part.x.ndim == 2 else 'image')} only: at least "
                f"{MINIMUM_ROWS} are needed to split it into train, validation and test"
            )
        none = _numbered(part, np.arange(0))
        all_rows = _numbered(part, np.arange(n))
        return {"train": all_rows, "validation": none, "test": none}, "too few rows to split"
    test = raw.test if raw.test is not None else max(1, n // 10)
    held = _held_out(validation, raw.validation, n)
    _leave_some(raw, held, n, test)
    if raw.rule == "stratified" and part.label is not None:
        order, how = stratified_permutation(part.label, 0), "each class in proportion"
    else:
        order, how = permutation(n, seed), f"Philox, seed {seed}"
    train = n - test - held
    take = _numbered if raw.rule == "permuted" else _rows
    made = {
        "train": take(part, order[:train]),
        "validation": take(part, order[train : train + held]),
        "test": take(part, order[train + held :]),
    }
    line = f"rows in a fixed random order ({how}): train the first {train:,}, "
    return made, line + f"validation the next {held:,}, test the last {test:,}"


def _held_out(asked: int | None, default: int | None, n: int) -> int:
    if asked is not None:
        return asked
    return default if default is not None else max(1, n // 10)


def _leave_some(raw: Raw, held: int, n: int, test: int) -> None:
    if held + test >= n:
        raise DataError(
            f"validation = {held:,} leaves nothing to train on: {raw.name} has {counted(n, 'row')}"
            + (f", {test:,} of them for testing" if test else " of training data")
        )


def fingerprint(parts: dict[str, Part], levels: int, columns: str = "") -> str:
    """SHA-256 (hex) over values, labels, shapes, dtypes, the split and what the numbers mean.

    Args:
        parts: train, validation and test.
        levels: the byte that means 1.
        columns: what the columns of a table are, in words.
    """
    sha = hashlib.sha256(f"elbax data 1; levels {levels}{columns}".encode())
    for name in ("train", "validation", "test"):
        for role, array in (("x", parts[name].x), ("label", parts[name].label)):
            if array is None:
                continue
            sha.update(f"; {name} {role} {array.dtype.name} {array.shape} ".encode())
            little = array if sys.byteorder == "little" else array.byteswap()
            sha.update(little.reshape(-1).view(np.uint8).data)
    return sha.hexdigest()
