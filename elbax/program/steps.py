"""A program: steps from a function's arguments to what it gives, each of one of a few kinds.

| step | gives |
|---|---|
| a name of `UNARY` or `BINARY` | that, element by element; a single number goes with any size |
| `select_n` | the second or the third value, as the first is false or true |
| `take` | numbers of a value at places, which are a constant |
| `pick` | the same, at places that are a value |
| `concatenate` | values one after the other |
| `matmul` | a batch of products (b, m, k) · (b, k, n) |
| `reduce_sum`, `reduce_max`, `reduce_min`, `argmax` | of each run of `length` numbers |
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

UNARY = {
    "abs", "ceil", "cos", "erf", "erfc", "exp", "expm1", "floor", "is_finite", "lgamma", "log",
    "log1p", "logistic", "neg", "not", "round", "rsqrt", "sign", "sin", "sqrt", "square", "tanh",
    "trunc",
}  # fmt: skip
BINARY = {
    "add", "add_any", "and", "atan2", "div", "eq", "ge", "gt", "le", "lt", "max", "min", "mul",
    "ne", "or", "pow", "sub",
}  # fmt: skip


class Value(NamedTuple):
    """What a step gives: its number and its shape."""

    number: int
    shape: tuple[int, ...]


@dataclasses.dataclass
class Program:
    """Steps from inputs to outputs.

    Values are flat arrays of float32; truth is 1 and 0.

    Attributes:
        inputs: The arguments, by name.
        outputs: What the function gives, in the order of its leaves.
        steps: Each an operation, the values that it takes and the one that it gives, and what else
            it needs.
        constants: Arrays by the number of their value.
    """

    inputs: dict[str, Value] = dataclasses.field(default_factory=dict)
    outputs: list[Value] = dataclasses.field(default_factory=list)
    steps: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    constants: dict[int, np.ndarray] = dataclasses.field(default_factory=dict)
    _count: int = 0

    def new(self, shape: Sequence[int]) -> Value:
        """Another value."""
        self._count += 1
        return Value(self._count - 1, tuple(shape))

    def constant(self, array: Any) -> Value:
        """An array that does not depend on the arguments."""
        value = self.new(np.shape(array))
        self.constants[value.number] = np.asarray(array)
        return value

    def step(
        self,
        op: str,
        taken: Sequence[Value],
        shape: Sequence[int],
        out: Value | None = None,
        **more: Any,
    ) -> Value:
        """One step more; its result, which may have been promised before."""
        value = self.new(shape) if out is None else out
        size = int(np.prod(value.shape))
        given = {"op": op, "in": [v.number for v in taken], "out": value.number, "size": size}
        self.steps.append({**given, **more})
        return value

    def take(self, value: Value, places: np.ndarray) -> Value:
        """The numbers at these places of a flat value."""
        if np.array_equal(places.ravel(), np.arange(int(np.prod(value.shape)))):
            return Value(value.number, places.shape)
        if value.number in self.constants:
            return self.constant(self.constants[value.number].ravel()[places])
        index = self.constant(places.astype(np.uint32).ravel())
        return self.step("take", [value, index], places.shape)

    def needed(self) -> Program:
        """The program without what its outputs do not depend on."""
        needed, steps = {value.number for value in self.outputs}, []
        for step in reversed(self.steps):
            if step["out"] in needed:
                needed.update(step["in"])
                steps.append(step)
        constants = {k: array for k, array in self.constants.items() if k in needed}
        return dataclasses.replace(self, steps=steps[::-1], constants=constants)

    def plain(self) -> dict[str, Any]:
        """All but the constants, as plain data."""
        return {
            "inputs": {name: value.number for name, value in self.inputs.items()},
            "outputs": [value.number for value in self.outputs],
            "steps": self.steps,
        }
