"""A part chosen by its name, with options of its own.

`--prior mixture --prior.components 20` on the command line, `[prior]` with `name = "mixture"` and
`components = 20` in TOML, `prior={"name": "mixture", "components": 20}` in Python. Which names and
options there are, the parts themselves say (`elbax.recipes.parts`); nothing here imports jax.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Choice:
    """A part by its name.

    Attributes:
        name: What the part is called.
        options: Its own options that were asked for, by name, in alphabetical order.
    """

    name: str
    options: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, value: Any, old: Choice | None = None) -> Choice | None:
        """A value of the command line, of TOML or of Python as a choice.

        A name, or a mapping with one, starts from that part's own defaults; a mapping without a
        name changes options of the old choice. None where the value is neither of these.
        """
        if isinstance(value, Choice):
            return value
        if isinstance(value, str):
            return cls(value)
        if not isinstance(value, Mapping):
            return None
        name = value.get("name", None if old is None else old.name)
        if not isinstance(name, str):
            return None
        options = {key: item for key, item in value.items() if key != "name"}
        start = cls(name) if old is None or "name" in value else old
        return start.with_options(options)

    def with_options(self, options: Mapping[str, Any]) -> Choice:
        """The same part with these options over the old ones."""
        merged = {**dict(self.options), **{k.replace("-", "_"): v for k, v in options.items()}}
        frozen = {k: tuple(v) if isinstance(v, list) else v for k, v in merged.items()}
        return Choice(self.name, tuple(sorted(frozen.items())))

    def to_json(self) -> str | dict[str, Any]:
        """The name alone, or a mapping where there are options."""
        if not self.options:
            return self.name
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in self.options}
        return {"name": self.name, **plain}

    def words(self, flag: str) -> list[str]:
        """The words of the command line that choose it."""
        found = [f"--{flag}", self.name]
        for name, value in self.options:
            found += [f"--{flag}.{name.replace('_', '-')}", to_word(value)]
        return found

    @classmethod
    def named(cls, name: str, **options: Any) -> Choice:
        """A part with options: `Choice.named("mixture", components=20)`."""
        return cls(name).with_options(options)

    def __str__(self) -> str:
        """For people: ``mixture (components 20)``."""
        own = [f"{name.replace('_', ' ')} {to_word(value)}" for name, value in self.options]
        return f"{self.name} ({', '.join(own)})" if own else self.name


def to_word(value: Any) -> str:
    """The value of an option as a word of the command line: the opposite of `convert.convert`."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)
