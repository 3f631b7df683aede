"""The folder that a run leaves: its layout, and who may write to it.

RUN/
  config.json          every option, the seed, versions, the data's name and fingerprint
  model.safetensors    the last parameters (the best by validation, where a run stopped early)
  best.safetensors     the parameters with the best validation
  metrics.jsonl        one line per step; and one per validation, with "evaluation": "validation"
  results.json         the bounds on the training and test rows, and times; its presence says: done
  checkpoints/         the state of the training, for `elbax resume`
  figures/*.png        report.html
  track.json           where an experiment tracker has the run (--track)
  metrics.csv          the log as a table (--track csv)
  tensorboard/         event files (--track tensorboard)
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from elbax.util import files, words
from elbax.util.files import TEMPORARY, WriteError, is_full, write_error

CONFIG = "config.json"
MODEL = "model.safetensors"
BEST = "best.safetensors"
METRICS = "metrics.jsonl"
RESULTS = "results.json"
CHECKPOINTS = "checkpoints"
FIGURES = "figures"
BETAS = "betas"
REPORT = "report.html"
EXPLORER = "explorer.html"
TRACK = "track.json"
TABLE = "metrics.csv"
EVENTS = "tensorboard"

FIGURE_NAMES = (
    "reconstruct",
    "generated",
    "train_process",
    "top_infer",
    "top_label",
    "bound",
    "active_units",
    "code_use",
    "traverse",
    "interpolate",
    "nearest",
    "rate_distortion",
    "normal",
    "reparam",
)
"""The pictures that elbax may write into ``figures/``; `elbax.figures.FIGURES` draws them."""

RUNS = Path("runs")
"""Where runs without --out go, numbered."""

SCHEMA = 1
_FILES = (CONFIG, MODEL, BEST, METRICS, RESULTS, REPORT, EXPLORER, TRACK, TABLE)


class RunFolderError(ValueError):
    """A folder that can't serve as a run's, or isn't one: one line with the mend."""


@contextlib.contextmanager
def new(out: Path | None, data_name: str, *, force: bool) -> Iterator[tuple[Path, list[str]]]:
    """A new run's folder, locked inside the block: ``out``, or the next number under ``runs/``.

    Args:
        out: The folder to use; made with its parents where it doesn't exist.
        data_name: What a numbered folder is called after.
        force: Whether to delete what an earlier run left in ``out`` (and nothing else).

    Yields:
        The folder, and the names of files that somebody else put there, which stay.

    Raises:
        RunFolderError: The folder holds something and ``force`` doesn't apply, or can't be made.
    """
    if out is None:
        path = _numbered(data_name)
    else:
        check_available(out, force=force)
        _make(out)
        path = out
    with locked(path):
        if out is not None:
            check_available(out, force=force)  # again, now that nobody else can write
            if force and is_run(out):
                delete_run(out)
        yield path, sorted(entry.name for entry in path.iterdir())


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Claims a folder for this process inside the block; a process that is killed lets go of it.

    Raises:
        RunFolderError: Another process is writing there, or a part of it lies elsewhere.
    """
    check_links(path)
    try:
        import fcntl
    except ImportError:  # not on Windows: two runs into one folder are then the user's to avoid
        yield
        return
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise RunFolderError(
            f"{path} can't be opened ({words.reason(error)}): choose another folder, or see who "
            "may read it"
        ) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunFolderError(
                f"another process is writing to {path}: wait for it, or choose another folder"
            ) from None
        except OSError:
            pass  # a file system without locks
        else:
            _sweep(path)
        yield
    finally:
        os.close(descriptor)


def check_links(path: Path) -> None:
    """Refuses to write where a folder inside of a run's is a link: to files that are not the run's.

    Raises:
        RunFolderError: One line with the mend.
    """
    for name in (CHECKPOINTS, FIGURES, BETAS):
        if (path / name).is_symlink():
            raise RunFolderError(
                f"{path / name} is a link to {os.readlink(path / name)}, and elbax writes only "
                "inside of a run's folder: put the folder itself there, or remove the link"
            )


def _sweep(path: Path) -> None:
    """Deletes the unfinished files of a process that was killed."""
    for pattern in (f"{TEMPORARY}*", f".{MODEL}.*", f".{BEST}.*"):
        for leftover in path.glob(pattern):
            leftover.unlink(missing_ok=True)
    files.sweep_dead(path / FIGURES)  # where `elbax plot` writes, which claims nothing


def check_available(out: Path, *, force: bool) -> None:
    """Refuses a folder that a run must not write to; touches nothing.

    Raises:
        RunFolderError: One line with the mend.
    """
    nearest = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not nearest.is_dir():
        raise RunFolderError(f"{nearest} is a file: choose another folder with --out")
    if not os.access(nearest, os.W_OK):
        raise RunFolderError(f"{nearest} can't be written: choose another folder with --out")
    try:
        names = sorted(entry.name for entry in out.iterdir()) if out.exists() else []
    except OSError as error:
        raise _unusable(out, error) from None
    names = [name for name in names if not name.startswith(TEMPORARY)]
    if not names:
        return
    if is_run(out):
        if not force:
            raise RunFolderError(
                f"{out} holds a run already: resume it by `elbax resume {out}`, "
                "choose another --out, or replace it with --force"
            )
        return
    shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    ours = [name for name in names if name in (*_FILES, CHECKPOINTS, FIGURES)]
    if not force or ours:
        mend = "choose another --out"
        if ours:
            mend += f" (--force would have to overwrite {ours[0]})" if force else ""
        raise RunFolderError(f"{out} holds files that elbax did not write ({shown}): {mend}")


def read_config(path: Path) -> dict[str, Any]:
    """What a run was asked to do: the content of its ``config.json``.

    Raises:
        RunFolderError: There is no such folder, no run in it, or one of another version.
    """
    if not path.exists():
        raise RunFolderError(f"there is no folder {path}: give the folder of a run")
    if not path.is_dir():
        raise RunFolderError(f"{path} is a file: give the folder of a run")
    try:
        config = files.read_sealed(path / CONFIG)
    except FileNotFoundError:
        raise RunFolderError(f"{path} holds no run: it has no {CONFIG}") from None
    except (OSError, ValueError) as error:
        raise RunFolderError(
            f"{path / CONFIG} can't be read ({words.reason(error)}): is this a run's folder?"
        ) from None
    if not isinstance(config, dict) or "elbax" not in config:
        raise RunFolderError(f"{path / CONFIG} was not written by elbax: is this a run's folder?")
    if config.get("schema") != SCHEMA:
        raise RunFolderError(
            f"{path / CONFIG} has schema {config.get('schema')}, and this elbax reads {SCHEMA}: "
            "use the version of elbax that wrote it"
        )
    return config


def is_run(path: Path) -> bool:
    """Whether a folder holds a run, of any version."""
    try:
        files.check_regular(path / CONFIG)
        config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(config, dict) and "elbax" in config


def delete_run(path: Path) -> None:
    """Deletes what elbax wrote, by name; config.json last: half-deleted it is still a run."""
    for name in FIGURE_NAMES:
        (path / FIGURES / f"{name}.png").unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # somebody's own pictures stay, and so does their folder
        (path / FIGURES).rmdir()
    for events in (path / EVENTS).glob("events.out.tfevents.*"):
        events.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        (path / EVENTS).rmdir()
    checkpoints = path / CHECKPOINTS
    if checkpoints.is_dir() and not checkpoints.is_symlink():
        for entry in checkpoints.iterdir():
            if _is_checkpoint(entry):
                shutil.rmtree(entry)
        with contextlib.suppress(OSError):
            checkpoints.rmdir()
    betas = path / BETAS  # copies of the run, runs themselves
    if betas.is_dir() and not betas.is_symlink():
        for entry in betas.iterdir():
            if is_run(entry) and not entry.is_symlink():
                delete_run(entry)
                with contextlib.suppress(OSError):
                    entry.rmdir()
        with contextlib.suppress(OSError):
            betas.rmdir()
    for name in reversed(_FILES):
        (path / name).unlink(missing_ok=True)


def _is_checkpoint(entry: Path) -> bool:
    """Whether an entry of ``checkpoints/`` is one of ours: a folder whose name holds a step."""
    return entry.is_dir() and not entry.is_symlink() and bool(re.search(r"\d", entry.name))


def next_number(data_name: str) -> Path:
    """The next free ``runs/<data>-NNN``; makes nothing."""
    stem = re.sub(r"[^\w.-]+", "-", data_name).strip("-.") or "data"
    pattern = re.compile(re.escape(stem) + r"-(\d+)")
    names = [entry.name for entry in RUNS.iterdir()] if RUNS.is_dir() else []
    taken = [int(m[1]) for name in names if (m := pattern.fullmatch(name))]
    return RUNS / f"{stem}-{max(taken, default=0) + 1:03d}"


def _numbered(data_name: str) -> Path:
    """Makes the next free ``runs/<data>-NNN``; two processes never get the same one."""
    _make(RUNS)
    while True:
        path = next_number(data_name)
        try:
            path.mkdir()
        except FileExistsError:
            continue  # another process was quicker
        except OSError as error:
            raise _unusable(path, error) from None
        else:
            return path


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if is_full(error):
            raise WriteError(str(write_error(folder, error))) from None
        raise _unusable(folder, error) from None
    if not os.access(folder, os.W_OK):
        raise RunFolderError(f"{folder} can't be written: choose another --out")


def _unusable(folder: Path, error: OSError) -> RunFolderError:
    return RunFolderError(
        f"cannot make the folder {folder} ({words.reason(error)}): choose another --out"
    )
