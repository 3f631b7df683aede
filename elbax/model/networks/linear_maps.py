"""Linear maps whose transpose is written by hand: what JAX derives of them is slow on a CPU.

`jax.custom_vjp` would have each datum's own gradient under `vmap`, and refuses forward-mode
derivatives; `jax.custom_batching` refuses gradients. A primitive has neither limit, and a linear
one needs no more than its transpose. Leading axes are data: `vmap` adds another.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float


def transposed_pair(
    name: str, there: Callable[..., Array], back: Callable[..., Array]
) -> tuple[Callable[..., Array], Callable[..., Array]]:
    """Two linear maps of one array, each the other's transpose as far as JAX is concerned.

    Args:
        name: What the first is called in a `jaxpr`; the second is its transpose.
        there: A linear map that treats leading axes as data; its options are keywords, hashable.
        back: Its transpose, with the same options.

    Returns:
        Both, as functions of the array and the options.
    """
    one, other = _primitive(name, there), _primitive(f"{name}_transposed", back)
    ad.deflinear2(one, lambda cotangent, _, **options: [other.bind(cotangent, **options)])
    ad.deflinear2(other, lambda cotangent, _, **options: [one.bind(cotangent, **options)])
    for primitive in (one, other):
        batching.primitive_batchers[primitive] = functools.partial(_batch_leading, primitive)
    return one.bind, other.bind


def row_product(rows: Float[Array, "*data in"], matrix: Float[Array, "in out"]) -> Array:
    """`rows @ matrix`, with a gradient by the matrix that is fast for many rows.

    That gradient is rowsᵀ @ cotangent, which contracts the long axis of both. XLA folds the
    transpose into the product and then takes a path two to three times slower than that of products
    as they are. So the smaller of the two is transposed first, and barriers keep it so. The rows of
    all data are one product.

    Args:
        rows: Rows; any number of leading axes.
        matrix: One matrix for all of them.

    Returns:
        `(*data, out)`.
    """
    return _row_product.bind(rows, matrix)


def _primitive(name: str, function: Callable[..., Array]) -> Primitive:
    primitive = Primitive(name)

    @functools.cache
    def compiled(**options: Any) -> Callable[..., Array]:
        return jax.jit(functools.partial(function, **options))

    def impl(*values: Array, **options: Any) -> Array:
        return compiled(**options)(*values)

    def abstract(*values: Any, **options: Any) -> Any:
        found = jax.eval_shape(functools.partial(function, **options), *values)
        return ShapedArray(found.shape, found.dtype)

    primitive.def_impl(impl)
    primitive.def_abstract_eval(abstract)
    mlir.register_lowering(primitive, mlir.lower_fun(function, multiple_results=False))
    return primitive


def _batch_leading(
    primitive: Primitive, values: Any, axes: Any, **options: Any
) -> tuple[Array, int]:
    (value,), (axis,) = values, axes
    return primitive.bind(jnp.moveaxis(value, axis, 0), **options), 0


# --- the product of rows -------------------------------------------------------------------


def _plain(rows: Array, matrix: Array) -> Array:
    return rows @ matrix


def _by_rows(cotangent: Array, _: Any, matrix: Array) -> Array:
    return row_product(cotangent, matrix.T)


def _by_matrix(cotangent: Array, rows: Array, _: Any) -> Array:
    rows, cotangent = (x.reshape(-1, x.shape[-1]) for x in (rows, cotangent))
    kept = jax.lax.optimization_barrier
    if rows.shape[1] < cotangent.shape[1]:
        return kept(kept(rows.T) @ cotangent)
    return kept(kept(cotangent.T) @ rows).T


def _batch_rows(values: Any, axes: Any) -> tuple[Array, int]:
    (rows, matrix), (row_axis, matrix_axis) = values, axes
    if matrix_axis is None:  # one for all
        return row_product(jnp.moveaxis(rows, row_axis, 0), matrix), 0
    return jax.vmap(_plain, in_axes=(row_axis, matrix_axis))(rows, matrix), 0


_row_product = _primitive("row_product", _plain)
ad.defbilinear(_row_product, _by_rows, _by_matrix)
batching.primitive_batchers[_row_product] = _batch_rows
