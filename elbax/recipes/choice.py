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
    def of(cls, value: Any) -> Choice | None:
        """A name, or a mapping with `name` and options, as a choice; None where it is neither."""
        if isinstance(value, Choice):
            return value
        if isinstance(value, str):
            return cls(value)
        if isinstance(value, Mapping) and isinstance(value.get("name"), str):
            return cls(value["name"]).with_options(
                {key: item for key, item in value.items() if key != "name"}
            )
        return None

    def with_options(self, options: Mapping[str, Any]) -> Choice:
        """The same part with these options over the old ones."""
        merged = {**dict(self.options), **{k.replace("-", "_"): v for k, v in options.items()}}
        plain = {k: tuple(v) if isinstance(v, list) else v for k, v in merged.items()}
        return Choice(self.name, tuple(sorted(plain.items())))

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
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            found += [f"--{flag}.{name.replace('_', '-')}", text]
        return found
