"""Applying a function of one datum to many, in tiles of a fixed size.

Two results depend on nothing but the datum: noise is keyed by the row's number, and the arithmetic
runs in tiles of one shape, because a float32 product changes in its last bits with the shape of the
batch that it stands in.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PRNGKeyArray, PyTree

TILE = 500  # rows: nearly the speed of one large product, and the memory stays small


def map_rows(
    function: Callable[..., PyTree],
    model: PyTree,
    rows: np.ndarray,
    key: PRNGKeyArray,
    tile: int = TILE,
) -> PyTree:
    """`function(model, row, key of the row)` for each row.

    Args:
        function: A function of the model, one datum as stored, and a key.
        model: Any pytree, passed through.
        rows: The data as stored, rows along the leading axis; at least one.
        key: Row i gets `fold_in(key, i)`.
        tile: How many rows stand together; a constant of the caller, never a user's choice. Fewer
            for a function that is itself over many samples.

    Returns:
        The results as numpy arrays, rows along the leading axis.
    """
    parts = []
    for start in range(0, len(rows), tile):
        part = rows[start : start + tile]
        if len(part) < tile:
            part = np.concatenate([part, np.repeat(part[-1:], tile - len(part), axis=0)])
        # Fetched only at the end, so that the next tile is prepared while this one is computed.
        parts.append(_map_tile(function, model, part, np.arange(start, start + tile), key))
    return jax.tree.map(lambda *tiles: np.concatenate(tiles)[: len(rows)], *parts)


@eqx.filter_jit
def _map_tile(
    function: Callable[..., PyTree], model: PyTree, tile: Any, numbers: Any, key: PRNGKeyArray
) -> PyTree:
    def one(row: Any, number: Any) -> PyTree:
        return function(model, row, jax.random.fold_in(key, number))

    return jax.vmap(one)(tile, numbers)
