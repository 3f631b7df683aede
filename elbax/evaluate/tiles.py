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

TILE = 250  # rows; the products are efficient from about a hundred on, and the memory stays small


def map_rows(
    function: Callable[..., PyTree],
    model: PyTree,
    rows: np.ndarray,
    key: PRNGKeyArray,
) -> PyTree:
    """`function(model, row, key of the row)` for each row.

    Args:
        function: A function of the model, one datum as stored, and a key.
        model: Any pytree, passed through.
        rows: The data as stored, rows along the leading axis; at least one.
        key: Row i gets `fold_in(key, i)`.

    Returns:
        The results as numpy arrays, rows along the leading axis.
    """
    parts = []
    for start in range(0, len(rows), TILE):
        tile = rows[start : start + TILE]
        count = len(tile)
        if count < TILE:
            tile = np.concatenate([tile, np.repeat(tile[-1:], TILE - count, axis=0)])
        out = _map_tile(function, model, tile, np.arange(start, start + TILE), key)
        parts.append(jax.tree.map(lambda a, n=count: np.asarray(a)[:n], out))
    return jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)


@eqx.filter_jit
def _map_tile(
    function: Callable[..., PyTree], model: PyTree, tile: Any, numbers: Any, key: PRNGKeyArray
) -> PyTree:
    def one(row: Any, number: Any) -> PyTree:
        return function(model, row, jax.random.fold_in(key, number))

    return jax.vmap(one)(tile, numbers)
