"""What a sweep varies: options with several values, and the runs that they make."""

from __future__ import annotations

import dataclasses
import itertools
import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from elbax.recipes.choice import to_word
from elbax.recipes.convert import alternatives, bare, hints
from elbax.recipes.options import PARTS, SECTIONS, SHORT, section_of

AUTO = "auto"
MOST = 1000  # runs: beyond that a mistake is likelier than a wish
_LADDER = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Axes:
    """What varies and what does not.

    Attributes:
        fixed: Options that are the same for all, by name, as they were given.
        varied: The others, each with its values, in the order given.
        auto: Whether the number of latents is to be chosen.
    """

    fixed: Mapping[str, Any]
    varied: Mapping[str, tuple[Any, ...]]
    auto: bool = False

    def runs(self) -> dict[str, dict[str, Any]]:
        """The options of each run that are its own, by the run's name.

        Raises:
            ValueError: There are fewer than two, or more than `MOST`.
        """
        count = 1
        for values in self.varied.values():
            count *= len(values)
        if not 2 <= count <= MOST:
            raise ValueError(
                f"a sweep of {count} {'run' if count == 1 else 'runs'}: give 2 to {MOST:,}, by "
                "--seeds N and options with several values, such as --latent-dim 2,4,8"
            )
        words = _short(list(self.varied))
        found = {}
        for values in itertools.product(*self.varied.values()):
            changes = dict(zip(self.varied, values, strict=True))
            name = "_".join(f"{words[key]}-{_plain(value)}" for key, value in changes.items())
            found[name if name not in found else f"{name}_{len(found)}"] = changes
        return found


def of(given: Mapping[str, Any], *, seeds: int | None = None, latents: int | None = None) -> Axes:
    """What is varied among options as they were given.

    A word with commas, and in Python a list, is several values; of an option that is itself a list
    (``hidden``) a Python list of lists is. How data are read, and where runs go, does not vary.

    Args:
        given: Options by name.
        seeds: How many seeds, from the one given on; None: as given.
        latents: The most latents that are worth trying with ``latent_dim="auto"``.

    Raises:
        ValueError: An option with no value, one that cannot vary, or seeds given twice.
    """
    fixed, varied, auto = {}, {}, False
    for name, value in given.items():
        values = _values(name, value)
        if name == "latent_dim" and values is None and value == AUTO:
            auto = True
            varied[name] = tuple(n for n in _LADDER if n <= max(latents or 2, 2))
        elif values is None:
            fixed[name] = value
        elif not values:
            raise ValueError(f"{name} (--{_flag(name)}) has no value: give one or more")
        elif len(values) == 1:
            fixed[name] = values[0]
        else:
            varied[name] = tuple(dict.fromkeys(values))
    if seeds is not None:
        if "seed" in varied:
            raise ValueError("both --seeds and several values of --seed are given: give one")
        first = int(fixed.pop("seed", 0))
        varied["seed"] = tuple(range(first, first + seeds))
        if seeds == 1:
            fixed["seed"] = varied.pop("seed")[0]
    return Axes(fixed, varied, auto)


def _values(name: str, value: Any) -> list[Any] | None:
    """The values of an option that has several; None of one that has one."""
    section = section_of(name.partition(".")[0])
    if section == "data" or (section == "run" and name != "seed"):
        return None
    if "." in name or name in SHORT or not _is_list(section, name):
        if isinstance(value, str):
            return value.split(",") if "," in value else None
        return list(value) if isinstance(value, list | tuple) else None
    several = isinstance(value, list | tuple) and any(isinstance(v, list | tuple) for v in value)
    return [tuple(v) for v in value] if several else None


def _is_list(section: str | None, name: str) -> bool:
    """Whether one value of an option is a list itself."""
    if section is None or name in PARTS:
        return False
    wanted = hints(SECTIONS[section])[name]
    return any(typing.get_origin(bare(kind)) is tuple for kind in alternatives(wanted))


def _short(names: Sequence[str]) -> dict[str, str]:
    """What folders call each option: the last of its words, where that names it alone."""
    last = [name.split(".")[-1] for name in names]
    return {
        name: _flag(name if last.count(short) > 1 else short)
        for name, short in zip(names, last, strict=True)
    }


def _flag(name: str) -> str:
    return name.replace("_", "-")


def _plain(value: Any) -> str:
    """A value as a part of a folder's name."""
    word = value["name"] if isinstance(value, Mapping) and "name" in value else to_word(value)
    return re.sub(r"[^\w.+-]+", "-", word)[:60].strip(".-") or "x"


def to_json(axes: Axes) -> dict[str, Any]:
    """The axes as plain data, by which two sweeps are compared."""
    return {name: plain(value) for name, value in dataclasses.asdict(axes).items()}


def plain(value: Any) -> Any:
    """Options as they were given, as plain data that JSON can say."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
