"""From recipe, TOML file and keywords to options; later ones win."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from elbax import recipes
from elbax.recipes import options as option_tools
from elbax.recipes.options import Options
from elbax.util.words import did_you_mean

_TOP = ("recipe", "data")


def read_toml(path: Path | str) -> dict[str, Any]:
    """The options of a TOML file, flat; `recipe` and `data` among them where they are given.

    Options stand at the top or in the table of their section: ``[model]``, ``[training]``,
    ``[data]``, ``[run]``. A part is a word (``prior = "vamp"``) or a table with its options
    (``[prior]`` with ``name = "vamp"``).

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It isn't TOML, or holds an unknown key (with the nearest one).
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {path} (--config)") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path} can't be read as TOML: {error}") from None
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict) and key not in option_tools.PARTS:
            flat.update(_section(path, key, value))
        else:
            flat[_known(path, key, [*_TOP, *option_tools.option_names()])] = value
    return flat


def settle(
    *, recipe: str | None = None, config: Path | str | None = None, keywords: Mapping[str, Any]
) -> tuple[Options, Any]:
    """Options from a recipe, a TOML file and keywords (later ones win); and the file's `data`.

    Raises:
        FileNotFoundError: There is no such TOML file.
        ValueError: An unknown recipe or option, or an impossible value.
    """
    file = read_toml(config) if config is not None else {}
    data = file.pop("data", None)
    named = file.pop("recipe", None)
    options = recipes.find(recipe or named or next(iter(recipes.RECIPES))).options()
    try:
        options = option_tools.replace(options, file)
    except ValueError as error:
        raise ValueError(f"{config}: {error}") from None
    return option_tools.replace(options, keywords), data


def _section(path: Path, name: str, table: Mapping[str, Any]) -> dict[str, Any]:
    if name not in option_tools.SECTIONS:
        mend = did_you_mean(name, [*option_tools.SECTIONS, *option_tools.PARTS])
        raise ValueError(f"{path}: unknown table [{name}]: {mend}")
    flat = {}
    for key, value in table.items():
        option = _known(path, key, option_tools.option_names())
        home = option_tools.section_of(option)
        if home != name:
            raise ValueError(f"{path}: '{key}' stands in [{name}] and belongs in [{home}]")
        flat[option] = value
    return flat


def _known(path: Path, key: str, known: list[str]) -> str:
    option = key.replace("-", "_")
    if option not in known:
        raise ValueError(f"{path}: unknown key '{key}': {did_you_mean(option, known)}")
    return option
