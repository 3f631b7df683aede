"""The words of a command as its dataclass of arguments, and the help that the dataclass makes.

Each field is an option, its attribute docstring the help, its type what a value may be; argparse
tells the words from one another, `elbax.recipes.convert` reads the values.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import functools
import inspect
import shutil
import textwrap
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING
from pathlib import Path
from typing import Any, Literal, TypeVar

from elbax.recipes.choice import Choice, to_word
from elbax.recipes.convert import REPEATED, alternatives, bare, convert, flags, hints, notes
from elbax.recipes.options import PARTS
from elbax.util.words import did_you_mean

ArgumentsT = TypeVar("ArgumentsT")

POSITIONAL = "positional"
"""Marks a field whose value has no flag: ``run: Annotated[Path, POSITIONAL]``."""

_METAVARS: Mapping[Any, str] = {int: "N", float: "X", Path: "PATH", Choice: "NAME"}


class UsageError(ValueError):
    """The words of a command were wrong: one line."""


@dataclasses.dataclass(frozen=True)
class Argument:
    """One argument of a command.

    Attributes:
        name: The field, with underscores.
        wanted: Its type, with annotations.
        default: Its default, or `MISSING`.
        help: The attribute's docstring.
        group: The class of options that it stands in.
    """

    name: str
    wanted: Any
    default: Any
    help: str
    group: type

    @property
    def flag(self) -> str:
        """``--latent-dim``."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def positional(self) -> bool:
        """Whether it has no flag."""
        return POSITIONAL in notes(self.wanted)

    @property
    def repeated(self) -> bool:
        """Whether its flag may be given several times."""
        return REPEATED in notes(self.wanted)

    @property
    def several(self) -> bool:
        """Whether it takes several words, each an item."""
        return self.repeated or (self.positional and typing.get_origin(bare(self.wanted)) is tuple)

    @property
    def kind(self) -> Any:
        """Its type, None and annotations apart; of several values that of one."""
        found = next(bare(kind) for kind in alternatives(self.wanted) if kind is not type(None))
        return typing.get_args(found)[0] if self.several else found

    @property
    def called(self) -> str:
        """What messages call it: its flag, or its name in capitals."""
        return self.name.upper() if self.positional else self.flag

    def read(self, given: Any) -> Any:
        """The words given for it, as its type."""
        name = flags(self.name) if not self.positional else self.called
        if isinstance(given, list):
            return tuple(convert(self.kind, word, name) for word in given)
        return convert(self.wanted, given, name)

    def add_to(self, group: Any, default: Any) -> None:
        """Makes argparse know it; its help has the default."""
        if self.positional:
            nargs = "*" if self.several else "?"
            group.add_argument(
                self.name, nargs=nargs, metavar=self.called, help=_escaped(self.help)
            )
        elif self.kind is bool:
            # Both words are known, and the help has the one that changes something.
            for flag, value in ((self.flag, True), (f"--no-{self.flag[2:]}", False)):
                text = argparse.SUPPRESS if value == default else _escaped(self.help)
                group.add_argument(
                    flag, dest=self.name, action="store_const", const=value, help=text
                )
        else:
            shown = "" if default in (None, ()) else f" (default: {_default(default)})"
            shown = " (required)" if default is MISSING else shown
            group.add_argument(
                self.flag,
                dest=self.name,
                action="append" if self.repeated else "store",
                metavar=_metavar(self.kind),
                help=_escaped(self.help) + shown,
            )


def parse(arguments: type[ArgumentsT], command: str, words: Sequence[str]) -> ArgumentsT:
    """The words of a command as its dataclass of arguments.

    Args:
        arguments: The dataclass; its docstring and those of its fields become the help.
        command: The command's name.
        words: What was typed after it.

    Raises:
        UsageError: An unknown flag (with the nearest one), a missing or an impossible value.
        SystemExit: After ``--help``.
    """
    given = read(arguments, command, words)
    if "help" in given:
        print(help_of(arguments, command))
        raise SystemExit(0)
    known = {argument.name: argument for argument in arguments_of(arguments)}
    missing = [
        one.called for one in known.values() if one.default is MISSING and one.name not in given
    ]
    if missing:
        more = f"see `elbax {command} --help`"
        raise UsageError(f"`elbax {command}` needs {', '.join(missing)}; {more}")
    return _built(arguments, {name: known[name].read(value) for name, value in given.items()})


def _built(arguments: type[ArgumentsT], values: Mapping[str, Any]) -> ArgumentsT:
    """The dataclass of these values, and the dataclasses inside it."""
    own: dict[str, Any] = {}
    for field in dataclasses.fields(arguments):  # pyright: ignore[reportArgumentType]
        kind = hints(arguments)[field.name]
        if dataclasses.is_dataclass(kind) and kind is not Choice:
            own[field.name] = _built(typing.cast("type", kind), values)
        elif field.name in values:
            own[field.name] = values[field.name]
    return arguments(**own)


def read(arguments: type, command: str, words: Sequence[str]) -> dict[str, Any]:
    """What was typed, by the fields' names: words (lists of words, of several), or a truth value.

    An option of a part has a dotted name: ``prior.components``.

    Raises:
        UsageError: An unknown flag (with the nearest one), or a flag without a value.
    """
    check_flags(arguments, command, words)
    parser = _parser(arguments, command)
    dotted = {word.partition("=")[0] for word in words if _is_dotted(word)}
    for flag in dotted:
        parser.add_argument(flag, dest=flag[2:].replace("-", "_"))
    more = f"see `elbax {command} --help`"
    try:
        found, rest = parser.parse_known_intermixed_args(words)
    except argparse.ArgumentError as error:
        takes = "takes no value" if "ignored" in error.message else "needs a value"
        at = "`elbax parts`" if error.argument_name in dotted else f"`elbax {command} --help`"
        raise UsageError(f"{error.argument_name} {takes}; see {at}") from None
    if rest:
        raise UsageError(f"`elbax {command}` takes no '{rest[0]}'; {more}")
    return {name: value for name, value in vars(found).items() if value not in (None, [])}


def check_flags(arguments: type, command: str, words: Sequence[str]) -> None:
    """Refuses unknown flags, with the nearest one.

    Raises:
        UsageError: One line.
    """
    known = ["--help", *(one.flag for one in arguments_of(arguments))]
    for word in words:
        if word == "--":
            return
        flag = word.split("=", 1)[0].split(".", 1)[0].replace("_", "-")
        if not word.startswith("--") or flag in known or f"--{flag[5:]}" in known:
            continue
        raise UsageError(
            f"unknown option '{flag}' of `elbax {command}`: {did_you_mean(flag, known)}"
        )


def arguments_of(arguments: type) -> Iterator[Argument]:
    """The fields of a dataclass, with those of the dataclasses inside it."""
    helps = _field_helps(arguments)
    wanted = hints(arguments)
    for field in dataclasses.fields(arguments):
        kind = wanted[field.name]
        if dataclasses.is_dataclass(kind) and kind is not Choice:
            yield from arguments_of(typing.cast("type", kind))
        else:
            yield Argument(field.name, kind, field.default, helps[field.name], arguments)


def help_of(
    arguments: type, command: str, defaults: Mapping[str, Any] | None = None, after: str = ""
) -> str:
    """What ``--help`` says.

    Args:
        arguments: The command's dataclass.
        command: Its name.
        defaults: Defaults by name that differ from the fields' own.
        after: What to say at the end.
    """
    return _parser(arguments, command, defaults or {}, after).format_help().rstrip()


def _parser(
    arguments: type, command: str, defaults: Mapping[str, Any] | None = None, after: str = ""
) -> argparse.ArgumentParser:
    width = shutil.get_terminal_size().columns
    paragraphs = inspect.cleandoc(arguments.__doc__ or "").split("\n\n")
    found = list(arguments_of(arguments))
    placed = [one.called + " …" * one.several for one in found if one.positional]
    usage = " ".join(["%(prog)s", *placed, "[options]"])
    parser = argparse.ArgumentParser(
        prog=f"elbax {command}",
        usage=usage,
        description="\n\n".join(textwrap.fill(" ".join(p.split()), width) for p in paragraphs),
        epilog=after,
        formatter_class=functools.partial(
            argparse.RawDescriptionHelpFormatter, max_help_position=6, width=width
        ),
        add_help=False,
        allow_abbrev=False,
        exit_on_error=False,
        argument_default=argparse.SUPPRESS,
    )
    own = parser.add_argument_group("options")
    groups: dict[type, Any] = {arguments: own}
    for one in found:
        if one.group not in groups:
            title = one.group.__name__.removesuffix("Options").lower()
            groups[one.group] = parser.add_argument_group(f"{title} options", one.group.__doc__)
        group = parser if one.positional else groups[one.group]
        one.add_to(group, (defaults or {}).get(one.name, one.default))
    own.add_argument("--help", action="store_true", help="Show this, and stop.")
    return parser


def _is_dotted(word: str) -> bool:
    return word.startswith(tuple(f"--{part}." for part in PARTS))


def _metavar(kind: Any) -> str:
    if typing.get_origin(kind) is Literal:
        return "{" + ",".join(map(str, typing.get_args(kind))) + "}"
    if typing.get_origin(kind) is tuple:
        return "WORD,WORD" if bare(typing.get_args(kind)[0]) is str else "N,N,…"
    return _METAVARS.get(kind, "WORD")


def _default(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else _escaped(to_word(value))


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


@functools.cache
def _field_helps(arguments: type) -> dict[str, str]:
    """The docstrings of a class's attributes, each on one line."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(arguments))).body
    body = typing.cast("ast.ClassDef", tree).body
    found = {}
    for field, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            text = getattr(getattr(after, "value", None), "value", "")
            found[field.target.id] = " ".join(text.split()) if isinstance(text, str) else ""
    return found
