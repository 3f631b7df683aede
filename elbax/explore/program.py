"""A function of one datum as a list of a few kinds of steps, which a page of JavaScript can run.

JAX traces the function; what does not depend on its argument is computed here, once. What is left
of a network are products of matrices, arithmetic element by element, sums, and numbers moved to
other places: every slice, transpose, gather or broadcast is a list of the places that they come
from, found by applying it to the places themselves.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

_UNARY = {
    "abs", "ceil", "cos", "erf", "erfc", "exp", "expm1", "floor", "is_finite", "log", "log1p",
    "logistic", "neg", "not", "round", "rsqrt", "sign", "sin", "sqrt", "square", "tanh",
}  # fmt: skip
_BINARY = {
    "add", "add_any", "and", "atan2", "div", "eq", "ge", "gt", "le", "lt", "max", "min", "mul",
    "ne", "or", "pow", "sub",
}  # fmt: skip
_MOVES = {
    "broadcast_in_dim", "concatenate", "dynamic_slice", "expand_dims", "gather", "pad", "reshape",
    "rev", "slice", "split", "squeeze", "transpose",
}  # fmt: skip
_SAME = {"copy", "copy_p", "reduce_precision", "stop_gradient"}
_REDUCTIONS = {"argmax", "reduce_max", "reduce_min", "reduce_sum"}
_INLINED = ("jaxpr", "call_jaxpr", "fun_jaxpr")


class Untraceable(ValueError):
    """A function with a step that has no place in a program: one line."""


class Value(NamedTuple):
    """What a step gives: its number and its shape."""

    number: int
    shape: tuple[int, ...]


@dataclasses.dataclass
class Program:
    """Steps from an input to outputs.

    Attributes:
        input: The number of the argument's value.
        outputs: The numbers of what the function gives, in the order of its leaves.
        steps: Each an operation, the values that it takes and the one that it gives, and what else
            it needs.
        constants: Arrays by the number of their value.
    """

    input: int = 0
    outputs: list[int] = dataclasses.field(default_factory=list)
    steps: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    constants: dict[int, np.ndarray] = dataclasses.field(default_factory=dict)
    _count: int = 1

    def new(self, shape: Sequence[int]) -> Value:
        """Another value."""
        self._count += 1
        return Value(self._count - 1, tuple(shape))

    def constant(self, array: Any) -> Value:
        """An array that does not depend on the argument."""
        value = self.new(np.shape(array))
        self.constants[value.number] = np.asarray(array)
        return value

    def step(self, op: str, taken: Sequence[Value], shape: Sequence[int], **more: Any) -> Value:
        """One step more; its result."""
        value = self.new(shape)
        size = int(np.prod(value.shape))
        given = {"op": op, "in": [v.number for v in taken], "out": value.number, "size": size}
        self.steps.append({**given, **more})
        return value

    def take(self, value: Value, places: np.ndarray) -> Value:
        """The numbers at these places of a flat value."""
        if np.array_equal(places.ravel(), np.arange(int(np.prod(value.shape)))):
            return Value(value.number, places.shape)
        index = self.constant(places.astype(np.uint32).ravel())
        return self.step("take", [value, index], places.shape)


def trace(function: Callable[[Any], Any], shape: Sequence[int]) -> Program:
    """The program of a function of one array.

    Args:
        function: From an array of this shape to arrays.
        shape: Of the argument, float32.

    Raises:
        Untraceable: It does what no program can.
    """
    closed = jax.make_jaxpr(function)(jnp.zeros(shape, jnp.float32))
    program = Program()
    outputs = _run(program, closed.jaxpr, closed.consts, [Value(0, tuple(shape))])
    program.outputs = [_as_value(program, output).number for output in outputs]
    return _needed(program)


def _needed(program: Program) -> Program:
    """The program without what its outputs do not depend on."""
    needed, steps = {*program.outputs}, []
    for step in reversed(program.steps):
        if step["out"] in needed:
            needed.update(step["in"])
            steps.append(step)
    constants = {k: array for k, array in program.constants.items() if k in needed}
    return dataclasses.replace(program, steps=steps[::-1], constants=constants)


def _as_value(program: Program, known: Any) -> Value:
    return known if isinstance(known, Value) else program.constant(known)


def _run(program: Program, jaxpr: Any, consts: Sequence[Any], arguments: Sequence[Any]) -> list:
    """Adds the steps of a jaxpr; arrays among the arguments are known already."""
    known: dict[Any, Any] = dict(zip(jaxpr.constvars, consts, strict=True))
    known.update(zip(jaxpr.invars, arguments, strict=True))

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, core.Literal) else known[atom]

    for equation in jaxpr.eqns:
        results = _apply(program, equation, [read(atom) for atom in equation.invars])
        known.update(zip(equation.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _apply(program: Program, equation: Any, taken: list[Any]) -> list[Any]:
    """What one equation gives: arrays where all that it takes are, else values of new steps."""
    name, params = equation.primitive.name, equation.params
    if name == "platform_index":
        platforms = [*params["platforms"]]
        found = next((i for i, p in enumerate(platforms) if p and "cpu" in p), len(platforms) - 1)
        return [np.int32(found)]
    if name == "cond" and not isinstance(taken[0], Value):
        branch = params["branches"][int(taken[0])]
        return _run(program, branch.jaxpr, branch.consts, taken[1:])
    inner = next((params[key] for key in _INLINED if key in params), None)
    if inner is not None and name not in ("scan", "while"):
        consts = getattr(inner, "consts", [])
        return _run(program, getattr(inner, "jaxpr", inner), consts, taken)
    if not any(isinstance(one, Value) for one in taken):
        found = equation.primitive.bind(*taken, **params)
        return list(found) if equation.primitive.multiple_results else [found]
    return _steps(program, equation, taken)


def _steps(program: Program, equation: Any, taken: list[Any]) -> list[Any]:
    """The steps of an equation of which the argument is a part."""
    name, params = equation.primitive.name, equation.params
    shape = equation.outvars[0].aval.shape
    if name in _SAME:
        return taken
    if name in _MOVES:
        return _moved(program, equation, taken)
    if equation.primitive.impl.__module__.startswith("elbax."):
        return _of_our_own(program, equation, taken)
    values = [_as_value(program, one) for one in taken]
    first, last = values[0], values[-1]
    if name in _UNARY:
        found = program.step(name, values, shape)
    elif name in _BINARY or name == "select_n":
        found = program.step(name, [_spread(program, v, shape) for v in values], shape)
    elif name == "clamp":
        low, x, high = (_spread(program, v, shape) for v in values)
        found = program.step("min", [program.step("max", [x, low], shape), high], shape)
    elif name == "integer_pow":
        power = program.constant(np.float32(params["y"]))
        found = program.step("pow", [first, power], shape)
    elif name == "convert_element_type":
        whole = np.issubdtype(params["new_dtype"], np.integer)
        found = program.step("trunc", values, shape) if whole else first
    elif name in _REDUCTIONS:
        found = _reduced(program, name, first, params["axes"], shape)
    elif name == "dot_general":
        found = _product(program, (first, last), params["dimension_numbers"], shape)
    else:
        raise Untraceable(f"the model has a step {name!r}, which the explorer cannot run in a page")
    return [found]


def _of_our_own(program: Program, equation: Any, taken: list[Any]) -> list[Any]:
    """A primitive of elbax (`elbax.model.networks.linear_maps`): what it is made of."""
    shapes = [jax.ShapeDtypeStruct(atom.aval.shape, atom.aval.dtype) for atom in equation.invars]
    closed = jax.make_jaxpr(functools.partial(equation.primitive.impl, **equation.params))(*shapes)
    return _run(program, closed.jaxpr, closed.consts, taken)


def _spread(program: Program, value: Value, shape: Sequence[int]) -> Value:
    """A value as large as a result: a single number stays one."""
    if value.shape == tuple(shape) or int(np.prod(value.shape)) == 1:
        return value
    places = np.arange(int(np.prod(value.shape))).reshape(value.shape)
    return program.take(value, np.broadcast_to(places, shape))


def _moved(program: Program, equation: Any, taken: list[Any]) -> list[Any]:
    """Numbers at other places: the same is done to the places that they come from."""
    sources, start, places = [], 0, []
    moving = len(taken) if equation.primitive.name in ("concatenate", "pad") else 1
    for one in taken[:moving]:
        value = _as_value(program, one)
        size = int(np.prod(value.shape))
        sources.append(value)
        places.append(jnp.arange(start, start + size, dtype=jnp.int32).reshape(value.shape))
        start += size
    if any(isinstance(one, Value) for one in taken[moving:]):
        raise Untraceable(
            f"the model has a step {equation.primitive.name!r} to places that depend on the datum, "
            "which the explorer cannot run in a page"
        )
    params = dict(equation.params)
    if "fill_value" in params:  # beyond the ends, which no place is
        params["fill_value"] = None
    found = equation.primitive.bind(*places, *taken[moving:], **params)
    found = list(found) if equation.primitive.multiple_results else [found]
    source = sources[0]
    if len(sources) > 1:
        source = program.step("concatenate", sources, (start,))
    return [program.take(source, np.asarray(one)) for one in found]


def _reduced(
    program: Program, op: str, value: Value, axes: Sequence[int], shape: Sequence[int]
) -> Value:
    """A sum, an extreme or its place, over the last axes after they were moved there."""
    kept = [axis for axis in range(len(value.shape)) if axis not in axes]
    places = np.arange(int(np.prod(value.shape))).reshape(value.shape)
    moved = program.take(value, places.transpose([*kept, *axes]))
    length = int(np.prod([value.shape[axis] for axis in axes]))
    return program.step(op, [moved], shape, length=length)


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

    b = int(np.prod([left.shape[axis] for axis in left_batch]))
    k = int(np.prod([left.shape[axis] for axis in left_sum]))
    m = int(np.prod(left.shape)) // (b * k)
    n = int(np.prod(right.shape)) // (b * k)
    pair = [
        arranged(left, left_sum, left_batch, last=True),
        arranged(right, right_sum, right_batch, last=False),
    ]
    return program.step("matmul", pair, shape, b=b, m=m, k=k, n=n)
