"""``elbax completion SHELL``."""

from __future__ import annotations

import argparse
import importlib
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import shtab

from elbax.cli.parsing import POSITIONAL, Argument, arguments_of
from elbax.recipes import RECIPES
from elbax.recipes.convert import Checked, alternatives, bare
from elbax.recipes.options import PARTS
from elbax.util import environment

_DATA = {"bash": "_elbax_data", "zsh": "_elbax_data", "fish": "(_elbax_data)"}


@dataclass(frozen=True)
class Arguments(Checked):
    """A script by which the shell completes commands, options, names of parts and paths.

    It is kept in a file that the shell reads:
    elbax completion bash > ~/.local/share/bash-completion/completions/elbax;
    elbax completion zsh > a folder of $fpath, as _elbax;
    elbax completion fish > ~/.config/fish/completions/elbax.fish.
    """

    shell: Annotated[Literal["bash", "zsh", "fish"], POSITIONAL]
    """The shell."""


def main(arguments: Arguments) -> None:
    """Runs the command."""
    preamble: Any = _preamble()  # its type there is that of one shell
    print(shtab.complete(parser(), shell=arguments.shell, preamble=preamble))


def parser() -> argparse.ArgumentParser:
    """All commands, with what each option may be."""
    from elbax.cli.main import COMMANDS

    whole = argparse.ArgumentParser(prog="elbax", add_help=False)
    for flag, what in (("--help", "the commands"), ("--version", "the version")):
        whole.add_argument(flag, action="store_true", help=what)
    commands = whole.add_subparsers()
    for name, (folder, summary) in COMMANDS.items():
        module = importlib.import_module(f"elbax.cli.{folder}.{name}")
        command = commands.add_parser(name, help=summary, add_help=False)
        command.add_argument("--help", action="store_true", help="what there is to say")
        for one in arguments_of(module.Arguments):
            _add(command, one)
    return whole


def _add(command: argparse.ArgumentParser, one: Argument) -> None:
    summary = one.help.split(". ")[0].split(": ")[0]
    if one.kind is bool:
        for flag in (one.flag, f"--no-{one.flag[2:]}"):
            command.add_argument(flag, action="store_true", help=summary)
        return
    names = [one.name] if one.positional else [one.flag]
    nargs = "*" if one.several and one.positional else None
    action = command.add_argument(*names, help=summary, nargs=nargs)
    action.choices = _choices(one) or None
    if one.name == "data":
        action.complete = _DATA  # pyright: ignore[reportAttributeAccessIssue]
    elif one.kind is Path:
        action.complete = shtab.FILE  # pyright: ignore[reportAttributeAccessIssue]


def _choices(one: Argument) -> Sequence[str]:
    """The words that an option may be, where they are few."""
    if one.name in PARTS:
        environment.prepare()
        from elbax.recipes import parts

        return list(parts.catalogue(one.name))
    if one.name == "recipe":
        return list(RECIPES)
    return [str(word) for kind in alternatives(one.wanted) for word in _words(kind)]


def _preamble() -> dict[str, str]:
    """What each shell calls to complete data: the names of data sets, and paths."""
    from elbax.data import available

    names = " ".join(entry.name for entry in available())
    both = f'"names:data set:({names})" "files:file:_files"'
    return {
        "bash": f'_elbax_data() {{\n  compgen -W "{names}" -- "$1"\n  compgen -f -- "$1"\n}}',
        "zsh": f"_elbax_data() {{\n  _alternative {both}\n}}",
        "fish": f"function _elbax_data\n  printf '%s\\n' {names}\n"
        "  __fish_complete_path (commandline -ct)\nend",
    }


def _words(kind: Any) -> tuple[Any, ...]:
    return typing.get_args(bare(kind)) if typing.get_origin(bare(kind)) is Literal else ()
