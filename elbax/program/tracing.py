"""A function of one datum as a program (`elbax.program.steps`).

JAX traces the function; what does not depend on its arguments is computed here, once, loops whose
length is known are unrolled, and a key that it draws by becomes the numbers drawn
(`elbax.program.noise`). What is left of a network are products of matrices, arithmetic element by
element, sums, and numbers moved to other places: every slice, transpose, gather or broadcast is a
list of the places that they come from, found by applying it to the places themselves.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from elbax.program import lowering, noise
from elbax.program.lowering import Untraceable, as_value
from elbax.program.noise import Key, Noise
from elbax.program.steps import Program, Value

_INLINED = ("jaxpr", "call_jaxpr", "fun_jaxpr")
_TURNS = 2_000  # of a loop that is unrolled, at most


def trace(function: Callable[..., Any], **shapes: Sequence[int]) -> Program:
    """The program of a function of arrays.

    Args:
        function: From arrays of these shapes, in this order, to arrays.
        **shapes: Of the arguments, float32, by their names.

    Raises:
        Untraceable: It does what no program can.
    """
    program, _ = _trace(function, shapes, ())
    return program


def trace_drawing(
    function: Callable[..., Any], **shapes: Sequence[int]
) -> tuple[Program, Callable[[Any], dict[str, Any]]]:
    """The program of a function of arrays that draws by a key, its last argument.

    Returns:
        The program, of which `normal` and `uniform` are inputs as far as such numbers are drawn,
        and a function from a key to these inputs.

    Raises:
        Untraceable: It does what no program can; so do draws by rejection.
    """
    draws = Noise()
    program, _ = _trace(function, shapes, (jax.random.key(0),), draws)
    return program, draws.of


def _trace(
    function: Callable[..., Any],
    shapes: Mapping[str, Sequence[int]],
    keys: tuple[Any, ...],
    draws: Noise | None = None,
) -> tuple[Program, Noise]:
    blank = [jnp.zeros(shape, jnp.float32) for shape in shapes.values()]
    closed = jax.make_jaxpr(function)(*blank, *keys)
    program, draws = Program(), draws or Noise()
    program.inputs = {name: program.new(shape) for name, shape in shapes.items()}
    arguments = [*program.inputs.values(), *(noise.argument() for _ in keys)]
    found = _Tracing(program, draws).run(closed.jaxpr, closed.consts, arguments)
    program.outputs = [as_value(program, output) for output in found]
    draws.close(program)
    return program.needed(), draws


@dataclasses.dataclass
class _Tracing:
    """The program so far, and what was drawn."""

    program: Program
    draws: Noise

    def run(self, jaxpr: Any, consts: Sequence[Any], arguments: Sequence[Any]) -> list[Any]:
        """Adds the steps of a jaxpr; arrays among the arguments are known already."""
        known: dict[Any, Any] = dict(zip(jaxpr.constvars, consts, strict=True))
        known.update(zip(jaxpr.invars, arguments, strict=True))

        def read(atom: Any) -> Any:
            return atom.val if isinstance(atom, core.Literal) else known[atom]

        for equation in jaxpr.eqns:
            results = self.apply(equation, [read(atom) for atom in equation.invars])
            known.update(zip(equation.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def closed(self, closed: Any, taken: Sequence[Any]) -> list[Any]:
        """`run` of a jaxpr that has its constants, or has none."""
        return self.run(getattr(closed, "jaxpr", closed), getattr(closed, "consts", []), taken)

    def apply(self, equation: Any, taken: list[Any]) -> list[Any]:  # noqa: PLR0911 - in order
        """What one equation gives: arrays where all that it takes are, else values or keys."""
        name, params = equation.primitive.name, equation.params
        if name == "platform_index":
            platforms = [*params["platforms"]]
            last = len(platforms) - 1
            return [np.int32(next((i for i, p in enumerate(platforms) if p and "cpu" in p), last))]
        drawn = self.draws.drawn(self.program, equation, taken)
        if drawn is not None:
            return [drawn]
        loops = {"cond": self.branch, "scan": self.scan, "while": self.loop}
        inner = next((params[key] for key in _INLINED if key in params), None)
        if inner is not None and name not in loops:
            return self.closed(inner, taken)
        if not any(isinstance(one, Value | Key) for one in taken):
            return lowering.known(equation, taken)
        if name in loops:
            return loops[name](params, taken)
        if any(isinstance(one, Key) for one in taken):
            keys = noise.derived(equation, taken)
            if keys is None:
                raise Untraceable(name, "draws that are no normal or uniform numbers")
            return list(keys)
        if equation.primitive.impl.__module__.startswith("elbax."):
            return self.own(equation, taken)
        return lowering.steps(self.program, equation, taken)

    def branch(self, params: Any, taken: list[Any]) -> list[Any]:
        """One of several functions; all of them where the datum says which."""
        which, *arguments = taken
        if not isinstance(which, Value):
            return self.closed(params["branches"][int(which)], arguments)
        first, *others = (self.closed(one, arguments) for one in params["branches"])
        for number, other in enumerate(others, 1):
            least = self.program.constant(np.float32(number))
            there = self.program.step("ge", [which, least], which.shape)
            first = [self.chosen(there, a, b) for a, b in zip(first, other, strict=True)]
        return first

    def chosen(self, which: Value, no: Any, yes: Any) -> Any:
        """The one or the other value."""
        no, yes = as_value(self.program, no), as_value(self.program, yes)
        return no if no == yes else self.program.step("select_n", [which, no, yes], no.shape)

    def scan(self, params: Any, taken: list[Any]) -> list[Any]:
        """A loop over the leading axis, turn by turn."""
        consts, carried = params["num_consts"], params["num_carry"]
        fixed, carry, over = (
            taken[:consts], taken[consts : consts + carried], taken[consts + carried :]
        )  # fmt: skip
        length = params["length"]
        _check_length(length)
        turns = range(length)[::-1] if params["reverse"] else range(length)
        pieces: dict[int, list[Any]] = {}
        for i in turns:
            rows = [lowering.row(self.program, one, i) for one in over]
            found = self.closed(params["jaxpr"], [*fixed, *carry, *rows])
            carry, pieces[i] = found[:carried], found[carried:]
        stacked = [
            lowering.stack(self.program, [pieces[i][j] for i in range(length)])
            for j in range(len(pieces[0]))
        ]
        return [*carry, *stacked]

    def loop(self, params: Any, taken: list[Any]) -> list[Any]:
        """A loop whose end does not depend on the arguments, turn by turn."""
        ends, turns = params["cond_nconsts"], params["body_nconsts"]
        of_end, of_turn, carry = taken[:ends], taken[ends : ends + turns], taken[ends + turns :]
        for _ in range(_TURNS):
            (more,) = self.closed(params["cond_jaxpr"], [*of_end, *carry])
            if isinstance(more, Value | Key):
                raise Untraceable("while", "a loop until something that depends on the datum")
            if not bool(more):
                return carry
            carry = self.closed(params["body_jaxpr"], [*of_turn, *carry])
        raise Untraceable("while", f"more than {_TURNS:,} turns")

    def own(self, equation: Any, taken: list[Any]) -> list[Any]:
        """A primitive of elbax (`elbax.model.networks.linear_maps`): what it is made of."""
        shapes = [jax.ShapeDtypeStruct(one.aval.shape, one.aval.dtype) for one in equation.invars]
        impl = functools.partial(equation.primitive.impl, **equation.params)
        return self.closed(jax.make_jaxpr(impl)(*shapes), taken)


def _check_length(length: int) -> None:
    if not 0 < length <= _TURNS:
        raise Untraceable("scan", f"{length:,} turns, of at most {_TURNS:,}")
