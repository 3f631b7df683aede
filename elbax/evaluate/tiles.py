"""Applying a function of one datum to many, in tiles of a fixed size.

Two results depend on nothing but the datum: noise is keyed by the row's number, and the arithmetic
runs in tiles of one shape, because a float32 product changes in its last bits with the shape of the
batch that it stands in. Small tiles run one after the other inside one compiled program: to call
one from Python takes longer than a small model's row. Several devices (`spread_over`) take turns at
the tiles, which stay what they are.
"""

import contextlib
import contextvars
import dataclasses
import functools
import math
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec
from jaxtyping import Array, Int, PRNGKeyArray, PyTree

from elbax.model.conditioning import at_condition
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.util import environment
from elbax.util.keys import stream
from elbax.util.layout import Layout

TILE = 500  # rows: nearly the speed of one large product, and the memory stays small
_MOST_TILES = 64  # in one call: what a call costs is then nothing, and it ends within seconds
_MOST_NUMBERS = 10_000_000  # in the rows of a tile: fewer stand together where they are large


@dataclasses.dataclass(frozen=True)
class Conditioned:
    """Rows, with the condition of each.

    Whatever is measured of them by `map_rows` is then of x given the condition.

    Attributes:
        x: Data as stored, rows along the leading axis.
        condition: (rows, numbers): a label as a one-hot vector, say.
    """

    x: np.ndarray
    condition: np.ndarray

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: Any) -> "Conditioned":
        return Conditioned(self.x[rows], self.condition[rows])


Rows = np.ndarray | Conditioned

_layout: contextvars.ContextVar[Layout | None] = contextvars.ContextVar("layout", default=None)


@contextlib.contextmanager
def spread_over(layout: Layout | None) -> Iterator[None]:
    """Has `map_rows` share out its tiles among devices, within the block.

    Where they are of several processes, each of them is to make the same calls, and gets the
    results of all rows.
    """
    before = _layout.set(layout)
    try:
        yield
    finally:
        _layout.reset(before)


def stored(rows: Rows) -> np.ndarray:
    """The rows themselves."""
    return rows.x if isinstance(rows, Conditioned) else rows


def map_rows(
    function: Callable[..., PyTree],
    model: PyTree,
    rows: Rows,
    key: PRNGKeyArray,
    tile: int = TILE,
    numbers: np.ndarray | None = None,
) -> PyTree:
    """`function(model, row, key of the row)` for each row.

    Args:
        function: A function of the model, one datum as stored, and a key.
        model: Any pytree, passed through; the models in it are given each row's condition, where
            the rows have one.
        rows: The data as stored, rows along the leading axis; at least one.
        key: Row i gets `fold_in(key, i)`. What it draws it names (`elbax.util.keys.stream`), so
            that no two estimates at one key share noise but by intent.
        tile: How many rows stand together; a constant of the caller, never a user's choice. Fewer
            for a function that is itself over many samples, and of rows of very many numbers.
        numbers: What row i's key is made of in the place of i: whole numbers from 0 to 2³¹ − 1.
            `content_numbers` makes a result depend on what the row is, not on where it stands.

    Returns:
        The results as numpy arrays, rows along the leading axis.
    """
    numbers = np.arange(len(rows)) if numbers is None else numbers
    parts = []
    x, condition = stored(rows), rows.condition if isinstance(rows, Conditioned) else None
    most = max(1, _MOST_NUMBERS // max(1, math.prod(x.shape[1:])))
    tile = min(tile, most)
    layout = _layout.get()
    tiles = min(_MOST_TILES, max(1, min(TILE, most) // tile))  # of a device, in one call
    block = tile * tiles * (1 if layout is None else layout.size)
    compute = _compiled() if layout is None else functools.partial(_spread, layout)
    for start in range(0, len(rows), block):
        count = -(-min(block, len(rows) - start) // tile)
        # Past the end the last row stands again; only whole tiles of that are computed.
        chosen = np.minimum(np.arange(start, start + block), len(rows) - 1)
        part = x[start : start + block] if chosen[-1] == start + block - 1 else x[chosen]
        given = None if condition is None else condition[chosen]
        part_numbers = np.asarray(numbers[chosen], np.int32)
        # Of one device fetched only at the end, so that the next block is prepared while this one
        # is computed.
        block_rows = part, given, part_numbers
        parts.append(compute(function, model, block_rows, key, tile, np.int32(count)))
    return jax.tree.map(lambda *blocks: np.concatenate(blocks)[: len(rows)], *parts)


def _spread(
    layout: Layout,
    function: Callable[..., PyTree],
    model: PyTree,
    rows: PyTree,
    key: PRNGKeyArray,
    tile: int,
    count: np.int32,
) -> PyTree:
    """As `_map_block`, by the devices in turn: tile i by device i modulo their number."""
    places = np.arange(len(rows[-1])).reshape(-1, layout.size, tile)
    order = places.swapaxes(0, 1).ravel()  # what is the first device's comes first
    counts = np.maximum(0, -(-(count - np.arange(layout.size)) // layout.size)).astype(np.int32)
    arrays, rest = eqx.partition((function, model, key), eqx.is_array)
    found = _shared()(
        layout.everywhere(arrays),
        rest,
        layout.shared(jax.tree.map(lambda a: a[order], rows)),
        layout.shared(counts),
        tile,
        layout,
    )
    back = np.argsort(order)
    return jax.tree.map(lambda a: a[back], layout.gathered(found))


@functools.cache
def _shared() -> Callable[..., PyTree]:
    return eqx.filter_jit(_map_shares, **environment.quick_compilation())


def _map_shares(
    arrays: PyTree, rest: PyTree, rows: PyTree, counts: Array, tile: int, layout: Layout
) -> PyTree:
    def of_device(arrays: PyTree, rows: PyTree, counts: Array) -> PyTree:
        function, model, key = eqx.combine(arrays, rest)
        return _map_block(function, model, rows, key, tile, counts[0])

    everywhere, share = PartitionSpec(), PartitionSpec("data")
    run = jax.shard_map(
        of_device,
        mesh=layout.mesh,
        in_specs=(everywhere, share, share),
        out_specs=share,
        check_vma=False,  # what differs between devices is their rows alone
    )
    return run(arrays, rows, counts)


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


def binary_datum(key: PRNGKeyArray) -> PRNGKeyArray:
    """Of a row's key: the one binary draw of it, the same for all estimates of its log p(x)."""
    return stream(key, "binary datum")


@functools.cache
def _compiled() -> Callable[..., PyTree]:
    return eqx.filter_jit(_map_block, **environment.quick_compilation())


def _map_block(
    function: Callable[..., PyTree],
    model: PyTree,
    rows: PyTree,
    key: PRNGKeyArray,
    tile: int,
    count: Any,
) -> PyTree:
    """The first `count` tiles of a block of rows; what the others give is 0."""

    def one(row: Any, condition: Any, number: Any) -> PyTree:
        knowing = model if condition is None else _at_condition(model, condition)
        return function(knowing, row, jax.random.fold_in(key, number))

    tiles = jax.tree.map(lambda a: a.reshape(-1, tile, *a.shape[1:]), rows)
    if jax.tree.leaves(tiles)[0].shape[0] == 1:
        return jax.vmap(one)(*rows)

    def of_tile(i: Any) -> PyTree:
        if tile == 1:  # not mapped, so that a row which needs nothing (`lax.cond`) costs nothing
            alone = one(*jax.tree.map(lambda a: a[i, 0], tiles))
            return jax.tree.map(lambda a: jnp.asarray(a)[None], alone)
        return jax.vmap(one)(*jax.tree.map(lambda a: a[i], tiles))

    # Python runs through it once, not a second time for the shapes of what it gives.
    of_tile = jax.jit(of_tile, inline=True)

    def body(i: Any, found: PyTree) -> PyTree:
        return jax.tree.map(lambda whole, part: whole.at[i].set(part), found, of_tile(i))

    shapes = jax.eval_shape(of_tile, np.int32(0))
    of_all = jax.tree.leaves(tiles)[0].shape[:1]
    blank = jax.tree.map(lambda a: jnp.zeros(of_all + a.shape, a.dtype), shapes)
    found = jax.lax.fori_loop(0, count, body, blank)
    return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), found)


def _at_condition(model: PyTree, condition: Array) -> PyTree:
    return jax.tree.map(
        lambda part: (
            at_condition(part, condition) if isinstance(part, LatentVariableModel) else part
        ),
        model,
        is_leaf=lambda part: isinstance(part, LatentVariableModel),
    )
