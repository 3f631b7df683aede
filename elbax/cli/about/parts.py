"""``elbax parts``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from elbax.cli.parsing import POSITIONAL
from elbax.recipes.choice import to_word
from elbax.recipes.convert import Checked
from elbax.recipes.options import PARTS
from elbax.util import environment
from elbax.util.words import did_you_mean

if TYPE_CHECKING:
    from elbax.recipes.parts import Part


@dataclass(frozen=True)
class Arguments(Checked):
    """The parts that a model and its training are composed of.

    They are networks, priors, posteriors, likelihoods, reasons of missing cells, and objectives.

    Each with its source, and its own options with their defaults.
    """

    kind: Annotated[str, POSITIONAL] = "all"
    """Only those of one kind: network, prior, posterior, likelihood, missing or objective."""
    json: bool = False
    """Print a JSON list of objects with kind, name, summary, source and options."""


def main(arguments: Arguments) -> None:
    """Runs the command."""
    if arguments.kind not in (*PARTS, "all"):
        raise ValueError(f"kind is '{arguments.kind}': {did_you_mean(arguments.kind, PARTS)}")
    environment.prepare()
    from elbax.recipes import parts

    kinds = PARTS if arguments.kind == "all" else (arguments.kind,)
    found = [part for kind in kinds for part in parts.catalogue(kind).values()]
    if arguments.json:
        print(json.dumps([_object(part) for part in found]))
        return
    for part in found:
        print(f"--{part.kind} {part.name}")
        print(f"    {part.summary} {part.source}.")
        for option in part.options.values():
            flag = f"--{part.kind}.{option.name.replace('_', '-')}"
            print(f"    {flag} {_default(option.default)}  ({option.in_words()})")
            print(f"        {option.help}")


def _default(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else to_word(value) or "…"


def _object(part: Part) -> dict:
    options = [
        {"name": one.name, "default": one.default, "values": one.in_words(), "help": one.help}
        for one in part.options.values()
    ]
    about = {name: getattr(part, name) for name in ("kind", "name", "summary", "source")}
    return {**about, "options": options}
