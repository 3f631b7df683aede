"""A page's parts and its facts in one file."""

from __future__ import annotations

import html
import json
import pkgutil
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from elbax.program.steps import Program


def filled(name: str, facts: Mapping[str, Any], scripts: Sequence[str]) -> str:
    """The page ``NAME.html`` with its style, its scripts and the facts.

    Args:
        name: "images" or "tables".
        facts: What the scripts read, plain data.
        scripts: Those that come after program.js.
    """
    text = _file(f"{name}.html").replace("{{NAME}}", html.escape(facts["name"]))
    # A page ends a script at </, wherever that stands.
    said = json.dumps(facts, allow_nan=False, separators=(",", ":")).replace("</", "<\\/")
    tags = [f"<script>{_file(script)}</script>" for script in ("program.js", *scripts)]
    text = text.replace("{{STYLE}}", _file("page.css")).replace("{{SCRIPTS}}", "\n".join(tags))
    return text.replace("{{FACTS}}", said)


def constants(programs: Mapping[str, Program]) -> dict[str, np.ndarray]:
    """The arrays of all programs, each once: several hold the same weights.

    Their numbers in the programs become names that the page finds them by: see `plain`.
    """
    found: dict[str, np.ndarray] = {}
    for program in programs.values():
        for array in program.constants.values():
            found.setdefault(_name(array), array)
    return found


def plain(program: Program) -> dict[str, Any]:
    """A program as plain data, with the names of its constants."""
    names = {str(number): _name(array) for number, array in program.constants.items()}
    return {**program.plain(), "constants": names}


def _name(array: np.ndarray) -> str:
    import hashlib

    kind = "w" if array.dtype.kind in "iub" else "f"
    return kind + hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:12]


def _file(name: str) -> str:
    return (pkgutil.get_data("elbax.explore", name) or b"").decode()
