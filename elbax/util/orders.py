"""Random orders that no release of NumPy changes.

NumPy promises the raw output of its bit generators and nothing of what `Generator` makes of it
(NEP 19). A run must be resumed to the same bits by another release, so the order of its rows is
defined here: by the very method that `Generator.permutation` has had since NumPy 1.19, which is
forty times as fast and serves as long as it does the same.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np

_PROBE = 1000


def permutation(n: int, source: np.random.BitGenerator) -> np.ndarray:
    """The numbers below n in a random order: Fisher and Yates' shuffle from the end.

    The place that a number is exchanged with is the first of the source's numbers of 32 bits that,
    cut to as many bits as its own place has, does not lie behind it.

    Args:
        n: How many, below 2³².
        source: Raw numbers of 64 bits; it is used up.

    Returns:
        (n,) of int64.
    """
    if n > 1 and _numpy_agrees():
        return np.random.Generator(source).permutation(n)
    return shuffled(n, source)


@functools.cache
def _numpy_agrees() -> bool:
    """Whether this NumPy still makes the orders that are defined here."""
    theirs = np.random.Generator(np.random.Philox(key=_PROBE)).permutation(_PROBE)
    return np.array_equal(theirs, shuffled(_PROBE, np.random.Philox(key=_PROBE)))


def shuffled(n: int, source: np.random.BitGenerator) -> np.ndarray:
    """`permutation`, by its definition alone."""
    order, bits = list(range(n)), _halves(source)
    for last in range(n - 1, 0, -1):
        mask = (1 << last.bit_length()) - 1
        place = next(bits) & mask
        while place > last:
            place = next(bits) & mask
        order[last], order[place] = order[place], order[last]
    return np.asarray(order, np.int64)


def _halves(source: np.random.BitGenerator) -> Iterator[int]:
    """Numbers of 32 bits without end: the lower half of each raw number before the upper."""
    while True:
        for raw in np.asarray(source.random_raw(_PROBE), np.uint64).tolist():
            yield raw & 0xFFFFFFFF
            yield raw >> 32
