"""``elbax push``: a run becomes a commit of a repository on the hub."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elbax.hub import contents, hub
from elbax.hub.card import card
from elbax.hub.contents import CARD, LARGEST, MANIFEST
from elbax.hub.hub import HubError, Place, Snapshot
from elbax.run.run import Run
from elbax.util.words import listed

_FOREIGN = {".gitattributes", "LICENSE", CARD}  # what the hub itself puts into a new repository


@dataclass(frozen=True)
class Pushed:
    """What was pushed.

    Attributes:
        url: The page of the repository.
        commit: The commit that has the files.
        files: Their sizes in bytes by name.
        card_kept: Whether the card was edited by hand on the hub, and stays as it is.
    """

    url: str
    commit: str
    files: dict[str, int]
    card_kept: bool


def push(run: Run, place: Place, *, private: bool = False, licence: str | None = None) -> Pushed:
    """Pushes a finished run: one commit that has all of it, or none.

    Args:
        run: The run.
        place: Where to; a repository or a branch that is not there is made.
        private: Whether a new repository is seen by its owners alone.
        licence: The hub's name of a licence, for the card.

    Raises:
        HubError: The run is not finished, the repository holds something else, or the hub refuses.
    """
    paths = contents.of_run(run)
    package = hub.package()
    if not package.get_token():
        raise HubError(
            "to push needs a token of the hub that may write: log in with `hf auth login`, or set "
            "HF_TOKEN"
        )
    main = _seen(Place(place.repository))
    branch = main if place.revision == hub.MAIN else _seen(place)
    there = branch or main  # a new branch begins with what main has
    old, old_card = _pushed_before(place, there)
    _check_private(place, there, private=private)
    with hub.asking(place):
        if main is None:
            hub.api().create_repo(place.repository, private=private or None, exist_ok=True)
        if place.revision != hub.MAIN and branch is None:
            hub.api().create_branch(place.repository, branch=place.revision, exist_ok=True)
    kept = _edited(place, there, old_card)
    words = "" if kept else card(run, place, paths, licence)
    entries = {name: contents.entry(path) for name, path in paths.items()}
    digest = None if kept else hashlib.sha256(words.encode()).hexdigest()
    given: dict[str, Path | bytes] = {**paths, MANIFEST: contents.manifest(entries, digest)}
    if not kept:
        given[CARD] = words.encode()
    commit = _commit(place, given, [name for name in old if name not in paths], there)
    sizes = {name: one.bytes for name, one in entries.items()}
    return Pushed(f"{hub.endpoint()}/{place.repository}", commit, sizes, kept)


def _seen(place: Place) -> Snapshot | None:
    """What is there; None where the repository, or its branch, is to be made."""
    try:
        return hub.look(place)
    except hub.MissingError:
        return None


def _pushed_before(
    place: Place, there: Snapshot | None
) -> tuple[Mapping[str, contents.Entry], str | None]:
    """The files that an earlier push left, and the digest of its card."""
    if there is None:
        return {}, None
    if MANIFEST in there.held:
        return contents.read_manifest(hub.fetched(_at(place, there), MANIFEST), place)
    others = sorted(there.held.keys() - _FOREIGN)
    if others:
        raise HubError(
            f"{place} holds files that elbax did not push ({listed(others, 3)}): choose another "
            "name"
        )
    return {}, None


def _check_private(place: Place, there: Snapshot | None, *, private: bool) -> None:
    if private and there is not None and not there.private:
        raise HubError(
            f"{place.repository} is public already: choose another name, or make it private in "
            f"{hub.endpoint()}/{place.repository}/settings"
        )


def _edited(place: Place, there: Snapshot | None, digest: str | None) -> bool:
    """Whether somebody wrote the card that is there, so that it stays."""
    if there is None or CARD not in there.held or MANIFEST not in there.held:
        return False
    found = hub.fetched(_at(place, there), CARD).read_bytes()
    return hashlib.sha256(found).hexdigest() != digest


def _at(place: Place, there: Snapshot) -> Place:
    return Place(place.repository, there.commit)


def _commit(
    place: Place,
    given: Mapping[str, Path | bytes],
    gone: list[str],
    there: Snapshot | None,
) -> str:
    """One commit of all files; refused by the hub where somebody else was quicker."""
    package = hub.package()
    operations: list[Any] = [
        package.CommitOperationAdd(name, content if isinstance(content, bytes) else str(content))
        for name, content in given.items()
    ]
    held = {} if there is None else there.held
    operations += [
        package.CommitOperationDelete(name) for name in gone if name in held and name in LARGEST
    ]
    with hub.asking(place):
        done = hub.api().create_commit(
            place.repository,
            operations,
            commit_message="A run of elbax",
            revision=place.revision,
            parent_commit=None if there is None else there.commit,
        )
    return done.oid
