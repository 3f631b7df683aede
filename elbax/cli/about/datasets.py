"""``elbax datasets``."""

from __future__ import annotations

import json
from dataclasses import dataclass

from elbax.recipes.convert import Checked


@dataclass(frozen=True)
class Arguments(Checked):
    """The data sets known by name, and whether each is at hand."""

    json: bool = False
    """Print a JSON list of objects with name, summary, source and where."""


def main(arguments: Arguments) -> None:
    """Runs the command."""
    from elbax.data import available

    entries = available()
    if arguments.json:
        names = ("name", "summary", "source", "where")
        print(json.dumps([{name: getattr(entry, name) for name in names} for entry in entries]))
        return
    for entry in entries:
        print(f"{entry.name:<15} {entry.summary}")
        print(f"{'':<15} {entry.where}; {entry.source}")
    print("or a path: .npy, .npz, IDX (gzip or not), a folder of PNG or JPEG images")
