"""Saving the state of a run, and finding it again whole.

Orbax writes each checkpoint beside its final place and renames it, so a killed process leaves no
half-written one behind under a step's name. What Orbax does not notice is a byte that changes
afterwards: so each checkpoint carries a SHA-256 per leaf, and one per file, compared on restore.
(Per file, because Orbax is not to see a damaged one: its readers print a traceback for each leaf.)
"""

import contextlib
import dataclasses
import errno
import hashlib
import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from elbax.train.state import State, from_arrays, to_arrays
from elbax.util import words

_KEEP = 2  # the newest, and the one before for when it is damaged
_DIGESTS = "sha256.json"


# What the disk or the system says of itself, and not of a file: what is there may be whole.
_NOT_OF_THE_FILE = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ESTALE, errno.ENOMEM),
    *(errno.EMFILE, errno.ENFILE),
}


class CheckpointError(OSError):
    """A checkpoint could not be written, or not be reached."""


@dataclasses.dataclass(frozen=True)
class Restored:
    """A checkpoint read back.

    Attributes:
        state: The state of the run, or None where no checkpoint could be used.
        extra: What the caller saved beside it.
        warnings: A line for each newer checkpoint that was damaged.
    """

    state: State | None
    extra: dict[str, Any]
    warnings: list[str]


class Checkpoints:
    """The checkpoints of one run, in one folder; a context manager."""

    def __init__(self, folder: Path) -> None:
        """Opens the folder, or makes it; what a killed process left half-written is removed.

        The folder above it is not made: Orbax would make that of a run anew which was moved away.

        Raises:
            CheckpointError: It cannot be opened or made.
        """
        import orbax.checkpoint as ocp

        # Orbax logs, with a traceback, what it raises as well: one line of ours tells it.
        logging.getLogger("absl").setLevel(logging.CRITICAL)
        self._folder = Path(folder).absolute()
        options = ocp.CheckpointManagerOptions(
            max_to_keep=_KEEP,
            enable_async_checkpointing=False,
            cleanup_tmp_directories=True,
            **self._alone(),
        )
        try:
            self._folder.parent.stat()
            self._manager = ocp.CheckpointManager(self._folder, options=options)
        except OSError as error:
            raise CheckpointError(
                f"could not open the folder {self._folder}: {words.reason(error)}"
            ) from error
        self._identities = _identities(self._folder)

    def _alone(self) -> dict[str, Any]:
        """Of several processes this one writes, and the others are not waited for."""
        import jax
        import orbax.checkpoint as ocp

        if jax.process_count() == 1:
            return {}
        self._folder.mkdir(parents=True, exist_ok=True)
        own = jax.process_index()
        among = ocp.options.MultiprocessingOptions(
            primary_host=own, active_processes={own}, barrier_sync_key_prefix=self._folder.name
        )
        return {"create": False, "multiprocessing_options": among}

    def __enter__(self) -> "Checkpoints":  # noqa: PYI034 (beartype cannot read Self here)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._manager.close()

    def save(self, state: State, extra: Mapping[str, Any]) -> None:
        """Saves the state, and something small that JSON can say, under the state's step.

        Of the state of several runs that is the step of the one that has come furthest.

        Raises:
            CheckpointError: It could not be written; what was saved before is still there.
        """
        import orbax.checkpoint as ocp

        step = int(np.max(state.step))
        if self._manager.latest_step() == step:
            return
        leaves = to_arrays(state)
        note = {
            "extra": dict(extra),
            "sha256": {name: _digest(leaf) for name, leaf in leaves.items()},
        }
        note["sha256_of_note"] = _digest_of_json(note)
        arguments = ocp.args.Composite(
            state=ocp.args.StandardSave(leaves), note=ocp.args.JsonSave(note)
        )
        try:
            self._manager.save(step, args=arguments)
            self._check_in_place()
            _write_digests(self._folder / str(step))
        except (
            OSError,
            ValueError,
            RuntimeError,
        ) as error:  # tensorstore says ValueError for a full disk
            self._remove_made_anew()
            raise CheckpointError(
                f"could not save the checkpoint of step {step}: {words.reason(error)}"
            ) from error

    def _check_in_place(self) -> None:
        if _identities(self._folder)[self._folder] != self._identities[self._folder]:
            raise FileNotFoundError(errno.ENOENT, "no such folder any more", str(self._folder))

    def _remove_made_anew(self) -> None:
        """Orbax makes the folders anew of a run that was moved away just before."""
        for path, identity in _identities(self._folder).items():
            if identity == self._identities[path]:
                return
            with contextlib.suppress(OSError):
                shutil.rmtree(path) if path == self._folder else path.rmdir()

    def restore(self, like: State) -> Restored:
        """The newest checkpoint that is whole; damaged ones are removed, with a warning.

        Args:
            like: A state of the same structure, shapes and types.

        Raises:
            ValueError: The newest whole checkpoint is of a state of another structure.
            CheckpointError: One cannot be reached, which says nothing of what it holds.
        """
        warnings = []
        for step in sorted(self._manager.all_steps(), reverse=True):
            try:
                leaves, extra = self._read(step)
            # Whatever a damaged file makes Orbax raise, the checkpoint before it may be whole.
            except Exception as error:  # noqa: BLE001
                _check_reached(step, error)
                warnings.append(
                    f"the checkpoint of step {step:,} is damaged "
                    f"({words.reason(error, 200)}) and was removed"
                )
                self._delete(step)
            else:
                return Restored(from_arrays(like, leaves), extra, warnings)
        return Restored(None, {}, warnings)

    def _delete(self, step: int) -> None:
        path = self._folder / str(step)
        if path.is_symlink():  # the link goes, and not what it leads to
            path.unlink()
            self._manager.reload()
        else:
            self._manager.delete(step)

    def _read(self, step: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        import orbax.checkpoint as ocp

        _check_digests(self._folder / str(step))
        arguments = ocp.args.Composite(
            state=ocp.args.StandardRestore(), note=ocp.args.JsonRestore()
        )
        found: Any = self._manager.restore(step, args=arguments)
        note = dict(found.note)
        if note.pop("sha256_of_note") != _digest_of_json(note):
            raise ValueError("its note does not match its SHA-256")
        leaves = {name: np.asarray(leaf) for name, leaf in found.state.items()}
        if note["sha256"] != {name: _digest(leaf) for name, leaf in leaves.items()}:
            raise ValueError("its arrays do not match their SHA-256")
        return leaves, note["extra"]


def _check_reached(step: int, error: Exception) -> None:
    """Refuses to take a checkpoint for damaged that cannot be reached: it would be removed.

    Raises:
        CheckpointError: That is so.
    """
    number = error.errno if isinstance(error, OSError) else None
    if number in _NOT_OF_THE_FILE or isinstance(error, MemoryError):
        raise CheckpointError(
            f"could not read the checkpoint of step {step:,}: {words.reason(error)}"
        ) from error


def _write_digests(folder: Path) -> None:
    """Writes the SHA-256 of each file of a checkpoint beside them."""
    digests = {str(path.relative_to(folder)): _digest_of_file(path) for path in _files(folder)}
    temporary = folder / f"{_DIGESTS}.tmp"
    temporary.write_text(json.dumps(digests))
    temporary.replace(folder / _DIGESTS)


def _check_digests(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        # What a link leads to is no part of the run, and a pipe never ends.
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ValueError(f"{path.name} is neither a file nor a folder")
    if not (folder / _DIGESTS).exists():
        return  # the process was killed just before it wrote them: the leaves have theirs
    known = {str(path.relative_to(folder)): path for path in _files(folder)}
    for name, digest in json.loads((folder / _DIGESTS).read_text()).items():
        if name not in known:  # nor is anything read that lies elsewhere
            raise ValueError(f"{name} is not there")
        if _digest_of_file(known[name]) != digest:
            raise ValueError(f"{name} does not match its SHA-256")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _digest_of_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _identities(folder: Path) -> dict[Path, tuple[int, int] | None]:
    """What tells a folder, and each above it, from others that come to bear its name."""
    found: dict[Path, tuple[int, int] | None] = {}
    for path in (folder, *folder.parents):
        try:
            stat = path.stat()
        except OSError:
            found[path] = None
        else:
            found[path] = stat.st_dev, stat.st_ino
    return found


def _digest(leaf: np.ndarray) -> str:
    head = f"{leaf.dtype}{leaf.shape}".encode()
    return hashlib.sha256(head + np.ascontiguousarray(leaf).tobytes()).hexdigest()


def _digest_of_json(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
