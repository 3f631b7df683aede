"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from elbax.util import words

TEMPORARY = ".elbax-"
"""How the name of an unfinished file begins; what a killed process left is swept by this."""

SEAL = "sha256"
"""The entry of a sealed file that holds the SHA-256 of the others."""

_FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}


class WriteError(OSError):
    """The disk would not take a file: the work failed, the words were right. One line."""


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path``; it takes the name ``path`` when the block ends well.

    The temporary file keeps the suffix, for writers that go by it, and is removed on any error;
    what a process that was killed left of the same file goes too.

    Raises:
        WriteError: The disk is full, or the folder can't be written.
    """
    sweep_dead(path.parent, path.name)
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def sweep_dead(folder: Path, name: str | None = None) -> None:
    """Removes what processes that are no more left unfinished in a folder.

    Args:
        folder: The folder.
        name: Only of the file of this name.
    """
    if os.name != "posix":  # elsewhere nothing harmless asks whether a process lives
        return
    ending = "*" if name is None else glob.escape(name)
    for leftover in folder.glob(f"{TEMPORARY}*-{ending}"):
        process = leftover.name.removeprefix(TEMPORARY).partition("-")[0]
        try:
            os.kill(int(process), 0)
        except ProcessLookupError:
            with contextlib.suppress(OSError):
                leftover.unlink()
        except (ValueError, OverflowError, OSError):
            continue  # it is somebody's who lives, or none of ours


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file atomically."""
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """Writes plain data as indented JSON, atomically; NaN is refused, for JSON has none."""
    write_bytes(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def write_sealed(path: Path, value: Mapping[str, Any]) -> None:
    """Writes JSON as `write_json` does, with the SHA-256 of its content as its last entry."""
    write_json(path, sealed(value))


def sealed(value: Mapping[str, Any]) -> dict[str, Any]:
    """Plain data with the SHA-256 of their content as their last entry."""
    return {**value, SEAL: _digest(value)}


def read_sealed(path: Path) -> Any:
    """What `write_sealed` wrote; JSON without a seal is taken as it is, as of earlier versions.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no JSON, or not what its seal is of: it was damaged, or changed by hand.
    """
    check_regular(path)
    try:
        value = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refused)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if isinstance(value, dict) and value and not _is_as_sealed(value):
        raise ValueError(
            f"it is not what elbax wrote: damaged, or changed by hand; if the change is yours, "
            f"remove the entry {SEAL}"
        )
    return value


def _is_as_sealed(value: dict[str, Any]) -> bool:
    """Takes the seal out; false where it is of something else, or its own name was damaged."""
    if SEAL in value:
        return value.pop(SEAL) == _digest(value)
    last = list(value)[-1]
    return value[last] != _digest({name: value[name] for name in value if name != last})


def check_regular(path: Path) -> None:
    """Refuses to read what has the name of a file and is none: a pipe or a device need not end.

    Raises:
        ValueError: It is there, and is neither a file nor a link to one.
    """
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is not a file")


def digest_of_first(path: Path, count: int) -> str:
    """The SHA-256 of the first `count` bytes of a file."""
    with open(path, "rb") as file:
        return hashlib.sha256(file.read(count)).hexdigest()


def _refused(word: str) -> Any:
    raise ValueError(f"it holds {word}, which is no JSON")


def _digest(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, allow_nan=False).encode()).hexdigest()


def check_room(folder: Path, count: int) -> None:
    """Refuses to begin writing where ``count`` bytes have no room, or nothing can be written.

    Orbax meets a full disk with pages of other threads' tracebacks, and makes a folder anew that
    was moved away; asking first keeps it to one line.

    Raises:
        WriteError: There is no room, no such folder, or it can't be written.
    """
    probe = folder / f"{TEMPORARY}{os.getpid()}-room"
    try:
        with open(probe, "wb") as file:
            if hasattr(os, "posix_fallocate"):
                try:
                    os.posix_fallocate(file.fileno(), 0, count)
                except OSError as error:
                    if is_full(error):  # not every file system can set room aside
                        raise
    except OSError as error:
        raise write_error(folder, error) from error
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_error(path: Path, error: OSError) -> WriteError:
    """What to say when ``path`` could not be written."""
    mend = "make room and try again" if is_full(error) else "choose a folder that can be written"
    return WriteError(f"cannot write {path}: {words.reason(error)}; {mend}")


def is_full(error: OSError) -> bool:
    """Whether a write failed for want of room (a full disk, a quota, a limit on file sizes)."""
    return error.errno in _FULL


def check_writable(path: Path) -> None:
    """Refuses a target whose folder is missing or is no folder, before any work is done for it.

    Raises:
        ValueError: One line with the mend.
    """
    parent = path.parent
    if path.is_dir():
        raise ValueError(f"{path} is a folder: give the name of a file")
    if not parent.is_dir():
        raise ValueError(f"cannot write {path}: there is no folder {parent}; make it first")
    if not os.access(parent, os.W_OK):
        raise ValueError(f"cannot write {path}: the folder {parent} is not writable")


def check_folder(path: Path) -> None:
    """Refuses a folder that could not be made, before any work is done for it.

    Raises:
        ValueError: One line with the mend.
    """
    if path.exists() and not path.is_dir():
        raise ValueError(f"{path} is a file: give the name of a folder")
    parent = path if path.is_dir() else path.parent
    if not parent.is_dir():
        raise ValueError(f"cannot make {path}: there is no folder {parent}; make it first")
    if not os.access(parent, os.W_OK):
        raise ValueError(f"cannot write into {path}: the folder {parent} is not writable")
