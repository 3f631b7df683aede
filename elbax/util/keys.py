"""The randomness that belongs to a seed: one key for each thing that draws.

`jax.random.split(k)[i]` is `jax.random.fold_in(k, i)`: the children of a key are numbered,
whichever of the two makes them. So what is *counted* (rows, draws, steps, layers) has the numbers
below 2³¹, and what is *named* has those above, made of its name: whoever counts the children of a
key meets nobody who names them.
"""

from __future__ import annotations

import zlib
from typing import Any

import jax

_NAMED = 2**31


def stream(key: Any, name: str) -> Any:
    """The randomness of one use of a key: apart from that of every other name and of every number.

    Args:
        key: A key that others use as well.
        name: What draws. A constant of the code: two names of one key must differ in their checksum
            (a test compares all that there are).
    """
    return jax.random.fold_in(key, number_of(name))


def number_of(name: str) -> int:
    """What a name folds into a key: from 2³¹ to 2³² − 1."""
    return _NAMED | (zlib.crc32(name.encode()) & (_NAMED - 1))


def of_seed(seed: int, use: str) -> Any:
    """The randomness of one use of a trained model, by a seed: samples, a figure, filled cells."""
    return stream(jax.random.key(seed), use)


def evaluation_key(seed: int) -> Any:
    """The randomness of evaluation that belongs to a seed."""
    return keys(seed)[2]


def keys(seed: int) -> tuple[Any, Any, Any]:
    """The keys of the initial parameters, of the run, and of evaluation."""
    model, run, evaluation = jax.random.split(jax.random.key(seed), 3)
    return model, run, evaluation
