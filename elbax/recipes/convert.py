"""From a word, a TOML value, a JSON value or a Python value to a typed option: one rule for all.

``"1e4"``, ``10000`` and ``10000.0`` are the same whole number, ``"512,384"`` and ``[512, 384]`` the
same widths, ``"none"`` and ``None`` the same nothing, wherever they were written.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Annotated, Any, Literal

from elbax.recipes.choice import Choice, to_word
from elbax.util.words import did_you_mean

REPEATED = "repeated"
"""Marks an option whose flag may be given several times, each time with one item."""

_NO = object()
"""What `_as` gives for a value that is not of the type; None may be one that is."""

_WORDS: Mapping[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a word",
    Path: "a path",
    Choice: "the name of a part (see `elbax parts`) before its options",
}


@dataclasses.dataclass(frozen=True)
class Bounds:
    """The numbers that an option may be: an annotation, ``Annotated[int, Bounds(1)]``.

    Attributes:
        lowest: The smallest one.
        highest: The largest one.
        above: Whether `lowest` itself is too small.
    """

    lowest: int
    highest: int | None = None
    above: bool = False

    def hold(self, value: Any) -> bool:
        """Whether a number lies within; infinity and NaN never do."""
        low = value > self.lowest if self.above else value >= self.lowest
        return low and (value < math.inf if self.highest is None else value <= self.highest)

    def __str__(self) -> str:
        """For people, after "a number"."""
        if self.highest is not None:
            return f"from {self.lowest} to {self.highest}"
        return f"above {self.lowest}" if self.above else f"of at least {self.lowest}"


Count = Annotated[int, Bounds(1)]
"""A whole number of at least 1."""
Width = Annotated[int, Bounds(1, 2**24)]
"""A number of units of a layer, or of latents: beyond these XLA cannot say the size of a matrix."""
Whole = Annotated[int, Bounds(0)]
"""A whole number of at least 0."""
Positive = Annotated[float, Bounds(0, above=True)]
"""A number above 0."""
NotNegative = Annotated[float, Bounds(0)]
"""A number of at least 0."""
Seed = Annotated[int, Bounds(0, 2**32 - 1)]
"""A seed that JAX takes."""


@dataclasses.dataclass(frozen=True)
class Checked:
    """A base of option classes: refuses values outside the choices and bounds of its fields."""

    def __post_init__(self) -> None:
        """Refuse what no option can be.

        Raises:
            ValueError: One line with the option, its flag, the value and the mend.
        """
        for name, wanted in hints(type(self)).items():
            value = getattr(self, name)
            if value is not None and not _allowed(wanted, value):
                raise _refusal(flags(name), value, wanted)


@functools.cache
def hints(options: type) -> dict[str, Any]:
    """The types of a dataclass's fields, with their annotations."""
    found = typing.get_type_hints(options, include_extras=True)
    return {field.name: found[field.name] for field in dataclasses.fields(options)}


def convert(wanted: Any, value: Any, name: str, *, old: Choice | None = None) -> Any:
    """A value as the type that is wanted, where that loses nothing.

    Args:
        wanted: int, float, bool, str, `Path`, `Choice`, a `Literal`, a tuple of one of these, or a
            union.
        value: A word of the command line, or a value of TOML, JSON or Python.
        name: What the option is called in the message.
        old: The choice that a mapping without a name changes.

    Raises:
        ValueError: It is of another type: one line with the option, the value and the mend.
    """
    for kind in sorted(alternatives(wanted), key=lambda kind: kind is not type(None)):
        found = _as(kind, value, old)
        if found is not _NO:
            return found
    raise _refusal(name, value, wanted)


def flags(name: str) -> str:
    """``latent_dim (--latent-dim)``."""
    return f"{name} (--{name.replace('_', '-')})"


def in_words(wanted: Any) -> str:
    """What a value of a type may be: ``a whole number of at least 1``."""
    kinds = [kind for kind in alternatives(wanted) if kind is not type(None)]
    return " or ".join(dict.fromkeys(map(_one_in_words, kinds)))


def alternatives(wanted: Any) -> tuple[Any, ...]:
    """The types that a value may be; functions are left out, for no word is one."""
    union = bare(wanted)
    if typing.get_origin(union) not in (typing.Union, types.UnionType):
        return (wanted,)
    return tuple(kind for kind in typing.get_args(union) if not is_function(kind))


def bare(wanted: Any) -> Any:
    """A type without its annotations."""
    return typing.get_args(wanted)[0] if typing.get_origin(wanted) is Annotated else wanted


def _bounds(kind: Any) -> Bounds | None:
    return next((note for note in notes(kind) if isinstance(note, Bounds)), None)


def notes(wanted: Any) -> tuple[Any, ...]:
    """The annotations of a type."""
    return getattr(wanted, "__metadata__", ())


def is_function(wanted: Any) -> bool:
    """Whether a type is that of a function."""
    return typing.get_origin(wanted) is Callable


def _refusal(name: str, value: Any, wanted: Any) -> ValueError:
    """One line: the option, the value and what it may be."""
    kinds = [kind for kind in alternatives(wanted) if kind is not type(None)]
    if all(typing.get_origin(kind) is Literal for kind in kinds):
        choices = [choice for kind in kinds for choice in typing.get_args(kind)]
        mend = did_you_mean(str(value), choices)
    else:
        mend = f"give {in_words(wanted)}"
    given = to_word(value) if isinstance(value, tuple) else value
    return ValueError(f"{name} is {given!r}: {mend}")


def _as(kind: Any, value: Any, old: Choice | None = None) -> Any:
    """A value as one type, or `_NO`."""
    kind = bare(kind)
    if kind is type(None):
        return None if value is None or _is_word(value, "none") else _NO
    if typing.get_origin(kind) is Literal:
        return value if value in typing.get_args(kind) else _NO
    if typing.get_origin(kind) is tuple:
        return _items(typing.get_args(kind)[0], value)
    if kind is Choice:
        choice = Choice.of(value, old)
        return _NO if choice is None else choice
    simple: dict[Any, Callable[[Any], Any]] = {
        bool: _truth, int: _whole, float: _number, str: _text, Path: _path
    }  # fmt: skip
    return simple[kind](value) if kind in simple else _NO


def _truth(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    return True if _is_word(value, "true") else False if _is_word(value, "false") else _NO


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | Real):
        return _NO
    try:
        return float(value)
    except ValueError:
        return _NO


def _whole(value: Any) -> Any:
    if isinstance(value, str) and value.strip().lstrip("+-").isdecimal():
        return int(value)
    if isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    number = _number(value)
    return int(number) if number is not _NO and number.is_integer() else _NO


def _text(value: Any) -> Any:
    if isinstance(value, Mapping):  # columns = {age = "count"} in TOML
        return ",".join(f"{name}={word}" for name, word in value.items())
    return value if isinstance(value, str) else _NO


def _path(value: Any) -> Any:
    return Path(value).expanduser() if isinstance(value, str | Path) else _NO


def _items(kind: Any, value: Any) -> Any:
    """A list, words separated by commas, or one item alone, as a tuple."""
    if isinstance(value, str):
        value = [word.strip() for word in value.split(",") if word.strip()]
    elif not isinstance(value, list | tuple):
        value = [value]
    found = tuple(_as(kind, item) for item in value)
    return _NO if _NO in found else found


def _is_word(value: Any, word: str) -> bool:
    return isinstance(value, str) and value.lower() == word


def _allowed(wanted: Any, value: Any) -> bool:
    """Whether a value of the right type has a word that is known and a number within bounds."""
    for kind in alternatives(wanted):
        plain, bounds = bare(kind), _bounds(kind)
        if typing.get_origin(plain) is tuple:
            inner = typing.get_args(plain)[0]
            needed = _bounds(inner) is not None  # widths, of which there is one at least
            return bool(value or not needed) and all(_allowed(inner, item) for item in value)
        if bounds is not None:
            return bounds.hold(value)
        if typing.get_origin(plain) is Literal:
            return value in typing.get_args(plain)
    return True


def _one_in_words(kind: Any) -> str:
    plain, bounds = bare(kind), _bounds(kind)
    if typing.get_origin(plain) is Literal:
        return ", ".join(map(str, typing.get_args(plain)))
    if typing.get_origin(plain) is tuple:
        inner = typing.get_args(plain)[0]
        within = "" if _bounds(inner) is None else f" {_bounds(inner)}"
        numbers = f"whole numbers{within} separated by commas, such as 512,384,256"
        return numbers if bare(inner) is int else "words separated by commas"
    word = _WORDS.get(plain, str(plain))
    return word if bounds is None else f"{word} {bounds}"
