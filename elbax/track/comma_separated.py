"""``--track csv``: the numbers as a table, ``metrics.csv``, for spreadsheets and R."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from elbax.run.folder import TABLE
from elbax.track.tracker import Ending, Scalars, Tracker
from elbax.util import files

_HEAD = ("step", "name", "value")


def tracker(name: str, folder: Path) -> Tracker:
    """The table of the run in a folder."""
    del name
    return _Table(folder / TABLE)


class _Table:
    """A line a number: its step, its name, its value."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, options: Mapping[str, Any], step: int) -> None:
        del options  # config.json has them
        kept = [row for row in self._rows() if row[0].isdecimal() and int(row[0]) <= step]
        with files.atomic(self._path) as temporary, temporary.open("w", newline="") as file:
            csv.writer(file).writerows([_HEAD, *kept])

    def scalars(self, rows: Iterable[Scalars]) -> None:
        with self._path.open("a", newline="") as file:
            csv.writer(file).writerows(
                (step, name, value) for step, values in rows for name, value in values.items()
            )

    def picture(self, name: str, step: int, png: bytes) -> None:
        """A table has no pictures."""

    def file(self, path: Path) -> None:
        """The folder has its files already."""

    def end(self, ending: Ending) -> None:
        """The table is whole after each line."""

    def _rows(self) -> list[list[str]]:
        try:
            with self._path.open(newline="") as file:
                return [row for row in csv.reader(file) if len(row) == len(_HEAD)]
        except FileNotFoundError:
            return []
