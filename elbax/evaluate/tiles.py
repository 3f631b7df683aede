"""Applying a function of one datum to many, in tiles of a fixed size.

Two results depend on nothing but the datum: noise is keyed by the row's number, and the arithmetic
runs in tiles of one shape, because a float32 product changes in its last bits with the shape of the
batch that it stands in.
"""

import zlib
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Int, PRNGKeyArray, PyTree

TILE = 500  # rows: nearly the speed of one large product, and the memory stays small


def map_rows(
    function: Callable[..., PyTree],
    model: PyTree,
    rows: np.ndarray,
    key: PRNGKeyArray,
    tile: int = TILE,
    numbers: np.ndarray | None = None,
) -> PyTree:
    """`function(model, row, key of the row)` for each row.

    Args:
        function: A function of the model, one datum as stored, and a key.
        model: Any pytree, passed through.
        rows: The data as stored, rows along the leading axis; at least one.
        key: Row i gets `fold_in(key, i)`.
        tile: How many rows stand together; a constant of the caller, never a user's choice. Fewer
            for a function that is itself over many samples.
        numbers: What row i's key is made of in the place of i: whole numbers from 0 to 2³¹ − 1.
            `content_numbers` makes a result depend on what the row is, not on where it stands.

    Returns:
        The results as numpy arrays, rows along the leading axis.
    """
    numbers = np.arange(len(rows)) if numbers is None else numbers
    parts = []
    for start in range(0, len(rows), tile):
        part = rows[start : start + tile]
        part_numbers = np.asarray(numbers[start : start + tile], np.int32)
        if len(part) < tile:
            filling = tile - len(part)
            part = np.concatenate([part, np.repeat(part[-1:], filling, axis=0)])
            part_numbers = np.pad(part_numbers, (0, filling))
        # Fetched only at the end, so that the next tile is prepared while this one is computed.
        parts.append(_map_tile(function, model, part, part_numbers, key))
    return jax.tree.map(lambda *tiles: np.concatenate(tiles)[: len(rows)], *parts)


def content_numbers(rows: np.ndarray) -> Int[np.ndarray, " rows"]:
    """A number for each row that depends on nothing but its content: a checksum of its bytes.

    For the `numbers` of `map_rows`. Equal rows get equal numbers, whatever stands beside them; two
    rows that share one by chance (of 2³¹) only share their noise.

    Args:
        rows: The data, rows along the leading axis; −0 is 0, and one NaN is as another.
    """
    plain = np.where(np.isnan(rows), np.nan, rows + 0.0).astype(rows.dtype)
    found = (zlib.crc32(row.tobytes()) & 0x7FFFFFFF for row in plain)
    return np.fromiter(found, np.int32, len(rows))


@eqx.filter_jit
def _map_tile(
    function: Callable[..., PyTree], model: PyTree, tile: Any, numbers: Any, key: PRNGKeyArray
) -> PyTree:
    def one(row: Any, number: Any) -> PyTree:
        return function(model, row, jax.random.fold_in(key, number))

    return jax.vmap(one)(tile, numbers)
