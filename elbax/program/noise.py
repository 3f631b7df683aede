"""Randomness as an argument: what a function draws by its key becomes numbers that it is given.

A key is followed through the function, as what was done to it; a draw of normal or uniform numbers
by it is then a part of one of two inputs, `normal` and `uniform`. What was done can be done again
to a key of one's own (`Noise.of`): so the inputs that stand for a key are known.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from elbax.program.steps import Program, Value

# By the name under which JAX compiles the draw.
_KINDS = {"_normal_real": "normal", "_uniform": "uniform"}
_DRAWN: dict[str, Callable[..., Any]] = {"normal": jax.random.normal, "uniform": jax.random.uniform}


@dataclasses.dataclass(frozen=True)
class Key:
    """A key, or an array of keys, as what was done to the argument.

    Attributes:
        identity: The same for keys that are the same.
        again: From another argument the same key.
        shape: Of an array of them.
    """

    identity: Any
    again: Callable[[Any], Any]
    shape: tuple[int, ...] = ()


def argument() -> Key:
    """The function's own key."""
    return Key("key", lambda key: key)


def derived(equation: Any, taken: list[Any]) -> list[Key] | None:
    """What an equation makes of keys: keys again, or None where it makes anything else of them."""
    kinds = [jnp.issubdtype(out.aval.dtype, jax.dtypes.prng_key) for out in equation.outvars]
    if not all(kinds) or any(isinstance(one, Value) for one in taken):
        return None
    known = [one.identity if isinstance(one, Key) else np.asarray(one).tolist() for one in taken]
    identity = (equation.primitive.name, str(equation.params), str(known))

    def again(key: Any) -> list[Any]:
        arguments = [one.again(key) if isinstance(one, Key) else one for one in taken]
        found = equation.primitive.bind(*arguments, **equation.params)
        return list(found) if equation.primitive.multiple_results else [found]

    return [
        Key((*identity, place), lambda key, place=place: again(key)[place], out.aval.shape)
        for place, out in enumerate(equation.outvars)
    ]


def row(keys: Key, i: int) -> Key:
    """One of an array of keys."""
    return Key(("row", keys.identity, i), lambda key: keys.again(key)[i], keys.shape[1:])


@dataclasses.dataclass
class Noise:
    """The draws of a function: each a stretch of an input.

    Attributes:
        draws: By kind: the keys, and the shapes of what is drawn by each.
    """

    draws: dict[str, dict[Any, tuple[Key, tuple[int, ...]]]] = dataclasses.field(
        default_factory=lambda: {kind: {} for kind in _DRAWN}
    )
    _values: dict[Any, Value] = dataclasses.field(default_factory=dict)

    def drawn(self, program: Program, equation: Any, taken: list[Any]) -> Value | None:
        """The value of an equation that draws, or None where it is no such one."""
        kind = _KINDS.get(equation.params.get("name", ""))
        if kind is None or not isinstance(taken[0], Key):
            return None  # the numbers drawn by a key that is known are known
        key, shape = taken[0], tuple(equation.outvars[0].aval.shape)
        name = (kind, key.identity, shape)
        if name not in self._values:
            self.draws[kind][name] = (key, shape)
            self._values[name] = program.new(shape)
        value = self._values[name]
        if kind == "normal":
            return value
        # The two come in the order of their names where they were given by name.
        low, high = sorted(np.float32(bound) for bound in taken[1:])
        width, least = program.constant(high - low), program.constant(low)
        scaled = program.step("mul", [value, width], shape)
        moved = program.step("add", [scaled, least], shape)
        return program.step("max", [least, moved], shape)

    def close(self, program: Program) -> None:
        """Makes an input of each kind that was drawn, and its stretches the first steps."""
        after, program.steps = program.steps, []
        for kind, draws in self.draws.items():
            sizes = [int(np.prod(shape)) for _, shape in draws.values()]
            if not sizes:
                continue
            if len(sizes) == 1:
                (value,) = (self._values[name] for name in draws)
                program.inputs[kind] = Value(value.number, (sum(sizes),))
                continue
            program.inputs[kind] = whole = program.new((sum(sizes),))
            for name, end, size in zip(draws, np.cumsum(sizes), sizes, strict=True):
                places = program.constant(np.arange(end - size, end, dtype=np.uint32))
                program.step("take", [whole, places], (size,), out=self._values[name])
        program.steps += after

    def of(self, key: Any) -> dict[str, Any]:
        """What the function draws by a key, as the inputs that stand for it."""
        return {
            kind: jnp.concatenate(
                [
                    jnp.ravel(_drawn(kind, one.again(key), one.shape, shape))
                    for one, shape in draws.values()
                ]
            )
            for kind, draws in self.draws.items()
            if draws
        }


def _drawn(kind: str, keys: Any, many: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    """Draws by each of an array of keys; along the leading axes."""
    draw = lambda key: _DRAWN[kind](key, shape[len(many) :])  # noqa: E731
    for _ in many:
        draw = jax.vmap(draw)
    return draw(keys)
