"""Flags from dataclasses by tyro; its errors as one line of ours."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeVar

import tyro
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
    UnsupportedTypeAnnotationError,
)

from elbax.recipes import options as option_tools
from elbax.recipes.choice import Choice
from elbax.recipes.options import PARTS
from elbax.util.words import did_you_mean

ArgumentsT = TypeVar("ArgumentsT")

_REGISTRY = ConstructorRegistry()
_MARKERS = (
    tyro.conf.OmitArgPrefixes,
    tyro.conf.FlagCreatePairsOff,
    tyro.conf.PositionalMetavarFromFieldName,
)


class UsageError(ValueError):
    """The words of a command were wrong: one line."""


def parse(
    arguments: type[ArgumentsT], command: str, words: Sequence[str], default: Any = None
) -> ArgumentsT:
    """The words of a command as its dataclass of arguments.

    Args:
        arguments: The dataclass; its docstring and its fields' become the help.
        command: The command's name.
        words: What was typed after it.
        default: An instance to take defaults from.

    Raises:
        UsageError: An unknown flag (with the nearest one), a missing or an impossible value.
        SystemExit: After ``--help``.
    """
    check_flags(arguments, command, words)
    hook = getattr(getattr(tyro, "_errors", None), "on_parse_error", None)

    def complain(event: Any) -> None:
        raise UsageError(_in_words(event, command))

    # The hook is tyro's own, though not yet promised: without it tyro prints its box and exits with
    # 2.
    with hook(complain) if hook is not None else nullcontext():
        return tyro.cli(
            arguments,
            prog=f"elbax {command}",
            args=list(words),
            config=_MARKERS,
            registry=_REGISTRY,
            **({} if default is None else {"default": default}),
        )


def split_dotted(words: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The words without the dotted options of parts, and these by their names.

    `--prior.components 20` and `--prior.components=20` are `{"prior.components": "20"}`: which
    options a part has is known only when it is known, so the parser never sees them.

    Raises:
        UsageError: One has no value.
    """
    rest: list[str] = []
    found: dict[str, str] = {}
    waiting = iter(words)
    for word in waiting:
        flag, has_value, value = word.partition("=")
        if not _is_dotted(flag):
            rest.append(word)
            continue
        if not has_value:
            value = next(waiting, "--")
            if value.startswith("--"):
                raise UsageError(f"{flag} needs a value; see `elbax parts`")
        found[flag.removeprefix("--").replace("-", "_")] = value
    return rest, found


def _is_dotted(flag: str) -> bool:
    return flag.startswith(tuple(f"--{part}." for part in PARTS))


def check_flags(arguments: type, command: str, words: Sequence[str]) -> None:
    """Refuses unknown flags, with the nearest one.

    Raises:
        UsageError: One line.
    """
    known = ["--help", *(f"--{name.replace('_', '-')}" for name in field_names(arguments))]
    for word in words:
        if word == "--":
            return
        if not word.startswith("--"):
            continue
        flag = word.split("=", 1)[0].split(".", 1)[0].replace("_", "-")
        if flag not in known and flag.replace("--no-", "--", 1) not in known:
            raise UsageError(
                f"unknown option '{flag}' of `elbax {command}`: {did_you_mean(flag, known)}"
            )


def field_names(arguments: type) -> list[str]:
    """Names of a dataclass's fields, with those of dataclasses inside it."""
    names = []
    hints = typing.get_type_hints(arguments)
    for field in dataclasses.fields(arguments):
        if dataclasses.is_dataclass(hints[field.name]) and hints[field.name] is not Choice:
            names += field_names(hints[field.name])
        else:
            names.append(field.name)
    return names


def value_of(flag: str, words: Sequence[str]) -> str | None:
    """The value of ``flag``, before the words are parsed as a whole; the last one counts."""
    found = None
    for i, word in enumerate(words):
        if word == flag and i + 1 < len(words):
            found = words[i + 1]
        elif word.startswith(f"{flag}="):
            found = word.split("=", 1)[1]
    return found


def _in_words(event: Any, command: str) -> str:
    """One of tyro's parse errors as one line."""
    kind = type(event).__name__
    more = f"see `elbax {command} --help`"
    if kind == "InvalidChoice":
        name = event.argument.lowered.name_or_flags[-1]
        choices = [choice for choice in event.choices if choice != "none"]
        return f"{name} is '{event.value}': {did_you_mean(event.value, choices)}"
    if kind == "MissingArgs":
        missing = ", ".join(_name(item.arg) for item in event.missing_arguments)
        return f"`elbax {command}` needs {missing}; {more}"
    if kind == "UnrecognizedArgs":
        return f"`elbax {command}` takes no '{event.tokens[0]}'; {more}"
    if kind == "BadValue":
        return f"{_name(event.argument)} needs a value; {more}"
    if kind == "InstantiationFailure":
        name = "" if event.argument is None else f"{_name(event.argument)}: "
        message = " ".join(str(event.message).split())
        return message if message.startswith(name) or "(--" in message else f"{name}{message}"
    return f"`elbax {command}` can't read these words ({kind}); {more}"


def _name(argument: Any) -> str:
    """A flag as it is typed, or a positional argument in capitals."""
    flags = argument.lowered.name_or_flags
    return flags[-1] if flags and flags[-1].startswith("-") else argument.field.intern_name.upper()


@_REGISTRY.primitive_rule
def _plain_types(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec | None:
    """Numbers, widths and paths, with messages of our own; 1e4 is a whole number too."""
    words = {int: "a whole number", float: "a number"}
    if info.type in words:
        return PrimitiveConstructorSpec(
            nargs=1,
            metavar="N" if info.type is int else "X",
            instance_from_str=lambda given: _number(info.type, given[0], words[info.type]),
            is_instance=lambda value: isinstance(value, int | float),
            str_from_instance=lambda value: [
                f"{value:g}" if isinstance(value, float) else str(value)
            ],
        )
    if typing.get_origin(info.type) is tuple and int in typing.get_args(info.type):
        return PrimitiveConstructorSpec(
            nargs=1,
            metavar="N,N,…",
            instance_from_str=lambda given: _widths(given[0]),
            is_instance=lambda value: isinstance(value, tuple),
            str_from_instance=lambda value: [",".join(map(str, value))],
        )
    if info.type is Choice:
        return PrimitiveConstructorSpec(
            nargs=1,
            metavar="NAME",
            instance_from_str=lambda given: Choice(given[0]),
            is_instance=lambda value: isinstance(value, Choice),
            str_from_instance=lambda value: [str(value)],
        )
    if info.type is Path:
        return PrimitiveConstructorSpec(
            nargs=1,
            metavar="PATH",
            instance_from_str=lambda given: Path(given[0]).expanduser(),
            is_instance=lambda value: isinstance(value, Path),
            str_from_instance=lambda value: [str(value)],
        )
    return None


@_REGISTRY.primitive_rule
def _optional(
    info: PrimitiveTypeInfo,
) -> PrimitiveConstructorSpec | UnsupportedTypeAnnotationError | None:
    """``X | None`` takes an X, or ``none`` to undo what a recipe or a file says."""
    parts = typing.get_args(info.type)
    if typing.get_origin(info.type) not in (typing.Union, types.UnionType) or len(parts) != 2:
        return None
    if type(None) not in parts:
        return None
    kind = next(part for part in parts if part is not type(None))
    inner = ConstructorRegistry.get_primitive_spec(PrimitiveTypeInfo.make(kind, info.markers))
    if isinstance(inner, UnsupportedTypeAnnotationError):
        return inner

    def read(given: list[str]) -> Any:
        return None if given[0].lower() == "none" else inner.instance_from_str(given)

    return dataclasses.replace(
        inner,
        instance_from_str=read,
        is_instance=lambda value: value is None or bool(inner.is_instance(value)),
        str_from_instance=lambda v: ["none"] if v is None else inner.str_from_instance(v),
        choices=None if inner.choices is None else (*inner.choices, "none"),
    )


def _number(kind: type, text: str, words: str) -> Any:
    try:
        if kind is float:
            return float(text)
        return int(text) if text.strip().lstrip("+-").isdecimal() else _whole(float(text))
    except (ValueError, OverflowError):
        raise ValueError(f"'{text}' is not {words}") from None


def _whole(value: float) -> int:
    """1e4 as 10000.

    Raises:
        ValueError: It isn't whole.
    """
    if not value.is_integer():
        raise ValueError
    return int(value)


def _widths(text: str) -> tuple[int, ...]:
    value = option_tools.widths(text)
    if value is None:
        raise ValueError(f"'{text}' is not whole numbers separated by commas, such as 512,384,256")
    return value
