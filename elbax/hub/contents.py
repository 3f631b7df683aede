"""Which files of a run travel, and their manifest: names, sizes and SHA-256.

A file that is not on the list is neither pushed nor fetched, whatever a repository holds.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from elbax.hub.hub import HubError
from elbax.run import folder
from elbax.run.run import Run
from elbax.util import files, words

MANIFEST = "elbax.json"
CARD = "README.md"
_SCHEMA = 1

_TEXT, _PICTURE, _LOG, _MODEL = 64 << 20, 64 << 20, 4 << 30, 64 << 30
LARGEST: Mapping[str, int] = {
    folder.CONFIG: _TEXT,
    folder.MODEL: _MODEL,
    folder.RESULTS: _TEXT,
    folder.METRICS: _LOG,
    folder.BEST: _MODEL,
    **{f"{folder.FIGURES}/{name}.png": _PICTURE for name in folder.FIGURE_NAMES},
}
"""The files that travel, and the most bytes that each may have."""

NEEDED = (folder.CONFIG, folder.MODEL, folder.RESULTS, folder.METRICS)
LARGEST_MANIFEST = 1 << 20


@dataclass(frozen=True)
class Entry:
    """A file as it was pushed.

    Attributes:
        bytes: Its size.
        sha256: Its digest.
    """

    bytes: int
    sha256: str


def of_run(run: Run) -> dict[str, Path]:
    """The files of a finished run that travel.

    Raises:
        HubError: It is not finished, or a file is a link or too large.
        ValueError: It has no trained model, or its log has changed.
    """
    if run.results is None:
        raise HubError(f"{run.path} is not finished: finish it with `{run.resume_command}`")
    folder.check_links(run.path)
    _ = run.model, run.history  # reading them checks them
    found = {name: run / name for name in LARGEST if (run / name).exists()}
    for name, path in found.items():
        if path.is_symlink() or not path.is_file():
            raise HubError(f"{path} is a link or no file, and what it leads to is not pushed")
        if path.stat().st_size > LARGEST[name]:
            raise HubError(f"{path} has more than {words.size(LARGEST[name])}")
    return found


def entry(path: Path) -> Entry:
    """A file's size and digest."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Entry(file.tell(), digest)


def manifest(entries: Mapping[str, Entry], card: str | None) -> bytes:
    """The manifest of files.

    Args:
        entries: The files by name.
        card: The SHA-256 of the card, as long as it is elbax' own.
    """
    listed = {name: asdict(one) for name, one in entries.items()}
    said = {"elbax": version("elbax"), "schema": _SCHEMA, "card": card, "files": listed}
    return (json.dumps(files.sealed(said), indent=2) + "\n").encode()


def read_manifest(path: Path, where: object) -> tuple[dict[str, Entry], str | None]:
    """The entries of a manifest by name, and the digest of the card.

    Args:
        path: The manifest.
        where: What to call its place in messages.

    Raises:
        HubError: It is damaged, of another version, or names what is no file of a run.
    """
    try:
        said = files.read_sealed(path)
    except (OSError, ValueError) as error:
        raise HubError(f"{where}: {MANIFEST} can't be read ({words.reason(error)})") from None
    if not isinstance(said, dict) or said.get("schema") != _SCHEMA:
        raise HubError(
            f"{where}: {MANIFEST} is of another version of elbax: use the one that pushed it"
        )
    listed = said.get("files")
    if not isinstance(listed, dict):
        raise HubError(f"{where}: {MANIFEST} lists no files")
    card = said.get("card")
    return (
        {name: _entry(name, one, where) for name, one in listed.items()},
        card if isinstance(card, str) else None,
    )


def _entry(name: str, said: Any, where: object) -> Entry:
    if name not in LARGEST:
        raise HubError(f"{where}: {MANIFEST} lists '{words.shown(name)}', which no run has")
    size, digest = (said.get("bytes"), said.get("sha256")) if isinstance(said, dict) else (0, 0)
    fits = type(size) is int and 0 <= size <= LARGEST[name]
    if not fits or not re.fullmatch("[0-9a-f]{64}", str(digest)):
        raise HubError(f"{where}: {MANIFEST} says of {name} no size and SHA-256 that can be")
    return Entry(int(size or 0), str(digest))
