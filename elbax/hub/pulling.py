"""``elbax pull`` and ``elbax.load("hf://org/name")``: a run, or its model, from the hub."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elbax.hub import contents, hub
from elbax.hub.contents import LARGEST_MANIFEST, MANIFEST, NEEDED, Entry
from elbax.hub.hub import SCHEME, HubError, Place, Snapshot, UnreachableError
from elbax.run import folder
from elbax.util import files


@dataclass(frozen=True)
class Pulled:
    """What was pulled.

    Attributes:
        path: The run's folder.
        commit: The commit that it is of.
        files: The sizes of its files in bytes by name.
    """

    path: Path
    commit: str
    files: dict[str, int]


def load(path: str | Path, parts: Mapping[str, Any] | None = None) -> Any:
    """Reads a trained model, from its file or from the Hugging Face Hub.

    Args:
        path: The file, the folder of a run that holds `model.safetensors`, or
            ``hf://org/name`` or ``hf://org/name@revision``: a run that `elbax push` sent there
            (``pip install 'elbax[hub]'``). What was loaded once needs no network the next time.
        parts: Modules of the caller's own, by their place (`{"encoder.network": network}`): their
            arrays are filled from the file.

    Returns:
        The model, usually a `LatentVariableModel`.

    Raises:
        FileNotFoundError: There is no such file.
        ModelFileError: (a ValueError) The file is damaged or foreign, or needs a part that was not
            handed over.
        HubError: (a ValueError) The hub has no such run, or it is not what was pushed.
    """
    from elbax.model.serialise import load_model

    said = str(path)
    if said.startswith(SCHEME):
        path = _model(hub.place(said))
    return load_model(path, parts)


def pull(place: Place, out: Path | None = None) -> Pulled:
    """Fetches a run: a folder that every command takes, whole or not at all.

    Args:
        place: Where it is.
        out: The folder to make, which must not be there or be empty; None is the next number under
            ``runs/``.

    Raises:
        HubError: There is no such run, it is not what was pushed, or the folder is taken.
        WriteError: The disk is full.
    """
    if out is not None:
        _check_free(out)
    found = hub.look(place)
    entries = _entries(place, found)
    paths = {name: _file(place, found, name, entry) for name, entry in entries.items()}
    if out is None:
        out = folder.next_number(place.name)
    try:
        if out.parent == folder.RUNS:
            folder.RUNS.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=files.TEMPORARY, dir=out.parent) as staging:
            files.check_room(Path(staging), sum(entry.bytes for entry in entries.values()))
            staged = Path(staging, "run")
            _copy(paths, staged)
            _check_run(place, staged, entries)
            os.rename(staged, out)
    except OSError as error:
        raise files.write_error(out, error) from error
    return Pulled(out, found.commit, {name: entry.bytes for name, entry in entries.items()})


def _check_free(out: Path) -> None:
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise HubError(f"{out} is no folder: choose another with --out")
    if out.is_dir() and any(out.iterdir()):
        raise HubError(f"{out} holds something already: choose another folder with --out")
    files.check_folder(out)


def _entries(place: Place, found: Snapshot) -> dict[str, Entry]:
    """What the manifest of a run lists, which the hub must say too."""
    held = found.held.get(MANIFEST)
    if held is None:
        raise HubError(f"{place} holds no run that `elbax push` sent: it has no {MANIFEST}")
    if held.size is not None and held.size > LARGEST_MANIFEST:
        raise HubError(f"{place}: {MANIFEST} is too large to be one")
    entries, _ = contents.read_manifest(hub.fetched(place, MANIFEST), place)
    missing = [name for name in NEEDED if name not in entries]
    if missing:
        raise HubError(f"{place} is no whole run: {MANIFEST} lists no {missing[0]}")
    for name, entry in entries.items():
        one = found.held.get(name)
        if one is None:
            raise HubError(f"{place} lacks {name}, which {MANIFEST} lists")
        if one.size not in (None, entry.bytes) or one.sha256 not in (None, entry.sha256):
            raise _changed(place, name)
    return entries


def _model(place: Place) -> Path:
    """The file of a model, fetched and checked; from the cache where the hub does not answer."""
    try:
        found = hub.look(place)
    except UnreachableError:
        path = _known(place)
        if path is None:
            raise
        return path
    return _file(place, found, folder.MODEL, _entries(place, found)[folder.MODEL])


def _known(place: Place) -> Path | None:
    """The file of a model as it was fetched before, checked; None where it was not."""
    manifest = hub.cached(place, MANIFEST)
    if manifest is None:
        return None
    entries, _ = contents.read_manifest(manifest, place)
    commit = manifest.parent.name  # the cache has a folder for each
    path = hub.cached(Place(place.repository, commit), folder.MODEL)
    wanted = entries.get(folder.MODEL)
    return path if path is not None and contents.entry(path) == wanted else None


def _file(place: Place, found: Snapshot, name: str, entry: Entry) -> Path:
    """A file that is what was pushed; fetched anew where the cache's is damaged."""
    at = Place(place.repository, found.commit)
    path = hub.fetched(at, name)
    if contents.entry(path) != entry:
        path = hub.fetched(at, name, again=True)
        if contents.entry(path) != entry:
            raise _changed(place, name)
    return path


def _changed(place: Place, name: str) -> HubError:
    return HubError(
        f"{place}: {name} is not what was pushed (another size or SHA-256): push the run again, or "
        f"name an earlier commit of {place.repository}"
    )


def _copy(paths: Mapping[str, Path], target: Path) -> None:
    for name, path in paths.items():
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        with path.open("rb") as source, copy.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
            file.flush()
            os.fsync(file.fileno())


def _check_run(place: Place, staged: Path, entries: Mapping[str, Entry]) -> None:
    """Refuses what was copied wrongly, and what is no run of this version."""
    for name, entry in entries.items():
        if contents.entry(staged / name) != entry:
            raise _changed(place, name)
    try:
        folder.read_config(staged)
    except folder.RunFolderError as error:
        said = str(error).replace(str(staged), str(place))
        raise HubError(said) from None
