"""A program (`elbax.program`) as a graph of ONNX, for any number of rows at once.

A value that hangs on a row is (rows, numbers); where the function draws, (rows, draws, numbers),
and 1 stands for the draws of what does not hang on them: so the encoder runs once a row, however
many draws there are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from elbax.program.lowering import Untraceable
from elbax.program.steps import Program, Value
from elbax.util.extras import need

OPSET = 17  # of ONNX 1.12, 2022: what runtimes of these days all know
_IR = 8
ROWS, DRAWS = "rows", "draws"

_UNARY = {
    "abs": "Abs", "ceil": "Ceil", "cos": "Cos", "erf": "Erf", "exp": "Exp", "floor": "Floor",
    "log": "Log", "neg": "Neg", "round": "Round", "sign": "Sign",
    "sin": "Sin", "sqrt": "Sqrt", "tanh": "Tanh",
}  # fmt: skip
_BINARY = {
    "add": "Add", "add_any": "Add", "and": "Min", "div": "Div", "max": "Max", "min": "Min",
    "mul": "Mul", "or": "Max", "pow": "Pow", "sub": "Sub",
}  # fmt: skip
_COMPARED = {
    "eq": "Equal", "ge": "GreaterOrEqual", "gt": "Greater", "le": "LessOrEqual", "lt": "Less",
}  # fmt: skip
_REDUCED = {"reduce_max": "ReduceMax", "reduce_min": "ReduceMin"}


def graph(program: Program, outputs: Sequence[str], name: str) -> Any:
    """The program as an ONNX model.

    Its inputs are (rows, …) by their names; the numbers that are drawn, `normal` and `uniform`,
    (rows, draws, …), and with them each output is the logarithm of the mean, over the draws, of
    the exponential of what the program gives.

    Args:
        program: The program.
        outputs: Names of what it gives.
        name: Of the graph.

    Raises:
        Untraceable: A step has no counterpart in ONNX.
        ValueError: The package onnx is not installed.
    """
    return _Graph(program).model(outputs, name)


class _Graph:
    """Nodes and constants as they are added."""

    def __init__(self, program: Program) -> None:
        self.onnx = need("onnx", "onnx", "--format onnx")
        self.numpy_helper = need("onnx.numpy_helper", "onnx", "--format onnx")
        self.program = program
        self.drawn = [n for n in ("normal", "uniform") if n in program.inputs]
        self.leading = 2 if self.drawn else 1
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        # What a name hangs on: (), (ROWS,) or (ROWS, DRAWS).
        self.axes: dict[str, tuple[str, ...]] = {}
        self.names: dict[int, str] = {}

    def model(self, outputs: Sequence[str], name: str) -> Any:
        """The whole."""
        helper, program = self.onnx.helper, self.program
        for given, value in program.inputs.items():
            self.axes[given] = (ROWS, DRAWS) if given in self.drawn else (ROWS,)
            flat = [0, math.prod(value.shape)]
            flat = flat if given not in self.drawn else [0, *flat]
            flat = [0, 1, flat[1]] if self.leading == 2 and given not in self.drawn else flat
            self.names[value.number] = self.node("Reshape", given, self.whole(flat))
        for step in program.steps:
            self.names[step["out"]] = self.step(step)
        for output, value in zip(outputs, program.outputs, strict=True):
            self.give(output, value)
        found = [self.info(o, v.shape) for o, v in zip(outputs, program.outputs, strict=True)]
        taken = [
            self.info(given, value.shape, drawn=given in self.drawn)
            for given, value in program.inputs.items()
        ]
        body = helper.make_graph(self.nodes, name, taken, found, self.constants)
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(body, opset_imports=opsets, producer_name="elbax")
        model.ir_version = _IR
        return model

    def info(self, name: str, shape: Sequence[int], *, drawn: bool = False) -> Any:
        """An input or output."""
        axes = [ROWS, DRAWS] if drawn else [ROWS]
        kind = self.onnx.TensorProto.FLOAT
        return self.onnx.helper.make_tensor_value_info(name, kind, [*axes, *shape])

    def give(self, output: str, value: Value) -> None:
        """Makes a value an output."""
        name = self.over_rows(self.named(value.number), math.prod(value.shape))
        if self.drawn:  # the logarithm of the mean of the exponentials
            most = self.node("ReduceMax", name, axes=[1], keepdims=1)
            spread = self.node("Exp", self.node("Sub", name, most))
            mean = self.node("ReduceMean", spread, axes=[1], keepdims=1)
            name = self.node("Add", self.node("Log", mean), most)
        shape = self.whole([0, *value.shape] if value.shape else [-1])
        self.nodes.append(self.onnx.helper.make_node("Reshape", [name, shape], [output]))

    def named(self, number: int) -> str:
        """The name of a value, which may be a constant."""
        if number not in self.names:
            array = self.program.constants[number]
            self.names[number] = self.constant(np.ravel(array), np.float32)
        return self.names[number]

    def node(self, op: str, *taken: str, **attributes: Any) -> str:
        """One node; the name of what it gives."""
        name = f"n{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(op, list(taken), [name], **attributes))
        self.axes[name] = max((self.axes.get(one, ()) for one in taken), key=len)
        return name

    def constant(self, array: Any, kind: Any) -> str:
        """An array that is the same for all rows."""
        name = f"c{len(self.constants)}"
        array = np.ascontiguousarray(array, kind)
        self.constants.append(self.numpy_helper.from_array(array, name))
        return name

    def whole(self, numbers: Any) -> str:
        """Whole numbers: a shape, or places."""
        return self.constant(numbers, np.int64)

    def single(self, x: float) -> str:
        """A single number."""
        return self.constant([x], np.float32)

    def shaped(self, name: str, shape: Sequence[int]) -> str:
        """The numbers of each row and draw in another shape."""
        kept = [0] * self.leading if self.axes.get(name) else []
        return self.node("Reshape", name, self.whole([*kept, *shape]))

    def over_rows(self, name: str, size: int, axes: tuple[str, ...] = (ROWS,)) -> str:
        """A value repeated for each row, and for each draw if that is asked for."""
        if len(self.axes.get(name, ())) >= len(axes):
            return name
        like = next(n for n in self.program.inputs if len(self.axes[n]) >= len(axes))
        lengths = self.node("Shape", like, end=len(axes))
        rest = [1] * (self.leading - len(axes)) + [size]
        name = self.node("Expand", name, self.node("Concat", lengths, self.whole(rest), axis=0))
        self.axes[name] = axes
        return name

    # --- steps ---------------------------------------------------------------------------------

    def step(self, step: dict[str, Any]) -> str:
        """The nodes of a step."""
        op = step["op"]
        if op == "take":
            source = self.named(step["in"][0])
            places = self.whole(self.program.constants[step["in"][1]])
            axis = self.leading if self.axes.get(source) else 0
            return self.node("Gather", source, places, axis=axis)
        taken = [self.named(number) for number in step["in"]]
        if "length" in step:
            return self.reduced(op, taken[0], step["size"], step["length"])
        whole = {"pick": self.picked, "matmul": self.product, "concatenate": self.joined}
        if op in whole:
            return whole[op](step, *taken)
        return self.elementwise(op, *taken)

    def elementwise(self, op: str, *taken: str) -> str:
        """A function of one number, or of two."""
        if op in _UNARY or op in _BINARY:
            return self.node(_UNARY.get(op) or _BINARY[op], *taken)
        if op in _COMPARED:
            return self.truth(self.node(_COMPARED[op], *taken))
        if op == "select_n":
            which, no, yes = taken
            return self.node("Where", self.is_true(which), yes, no)
        if op == "ne":
            return self.truth(self.node("Not", self.node("Equal", *taken)))
        special = getattr(self, f"_{op}", None)
        if special is None:
            raise Untraceable(op, "which ONNX has not")
        return special(*taken)

    def product(self, step: dict[str, Any], left: str, right: str) -> str:
        """Products of matrices; one with a constant is a single one over all rows."""
        b, m, k, n = (step[letter] for letter in "bmkn")
        if b == 1 and not self.axes.get(right):
            rows = left if m == 1 else self.shaped(left, [m, k])
            found = self.node("MatMul", rows, self.shaped(right, [k, n]))
            return found if m == 1 else self.shaped(found, [m * n])
        left, right = self.shaped(left, [b, m, k]), self.shaped(right, [b, k, n])
        return self.shaped(self.node("MatMul", left, right), [b * m * n])

    def picked(self, step: dict[str, Any], source: str, places: str) -> str:
        """Numbers at places of the row's own."""
        axes = max((self.axes.get(name, ()) for name in (source, places)), key=len)
        source = self.over_rows(source, self.size_of(step["in"][0]), axes)
        places = self.over_rows(places, step["size"], axes)
        whole = self.node("Cast", places, to=self.onnx.TensorProto.INT64)
        return self.node("GatherElements", source, whole, axis=self.leading)

    def joined(self, step: dict[str, Any], *taken: str) -> str:
        """Values one after the other, each over as many rows and draws as the others."""
        axes = max((self.axes.get(name, ()) for name in taken), key=len)
        sizes = [self.size_of(number) for number in step["in"]]
        whole = [self.over_rows(n, size, axes) for n, size in zip(taken, sizes, strict=True)]
        return self.node("Concat", *whole, axis=self.leading)

    def size_of(self, number: int) -> int:
        """How many numbers a value has."""
        if number in self.program.constants:
            return int(self.program.constants[number].size)
        inputs = {value.number: math.prod(value.shape) for value in self.program.inputs.values()}
        if number in inputs:
            return inputs[number]
        return next(step["size"] for step in self.program.steps if step["out"] == number)

    def reduced(self, op: str, name: str, size: int, length: int) -> str:
        """A sum, an extreme or its place over the last axis."""
        name = self.shaped(name, [size, length])
        axis = self.leading + 1
        if op == "argmax":
            return self.truth(self.node("ArgMax", name, axis=axis, keepdims=0))
        if op == "reduce_sum":
            return self.node("ReduceSum", name, self.whole([axis]), keepdims=0)
        return self.node(_REDUCED[op], name, axes=[axis], keepdims=0)

    def truth(self, name: str) -> str:
        """Truth, or whole numbers, as floats."""
        return self.node("Cast", name, to=self.onnx.TensorProto.FLOAT)

    def is_true(self, name: str) -> str:
        """1 and 0 as truth."""
        return self.node("Cast", name, to=self.onnx.TensorProto.BOOL)

    # --- functions that ONNX has not, of those that it has ----------------------------------------

    def _square(self, x: str) -> str:
        return self.node("Mul", x, x)

    def _rsqrt(self, x: str) -> str:
        return self.node("Reciprocal", self.node("Sqrt", x))

    def _not(self, x: str) -> str:
        return self.node("Sub", self.single(1.0), x)

    def _erfc(self, x: str) -> str:
        return self.node("Sub", self.single(1.0), self.node("Erf", x))

    def _is_finite(self, x: str) -> str:
        wrong = self.node("Or", self.node("IsNaN", x), self.node("IsInf", x))
        return self.truth(self.node("Not", wrong))

    def _logistic(self, x: str) -> str:
        # ONNX Runtime's Sigmoid is exact to 1e-8 only, which is much of a small probability.
        spread = self.node("Exp", self.node("Neg", x))
        return self.node("Reciprocal", self.node("Add", spread, self.single(1.0)))

    def _trunc(self, x: str) -> str:
        below = self.node("Less", x, self.single(0.0))
        return self.node("Where", below, self.node("Ceil", x), self.node("Floor", x))

    def _near_zero(self, x: str, close: float, near: str, far: str) -> str:
        is_near = self.node("Less", self.node("Abs", x), self.single(close))
        return self.node("Where", is_near, near, far)

    def _log1p(self, x: str) -> str:
        series = self._series(x, [1.0, -1 / 2, 1 / 3, -1 / 4])
        far = self.node("Log", self.node("Add", x, self.single(1.0)))
        return self._near_zero(x, 0.01, series, far)

    def _expm1(self, x: str) -> str:
        series = self._series(x, [1.0, 1 / 2, 1 / 6, 1 / 24, 1 / 120])
        far = self.node("Sub", self.node("Exp", x), self.single(1.0))
        return self._near_zero(x, 0.05, series, far)

    def _series(self, x: str, factors: list[float]) -> str:
        """Factors of x, x², …, by Horner's rule."""
        found = self.single(factors[-1])
        for factor in factors[-2::-1]:
            found = self.node("Add", self.node("Mul", found, x), self.single(factor))
        return self.node("Mul", found, x)

    def _lgamma(self, x: str) -> str:
        """Stirling's series at x + 8, less what the recurrence adds; for x > 0."""
        high = self.node("Add", x, self.single(8.0))
        inverse = self.node("Reciprocal", high)
        tail = self._series(inverse, [1 / 12, 0.0, -1 / 360, 0.0, 1 / 1260])
        half = self.node("Sub", high, self.single(0.5))
        found = self.node("Sub", self.node("Mul", half, self.node("Log", high)), high)
        found = self.node("Add", self.node("Add", found, tail), self.single(_HALF_LOG_TAU))
        for pair in range(0, 8, 2):  # in pairs, so that a large x does not overflow
            first = self.node("Add", x, self.single(float(pair)))
            factors = self.node("Mul", first, self.node("Add", x, self.single(pair + 1.0)))
            found = self.node("Sub", found, self.node("Log", factors))
        return found


_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)
