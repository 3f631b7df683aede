"""What of a jaxpr stays in a program: each equation as steps (`elbax.program.steps`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from elbax.program.noise import Key
from elbax.program.noise import row as key_row
from elbax.program.steps import BINARY, UNARY, Program, Value

_MOVES = {
    "broadcast_in_dim", "concatenate", "dynamic_slice", "dynamic_update_slice", "expand_dims",
    "gather", "pad", "reshape", "rev", "scatter", "slice", "split", "squeeze", "transpose",
}  # fmt: skip
# How many of the arguments are moved, where it is not the first alone.
_MOVING = {"concatenate": None, "pad": (0, 1), "scatter": (0, 2), "dynamic_update_slice": (0, 1)}
_SAME = {"copy", "copy_p", "optimization_barrier", "reduce_precision", "stop_gradient"}
_NOWHERE = -1
_REDUCTIONS = {
    "argmax": "argmax", "reduce_and": "reduce_min", "reduce_max": "reduce_max",
    "reduce_min": "reduce_min", "reduce_or": "reduce_max", "reduce_sum": "reduce_sum",
}  # fmt: skip


class Untraceable(ValueError):
    """A function with a step that has no place in a program: one line."""

    def __init__(self, step: str, why: str = "") -> None:
        """Names the step.

        Args:
            step: What JAX calls it.
            why: What of it is not possible, where the step itself is.
        """
        super().__init__(f"the model has a step {step!r}" + (f" ({why})" if why else ""))


def as_value(program: Program, known: Any) -> Value:
    """A value, where what is known is an array."""
    return known if isinstance(known, Value) else program.constant(known)


def row(program: Program, known: Any, i: int) -> Any:
    """Entry `i` of the leading axis."""
    if not isinstance(known, Value):
        return known[i] if not isinstance(known, Key) else key_row(known, i)
    places = np.arange(int(np.prod(known.shape))).reshape(known.shape)
    return program.take(known, places[i])


def stack(program: Program, rows: list[Any]) -> Any:
    """Rows along a new leading axis."""
    if not any(isinstance(one, Value) for one in rows):
        return jnp.stack(rows)
    values = [as_value(program, one) for one in rows]
    return program.step("concatenate", values, (len(values), *values[0].shape))


def steps(program: Program, equation: Any, taken: list[Any]) -> list[Any]:  # noqa: PLR0912 - a table
    """The steps of an equation of which the argument is a part."""
    name, params = equation.primitive.name, equation.params
    shape = equation.outvars[0].aval.shape
    if name in _SAME:
        return taken
    if name in _MOVES:
        return _moved(program, equation, taken)
    values = [as_value(program, one) for one in taken]
    first, last = values[0], values[-1]
    if name in UNARY:
        found = program.step(name, values, shape)
    elif name == "select_n" and first.shape != shape:  # one decides for all
        found = program.step(name, [first, *values[1:]], shape)
    elif name in BINARY or name == "select_n":
        found = program.step(name, [_spread(program, v, shape) for v in values], shape)
    elif name == "clamp":
        low, x, high = (_spread(program, v, shape) for v in values)
        found = program.step("min", [program.step("max", [x, low], shape), high], shape)
    elif name == "integer_pow" and params["y"] == 2:
        found = program.step("square", [first], shape)
    elif name == "integer_pow":
        power = program.constant(np.float32(params["y"]))
        found = program.step("pow", [first, power], shape)
    elif name == "convert_element_type":
        found = _converted(program, first, equation.invars[0].aval.dtype, params["new_dtype"])
    elif name in _REDUCTIONS:
        found = _reduced(program, _REDUCTIONS[name], first, tuple(map(int, params["axes"])), shape)
    elif name == "argmin":
        found = program.step("neg", [first], first.shape)
        found = _reduced(program, "argmax", found, tuple(map(int, params["axes"])), shape)
    elif name == "cumsum":
        found = _running_sum(program, first, params["axis"], reverse=params["reverse"])
    elif name == "dot_general":
        found = _product(program, (first, last), params["dimension_numbers"], shape)
    elif name == "triangular_solve":
        found = _solved(program, first, last, params)
    elif name == "cholesky":
        found = _factored(program, first)
    else:
        raise Untraceable(name)
    return [found]


def _converted(program: Program, value: Value, old: Any, new: Any) -> Value:
    """All numbers are floats: whole ones are cut, and truth is 1."""
    if np.issubdtype(old, np.bool_):
        return value
    if np.issubdtype(old, np.integer) and not np.issubdtype(new, np.bool_):
        return value
    if np.issubdtype(new, np.bool_):
        zero = program.constant(np.float32(0))
        return program.step("ne", [value, zero], value.shape)
    return program.step("trunc", [value], value.shape) if np.issubdtype(new, np.integer) else value


def _spread(program: Program, value: Value, shape: Sequence[int]) -> Value:
    """A value as large as a result: a single number stays one, and so do all the same."""
    known = program.constants.get(value.number)
    if known is not None and known.size > 1 and (known == known.flat[0]).all():
        return program.constant(known.flat[0])
    if value.shape == tuple(shape) or int(np.prod(value.shape)) == 1:
        return value
    places = np.arange(int(np.prod(value.shape))).reshape(value.shape)
    return program.take(value, np.broadcast_to(places, shape))


def _moved(program: Program, equation: Any, taken: list[Any]) -> list[Any]:
    """Numbers at other places: the same is done to the places that they come from."""
    name, sources, start, places = equation.primitive.name, [], 0, list(taken)
    moving = _MOVING.get(name, (0,)) or range(len(taken))
    for i in moving:
        value = as_value(program, taken[i])
        size = int(np.prod(value.shape))
        sources.append(value)
        places[i] = jnp.arange(start, start + size, dtype=jnp.int32).reshape(value.shape)
        start += size
    if any(isinstance(one, Value) for one in places):
        return [_picked(program, equation, taken)]
    found = _rearranged(equation, places)
    source = sources[0]
    if len(sources) > 1:
        source = program.step("concatenate", sources, (start,))
    return [_taken(program, source, np.asarray(one)) for one in found]


def _taken(program: Program, source: Value, places: np.ndarray) -> Value:
    """The numbers at these places; NaN where there is none."""
    there = places != _NOWHERE
    found = program.take(source, np.where(there, places, 0))
    if there.all():
        return found
    nothing = program.constant(np.float32(np.nan))
    which = program.constant(there.astype(np.float32))
    return program.step("select_n", [which, nothing, found], places.shape)


def known(equation: Any, taken: list[Any]) -> list[Any]:
    """What an equation gives of arrays that do not depend on the datum."""
    name, params = equation.primitive.name, equation.params
    if not any(_is_key(one) for one in taken):
        moved = _by_numpy(equation, taken)
        if moved is not None:
            return moved
        if name == "convert_element_type":
            return [np.asarray(taken[0]).astype(params["new_dtype"])]
        if name == "iota":
            axis, shape = params["dimension"], params["shape"]
            spread = [-1 if i == axis else 1 for i in range(len(shape))]
            line = np.arange(shape[axis], dtype=params["dtype"]).reshape(spread)
            return [np.broadcast_to(line, shape)]
    return _bound(equation, taken, params)


def _is_key(one: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(one), jax.dtypes.prng_key)


def _bound(equation: Any, arrays: list[Any], params: dict[str, Any]) -> list[Any]:
    """By JAX itself, which compiles each equation anew."""
    found = equation.primitive.bind(*(jnp.asarray(a) for a in arrays), **params)
    return list(found) if equation.primitive.multiple_results else [found]


def _rearranged(equation: Any, places: list[Any]) -> list[Any]:
    """The places that an equation makes of places."""
    moved = _by_numpy(equation, places)
    if moved is not None:
        return moved
    params = dict(equation.params)
    if "fill_value" in params:  # beyond the ends, which is no place
        params["fill_value"] = _NOWHERE
    return _bound(equation, places, params)


def _by_numpy(equation: Any, arrays: list[Any]) -> list[Any] | None:  # noqa: PLR0911 - a table
    """The arrays that an equation makes of arrays, where NumPy says it as easily."""
    if equation.primitive.name not in _MOVES:
        return None
    params = equation.params
    shape = tuple(equation.outvars[0].aval.shape)
    first = np.asarray(arrays[0])
    match equation.primitive.name:
        case "reshape" | "squeeze" | "expand_dims":
            return [first.reshape(shape)]
        case "broadcast_in_dim":
            spread = [1] * len(shape)
            for axis, length in zip(params["broadcast_dimensions"], first.shape, strict=True):
                spread[axis] = length
            return [np.broadcast_to(first.reshape(spread), shape)]
        case "transpose":
            return [first.transpose(params["permutation"])]
        case "concatenate":
            return [np.concatenate([np.asarray(a) for a in arrays], params["dimension"])]
        case "slice":
            steps = params["strides"] or [1] * first.ndim
            ends = zip(params["start_indices"], params["limit_indices"], steps, strict=True)
            return [first[tuple(slice(*of_axis) for of_axis in ends)]]
        case "rev":
            return [np.flip(first, params["dimensions"])]
        case "split":
            return np.split(first, np.cumsum(params["sizes"])[:-1], params["axis"])
    return None


def _picked(program: Program, equation: Any, taken: list[Any]) -> Value:
    """Numbers at places that depend on the datum: where index 0 leads, and a stride an index."""
    name, params = equation.primitive.name, equation.params
    shape = tuple(equation.outvars[0].aval.shape)
    source = as_value(program, taken[0])
    if name == "gather":
        numbers = params["dimension_numbers"]
        axes, sizes = numbers.start_index_map, params["slice_sizes"]
        index = as_value(program, taken[1])
        rows = np.arange(int(np.prod(index.shape[:-1]))).reshape(index.shape[:-1])
        spread = [1 if axis in numbers.offset_dims else shape[axis] for axis in range(len(shape))]
        rows = np.broadcast_to(rows.reshape(spread), shape)
        parts = [program.take(index, rows * len(axes) + place) for place in range(len(axes))]
        beyond = "fill" in str(params["mode"]).lower()
    elif name == "dynamic_slice":
        axes, sizes, beyond = range(len(source.shape)), params["slice_sizes"], False
        parts = [_spread(program, as_value(program, one), shape) for one in taken[1:]]
    else:
        raise Untraceable(name, "to places that depend on the datum")
    zeros = [np.zeros(atom.aval.shape, np.int32) for atom in equation.invars[1:]]
    numbered = np.arange(int(np.prod(source.shape)), dtype=np.int32).reshape(source.shape)
    places = program.constant(np.asarray(_rearranged(equation, [numbered, *zeros])[0]))
    within = None
    for axis, part in zip(axes, parts, strict=True):
        stride = program.constant(np.float32(np.prod(source.shape[axis + 1 :])))
        last = program.constant(np.float32(source.shape[axis] - sizes[axis]))
        low = program.step("max", [part, program.constant(np.float32(0))], shape)
        kept = program.step("min", [low, last], shape)
        places = program.step("add", [places, program.step("mul", [kept, stride], shape)], shape)
        same = program.step("eq", [kept, part], shape)
        within = same if within is None else program.step("and", [within, same], shape)
    found = program.step("pick", [source, places], shape)
    if not beyond or within is None:
        return found
    nothing = program.constant(np.float32(np.nan))
    return program.step("select_n", [within, nothing, found], shape)


def _reduced(
    program: Program, op: str, value: Value, axes: Sequence[int], shape: Sequence[int]
) -> Value:
    """A sum, an extreme or its place, over the last axes after they were moved there."""
    kept = [axis for axis in range(len(value.shape)) if axis not in axes]
    places = np.arange(int(np.prod(value.shape))).reshape(value.shape)
    moved = program.take(value, places.transpose([*kept, *axes]))
    length = int(np.prod([value.shape[axis] for axis in axes]))
    return program.step(op, [moved], shape, length=length)


def _running_sum(program: Program, value: Value, axis: int, *, reverse: bool) -> Value:
    """A product with a triangle of ones."""
    length = value.shape[axis]
    ones = np.tri(length, dtype=np.float32)
    triangle = program.constant(ones if reverse else ones.T)
    order = [a for a in range(len(value.shape)) if a != axis]
    dimensions = (((axis,), (0,)), ((), ()))
    shape = [*(value.shape[a] for a in order), length]
    summed = _product(program, (value, triangle), dimensions, shape)
    places = np.moveaxis(np.arange(int(np.prod(shape))).reshape(shape), -1, axis)
    return program.take(summed, places)


def _solved(program: Program, matrix: Value, right: Value, params: Any) -> Value:
    """Rows x of A x = b one after the other, A triangular (n, n), b (n, m)."""
    if len(matrix.shape) != 2 or not params["left_side"]:
        raise Untraceable("triangular_solve", "from the right, or of several matrices")
    n, m = right.shape
    transposed = bool(params["transpose_a"])
    if transposed:
        matrix = program.take(matrix, np.arange(n * n).reshape(n, n).T)
    solved: dict[int, Value] = {}
    for i in range(n) if params["lower"] != transposed else range(n)[::-1]:
        rest = row(program, right, i)
        if solved:
            done = [*solved]
            places = np.array([i * n + j for j in done])
            factors = program.take(Value(matrix.number, (n * n,)), places)
            whole = program.step("concatenate", [*solved.values()], (len(done), m))
            part = _product(program, (factors, whole), (((0,), (0,)), ((), ())), (m,))
            rest = program.step("sub", [rest, part], (m,))
        if not params["unit_diagonal"]:
            pivot = program.take(Value(matrix.number, (n * n,)), np.array([i * n + i]))
            rest = program.step("div", [rest, pivot], (m,))
        solved[i] = rest
    return program.step("concatenate", [solved[i] for i in range(n)], (n, m))


def _factored(program: Program, matrix: Value) -> Value:
    """Columns of Cholesky's factor one after the other, of a matrix (n, n)."""
    if len(matrix.shape) != 2:
        raise Untraceable("cholesky", "of several matrices")
    n = matrix.shape[0]
    flat, columns = Value(matrix.number, (n * n,)), []
    for j in range(n):
        rest = program.take(flat, np.arange(j, n) * n + j)
        for i, before in enumerate(columns):  # its entries from row i on
            own = program.take(before, np.arange(j - i, n - i))
            factor = program.take(before, np.array([j - i]))
            rest = program.step("sub", [rest, program.step("mul", [own, factor], rest.shape)],
                                rest.shape)  # fmt: skip
        pivot = program.step("sqrt", [program.take(rest, np.array([0]))], (1,))
        columns.append(program.step("div", [rest, pivot], rest.shape))
    whole = program.step("concatenate", columns, (n * (n + 1) // 2,))
    place = np.full((n, n), _NOWHERE)
    place[np.triu_indices(n)] = np.arange(n * (n + 1) // 2)
    lower = program.take(whole, np.maximum(place.T, 0))
    return program.step("mul", [lower, program.constant(np.tri(n, dtype=np.float32))], (n, n))


def _product(
    program: Program, factors: tuple[Value, Value], dimensions: Any, shape: Sequence[int]
) -> Value:
    """A batch of products of matrices (b, m, k) and (b, k, n)."""
    left, right = factors
    (left_sum, right_sum), (left_batch, right_batch) = dimensions

    def arranged(value: Value, summed: Sequence[int], batch: Sequence[int], *, last: bool) -> Value:
        free = [a for a in range(len(value.shape)) if a not in summed and a not in batch]
        order = [*batch, *free, *summed] if last else [*batch, *summed, *free]
        if value.number in program.constants:
            return program.constant(program.constants[value.number].transpose(order))
        places = np.arange(int(np.prod(value.shape))).reshape(value.shape)
        return program.take(value, places.transpose(order))

    if left.number in program.constants and (left_sum, right_sum, len(right.shape)) == (
        (1,),
        (0,),
        1,
    ):
        # A matrix times a vector, from the other side: the rows of a batch are one product.
        return _product(program, (right, left), (((0,), (1,)), ((), ())), shape)
    b = int(np.prod([left.shape[axis] for axis in left_batch]))
    k = int(np.prod([left.shape[axis] for axis in left_sum]))
    m = int(np.prod(left.shape)) // (b * k)
    n = int(np.prod(right.shape)) // (b * k)
    pair = [
        arranged(left, left_sum, left_batch, last=True),
        arranged(right, right_sum, right_batch, last=False),
    ]
    return program.step("matmul", pair, shape, b=b, m=m, k=k, n=n)
