"""The parts of a model and of its training, by name: found, described, checked and made.

A part is a class of `elbax.model` with a `name`; its summary, its source and its options are read
off the class itself (the docstring and the constructor), so that a new part needs no line here.

An argument that may be a function of the step (the weight of a KL, a target rate) is a number here,
and `SCHEDULE` says how it gets there.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from elbax.recipes.choice import Choice
from elbax.recipes.convert import convert, in_words, is_function
from elbax.recipes.options import SHORT
from elbax.util.words import did_you_mean

KINDS = {
    "network": "AbstractNetworkPair",
    "prior": "AbstractPrior",
    "posterior": "AbstractPosterior",
    "likelihood": "AbstractLikelihood",
    "objective": "AbstractObjective",
    "missing": "AbstractMissingness",
}

# What a composition hands to a constructor that asks for it by name; the rest are options.
CONTEXT = frozenset(
    {
        *("latent_dim", "shape", "hidden", "activation", "compute_dtype"),
        *("data", "bounds", "condition_dim", "features", "holes", "key"),
    }
)


@dataclasses.dataclass(frozen=True)
class Option:
    """One option of a part.

    Attributes:
        name: With underscores.
        kind: Its type.
        default: What it is where nothing is asked for.
        help: A sentence, from the docstring.
    """

    name: str
    kind: Any
    default: Any
    help: str

    @property
    def scheduled(self) -> bool:
        """Whether it may be a function of the step."""
        return any(map(is_function, typing.get_args(self.kind)))

    def in_words(self) -> str:
        """What a value may be, in words."""
        return in_words(self.kind)


SCHEDULE = {
    option.name: option
    for option in (
        Option("warm_up", int, 0, "Steps over which {} rises linearly from 0."),
        Option(
            "cycles",
            int,
            1,
            "How often it does so: with more than one, in the first half of each part of the run "
            "(Fu et al. 2019), and without a warm-up.",
        ),
    )
}
"""What a part with an argument that may be a function of the step has for it besides its value."""


@dataclasses.dataclass(frozen=True)
class Part:
    """A part that can be chosen by name.

    Attributes:
        kind: One of `KINDS`.
        name: What `--prior` and its like call it.
        constructor: The class.
        summary: One line, from its docstring.
        source: Where it comes from, from its docstring.
        options: Its own options, by name.
    """

    kind: str
    name: str
    constructor: Any
    summary: str
    source: str
    options: Mapping[str, Option]

    @property
    def scheduled(self) -> str | None:
        """The option that `SCHEDULE` is of, if there is one."""
        return next((name for name, option in self.options.items() if option.scheduled), None)

    def complete(self, choice: Choice) -> dict[str, Any]:
        """All its options, at their defaults where the choice says nothing of them."""
        defaults = {name: option.default for name, option in self.options.items()}
        return {**defaults, **dict(choice.options)}

    def wants(self, name: str) -> bool:
        """Whether its constructor asks for this of `CONTEXT`."""
        return name in inspect.signature(self.constructor).parameters

    def build(self, choice: Choice, context: Mapping[str, Any]) -> Any:
        """The part itself: what it asks for of the context, and the options that were chosen."""
        given = {name: value for name, value in context.items() if self.wants(name)}
        return self.constructor(**given, **dict(choice.options))


def catalogue(kind: str) -> dict[str, Part]:
    """Every part of a kind, by name, in the order of their modules."""
    import elbax.model
    from elbax.model import interfaces

    found: dict[str, Part] = {}
    waiting = [getattr(interfaces, KINDS[kind])]
    while waiting:
        constructor = waiting.pop(0)
        waiting += constructor.__subclasses__()
        name = constructor.__dict__.get("name")
        if isinstance(name, str) and constructor.__module__.startswith(f"{elbax.model.__name__}."):
            found.pop(name, None)  # one with two bases is met twice: it stands with the second
            found[name] = _describe(kind, name, constructor)
    return found


def find(kind: str, name: str) -> Part:
    """A part by its kind and name.

    Raises:
        ValueError: There is none; the message has the nearest name.
    """
    parts = catalogue(kind)
    if name not in parts:
        raise ValueError(f"{kind} (--{kind}) is '{name}': {did_you_mean(name, parts)}")
    return parts[name]


def settle(kind: str, choice: Choice) -> Choice:
    """A choice whose options have the types that the part's constructor wants.

    Raises:
        ValueError: An unknown part or option (with the nearest one), or an impossible value.
    """
    part = find(kind, choice.name)
    settled = {}
    for name, value in choice.options:
        if name not in part.options:
            mend = did_you_mean(name, part.options) if part.options else "it has no options"
            raise ValueError(
                f"unknown option '{name}' ({_flags(kind, name)}) of {part.name}: {mend}"
            )
        called = f"{name} ({_flags(kind, name)})"
        settled[name] = convert(part.options[name].kind, value, called)
    return Choice(choice.name).with_options(settled)


SectionT = TypeVar("SectionT")


def settled(section: SectionT) -> SectionT:
    """A section of the options, such as `ModelOptions`, with every choice of a part settled.

    Raises:
        ValueError: As `settle` does.
    """
    fields = [field.name for field in dataclasses.fields(section)]  # type: ignore[arg-type]
    chosen = {name: getattr(section, name) for name in fields}
    settled = {kind: settle(kind, one) for kind, one in chosen.items() if isinstance(one, Choice)}
    return dataclasses.replace(section, **settled)  # type: ignore[type-var]


@functools.cache
def _describe(kind: str, name: str, constructor: type) -> Part:
    text = inspect.getdoc(constructor) or ""
    lead = " ".join(text.split("\n\n")[0].split())
    source = re.search(r"\(([^()]*\d{4}[^()]*)\)", lead)
    summary = lead if source is None else lead.replace(source[0], "")
    return Part(
        kind,
        name,
        constructor,
        re.sub(r"\s+([.,;:])", r"\1", " ".join(summary.split())),
        "" if source is None else source[1],
        {option.name: option for option in _options(constructor)},
    )


def _options(constructor: Any) -> list[Option]:
    hints = typing.get_type_hints(constructor.__init__)
    helps = _described(constructor)
    found = [
        Option(name, hints.get(name, str), parameter.default, helps.get(name, ""))
        for name, parameter in inspect.signature(constructor).parameters.items()
        if name not in CONTEXT and parameter.default is not inspect.Parameter.empty
    ]
    rising = [option.name for option in found if option.scheduled]
    if not rising:
        return found
    schedule = SCHEDULE.values()
    return found + [dataclasses.replace(one, help=one.help.format(rising[0])) for one in schedule]


def _described(constructor: Any) -> dict[str, str]:
    """What the docstrings' `Args:` and `Attributes:` say of each name."""
    found: dict[str, str] = {}
    for text in (inspect.getdoc(constructor) or "", inspect.getdoc(constructor.__init__) or ""):
        for name, words in re.findall(
            r"^    (\w+): (.+(?:\n {8,}\S.*)*)", text, flags=re.MULTILINE
        ):
            found[name] = " ".join(words.split())
    return found


def _flags(kind: str, name: str) -> str:
    """What an option is called on the command line; some have a short word too."""
    full = f"--{kind}.{name.replace('_', '-')}"
    short = [word for word, option in SHORT.items() if kind == "objective" and option == name]
    return " or ".join([*(f"--{word.replace('_', '-')}" for word in short), full])
