"""A PyTorch module: a file of plain code, made of the model's programs, and its weights beside it.

Nothing of PyTorch is needed to write them; where it is installed, what they give is compared with
the model (`benchmarks/exported.py` does so for all recipes).
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import keyword
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from elbax.export import checking
from elbax.export.exporting import Export, Exported, Traced, deviation, traced
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.program.functions import Units
from elbax.program.lowering import Untraceable
from elbax.util.files import write_bytes

CODE, WEIGHTS = "model.py", "model.safetensors"
_UNARY = {
    "is_finite": "torch.isfinite({0}).to({0}.dtype)", "logistic": "torch.sigmoid({0})",
    "neg": "-{0}", "not": "1.0 - {0}",
}  # fmt: skip
_SAME_NAME = {
    "abs", "ceil", "cos", "erf", "erfc", "exp", "expm1", "floor", "lgamma", "log", "log1p", "round",
    "rsqrt", "sign", "sin", "sqrt", "square", "tanh", "trunc",
}  # fmt: skip
_INFIX = {"add": "+", "add_any": "+", "div": "/", "mul": "*", "sub": "-"}
_COMPARED = {"eq": "==", "ge": ">=", "gt": ">", "le": "<=", "lt": "<", "ne": "!="}
_NAMED = {
    "and": "minimum", "atan2": "atan2", "max": "maximum", "min": "minimum", "or": "maximum",
    "pow": "pow",
}  # fmt: skip
_REDUCED = {
    "argmax": "argmax(-1).to({0}.dtype)", "reduce_max": "amax(-1)", "reduce_min": "amin(-1)",
    "reduce_sum": "sum(-1)",
}  # fmt: skip

_HEAD = '''"""{title}

Written by elbax. Rows stand along the first axis of all arguments; a number that is NaN was not
observed, where the model knows such. The weights are in {weights}, beside this file.

>>> model = load()
"""

import math
from pathlib import Path

import torch
from torch import nn


def load(path=Path(__file__).with_name("{weights}")):
    """The model with its weights."""
    from safetensors.torch import load_file

    model = Model()
    model.load_state_dict(load_file(path))
    return model.eval()


def _joined(*values):
    """Values one after the other, each over as many rows and draws as the others."""
    leading = torch.broadcast_shapes(*(value.shape[:-1] for value in values))
    return torch.cat([value.expand(*leading, value.shape[-1]) for value in values], -1)


class Model(nn.Module):
    """A method for each function of the model."""

    def __init__(self):
        super().__init__()
'''


def export(
    model: LatentVariableModel,
    shape: tuple[int, ...],
    folder: Path,
    *,
    units: Units | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Export:
    """Writes ``model.py``, an ``nn.Module`` with `encode`, `decode`, …, and ``model.safetensors``.

    Weights that are the model's own are parameters by their place in it; what was computed from
    them, and places that numbers are taken from, are buffers. Arguments and results are those of
    the ONNX files.

    Args:
        model: The model.
        shape: Of one datum.
        folder: Where to; it is made.
        units: The data's own.
        facts: What else the file says of the model, as plain data.

    Raises:
        WriteError: The disk is full.
    """
    from safetensors.numpy import save

    units = units or Units()
    functions, left_out = traced(model, shape, units)
    weights = _Weights(model)
    methods: dict[str, tuple[Traced, str]] = {}
    for one in functions:
        try:
            methods[one.name] = one, _Method(one, weights).code()
        except Untraceable as error:
            left_out[one.name] = str(error)
    title = f"A variational autoencoder of data of shape {list(shape)}."
    head = _HEAD.format(title=title, weights=WEIGHTS) + weights.declared()
    tail = f"\n\nFACTS = {json.loads(json.dumps(dict(facts or {})))!r}\n"

    def write() -> None:
        code = head + "".join(code for _, code in methods.values()) + tail
        write_bytes(folder / CODE, code.encode())

    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / WEIGHTS, save(weights.arrays))
    write()
    found: dict[str, float | None] = dict.fromkeys(methods)
    if importlib.util.find_spec("torch") is not None:
        rows = checking.random_rows(model, shape, units)
        found = {name: _deviation(one, rows, folder) for name, (one, _) in methods.items()}
        for name, far in found.items():
            if far is not None and far > checking.LIMIT:
                left_out[name] = f"it deviates by {far:.1e}, relative to the largest number"
                del methods[name]
        write()
    written = (Exported(n, one.function.words, found[n]) for n, (one, _) in methods.items())
    return Export(tuple(written), left_out)


def _deviation(one: Traced, rows: dict[str, np.ndarray], folder: Path) -> float:
    """How far the module that was written is from the model."""
    torch = importlib.import_module("torch")
    place = importlib.util.spec_from_file_location("exported", folder / CODE)
    assert place is not None
    assert place.loader is not None
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    function = getattr(module.load(), one.name)

    def run(given: dict[str, np.ndarray]) -> list[np.ndarray]:
        with torch.no_grad():
            tensors = {n: torch.tensor(given[n]) for n in one.program.inputs}
            found = function(**tensors)
        return [a.detach().numpy() for a in (found if isinstance(found, tuple) else (found,))]

    return deviation(one, rows, run)


class _Weights:
    """The arrays of all functions, each once, by names that say what they are."""

    def __init__(self, model: LatentVariableModel) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self.parameters: set[str] = set()
        self._names: dict[Any, str] = {}
        self._own: dict[bytes, str] = {}
        for path, leaf in jax.tree_util.tree_leaves_with_path(model):
            if not isinstance(leaf, jax.Array | np.ndarray) or leaf.ndim == 0:
                continue
            array = np.asarray(leaf, np.float32)
            name = _identifier(jax.tree_util.keystr(path))
            for one in (array, array.T):
                self._own.setdefault(np.ascontiguousarray(one).tobytes(), name)

    def name(self, array: np.ndarray, *, places: bool = False) -> str:
        """Where an array stands in the module."""
        array = np.ascontiguousarray(array, np.int64 if places else np.float32)
        key = (array.shape, array.tobytes(), places)
        if key in self._names:
            return self._names[key]
        own = None if places else self._own.get(array.tobytes())
        wanted = own or ("places" if places else "constant")
        name, number = wanted, 1
        while name in self.arrays or (own is None and number == 1):
            name, number = f"{wanted}_{number}", number + 1
        if own is not None:
            self.parameters.add(name)
        self.arrays[name] = array
        self._names[key] = name
        return name

    def declared(self) -> str:
        """The lines of ``__init__``."""
        lines = []
        for name, array in self.arrays.items():
            size = ", ".join(map(str, array.shape))
            if name in self.parameters:
                lines.append(f"self.{name} = nn.Parameter(torch.empty({size}))")
            else:
                kind = ", dtype=torch.int64" if array.dtype == np.int64 else ""
                lines.append(f'self.register_buffer("{name}", torch.empty({size}{kind}))')
        return "".join(f"        {line}\n" for line in lines)


def _identifier(path: str) -> str:
    name = re.sub(r"\W+", "_", path).strip("_")
    return f"{name}_" if keyword.iskeyword(name) or not name else name


class _Method:
    """The lines of one function."""

    def __init__(self, one: Traced, weights: _Weights) -> None:
        self.one, self.program, self.weights = one, one.program, weights
        self.drawn = [name for name in ("normal", "uniform") if name in self.program.inputs]
        self.lines: list[str] = []
        self.names: dict[int, str] = {}

    def code(self) -> str:
        """The whole method."""
        function, program = self.one.function, self.program
        for name, value in program.inputs.items():
            leading = [f"{name}.shape[0]"]
            if self.drawn:
                leading.append(f"{name}.shape[1]" if name in self.drawn else "1")
            leading.append(str(math.prod(value.shape)))
            self.names[value.number] = f"v{value.number}"
            self.lines.append(f"v{value.number} = {name}.reshape({', '.join(leading)})")
        for step in program.steps:
            self.names[step["out"]] = f"v{step['out']}"
            self.lines.append(f"v{step['out']} = {self.expression(step)}")
        results = [self.result(value.number, value.shape) for value in program.outputs]
        self.lines.append(f"return {', '.join(results)}")
        axes = {
            name: [*(["draws"] if name in self.drawn else []), *value.shape]
            for name, value in program.inputs.items()
        }
        shapes = "; ".join(f"{n} ({', '.join(['rows', *map(str, a)])})" for n, a in axes.items())
        words = "the bound of the draws given" if self.drawn else ", ".join(function.outputs)
        text = f"\n    def {self.one.name}(self, {', '.join(program.inputs)}):\n"
        text += f'        """{function.words}: {words}.\n\n        {shapes}\n        """\n'
        return text + "".join(f"        {line}\n" for line in self.lines)

    def result(self, number: int, shape: Sequence[int]) -> str:
        """A value as it is given back."""
        first = self.names[next(iter(self.program.inputs.values())).number]
        value = self.tensor(number, first)
        if self.drawn:
            whole = (
                f"{value} + 0.0 * {self.names[self.program.inputs[self.drawn[0]].number]}[..., :1]"
            )
            draws = f"{self.drawn[0]}.shape[1]"
            return f"torch.logsumexp(({whole}).squeeze(-1), 1) - math.log({draws})"
        size = ", ".join(map(str, [f"{first}.shape[0]", *shape]))
        if number in self.program.constants:
            return f"{value}.reshape({', '.join(map(str, [1, *shape]))}).expand({size})"
        return f"{value}.reshape({size})"

    def plain(self, number: int) -> str:
        """A value: a name, or a number that stands in the code."""
        if number in self.names:
            return self.names[number]
        array = np.ravel(self.program.constants[number]).astype(np.float32)
        if array.size == 1:
            return _literal(array[0])
        return f"self.{self.weights.name(array)}"

    def tensor(self, number: int, like: str) -> str:
        """The same where a tensor is wanted."""
        found = self.plain(number)
        if found[0] == "v" or found.startswith("self."):
            return found
        return f"{like}.new_tensor([{found}])"

    def expression(self, step: dict[str, Any]) -> str:
        """What a step gives."""
        op, numbers = step["op"], step["in"]
        if op == "matmul":
            return self.product(step)
        like = next((self.names[n] for n in numbers if n in self.names), "")
        if op == "take":
            places = self.weights.name(self.program.constants[numbers[1]], places=True)
            return f"{like}[..., self.{places}]"
        return self.elementwise(op, numbers, [self.tensor(n, like) for n in numbers], step)

    def elementwise(
        self, op: str, numbers: list[int], taken: list[str], step: dict[str, Any]
    ) -> str:
        """What all other steps give."""
        found = _UNARY.get(op)
        if op in _INFIX:
            left, right = (self.plain(number) for number in numbers)
            found = f"{left} {_INFIX[op]} {right}"
        elif op in _COMPARED:
            found = f"({taken[0]} {_COMPARED[op]} {taken[1]}).to({taken[0]}.dtype)"
        elif op in _NAMED:
            found = f"torch.{_NAMED[op]}({', '.join(taken)})"
        elif op in _SAME_NAME:
            found = f"torch.{op}({taken[0]})"
        elif op == "concatenate":
            found = f"_joined({', '.join(taken)})"
        elif op == "pick":
            found = f"torch.take_along_dim({taken[0]}, {taken[1]}.long(), -1)"
        elif op == "select_n":
            found = f"torch.where({taken[0]} != 0, {taken[2]}, {taken[1]})"
        elif "length" in step:
            shaped = f"{taken[0]}.unflatten(-1, ({step['size']}, {step['length']}))"
            found = f"{shaped}.{_REDUCED[op].format(taken[0])}"
        if found is None:
            raise Untraceable(op, "which PyTorch has not")
        return found.format(*taken) if op in _UNARY else found

    def product(self, step: dict[str, Any]) -> str:
        """Products of matrices."""
        b, m, k, n = (step[letter] for letter in "bmkn")
        left, right = (
            self.matrix(number, (b, *shape))
            for number, shape in zip(step["in"], ((m, k), (k, n)), strict=True)
        )
        if b == m == 1 and step["in"][1] in self.program.constants:
            return f"{self.plain(step['in'][0])} @ {right}"
        return f"({left} @ {right}).flatten(-{2 if b == 1 else 3})"

    def matrix(self, number: int, shape: tuple[int, int, int]) -> str:
        """A value as matrices; a single one has no axis for it."""
        sizes = shape[1:] if shape[0] == 1 else shape
        if number in self.program.constants:
            array = np.asarray(self.program.constants[number], np.float32)
            return f"self.{self.weights.name(array.reshape(sizes))}"
        return f"{self.names[number]}.unflatten(-1, {sizes})"


def _literal(x: np.floating) -> str:
    """A number in code."""
    if np.isfinite(x):
        return repr(float(x))
    return "math.nan" if np.isnan(x) else "math.inf" if x > 0 else "-math.inf"
