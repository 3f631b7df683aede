"""The folder that a run leaves: its layout, who may write to it, and its log of metrics.

RUN/
  config.json          every option, the seed, versions, the data's name and fingerprint
  model.safetensors    the last parameters (the best by validation, where a run stopped early)
  best.safetensors     the parameters with the best validation
  metrics.jsonl        one line per step; and one per validation, with "evaluation": "validation"
  results.json         the bounds on the training and test rows, and times; its presence says: done
  checkpoints/         state, not the product
  figures/*.png        report.html
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from elbax.util.files import TEMPORARY, WriteError, atomic, is_full, write_error

CONFIG = "config.json"
MODEL = "model.safetensors"
BEST = "best.safetensors"
METRICS = "metrics.jsonl"
RESULTS = "results.json"
CHECKPOINTS = "checkpoints"
FIGURES = "figures"
BETAS = "betas"
REPORT = "report.html"

RUNS = Path("runs")
"""Where runs without --out go, numbered."""

SCHEMA = 1
_FILES = (CONFIG, MODEL, BEST, METRICS, RESULTS, REPORT)


class RunDirectoryError(ValueError):
    """A folder that can't serve as a run's, or isn't one: one line with the mend."""


class RunDirectory:
    """A run's folder, with the paths of what is in it.

    `create` makes a new one and `open_existing` finds one; `lock` is held while something writes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @property
    def checkpoints(self) -> Path:
        """Where the training state is kept."""
        return self.path / CHECKPOINTS

    @property
    def figures(self) -> Path:
        """Where the pictures are."""
        return self.path / FIGURES

    def config(self) -> dict[str, Any]:
        """What the run was asked to do.

        Raises:
            RunDirectoryError: There is none, or it isn't elbax's.
        """
        return _read_config(self.path)

    def results(self) -> dict[str, Any] | None:
        """The final numbers, or None while the run isn't done."""
        try:
            return json.loads((self / RESULTS).read_text())
        except (OSError, ValueError):
            return None

    def lock(self) -> None:
        """Claims the folder for this process, until it ends, however it does.

        Raises:
            RunDirectoryError: Another process is writing there.
        """
        try:
            import fcntl
        except ImportError:  # not on Windows: two runs into one folder are then the user's to avoid
            return
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if not isinstance(error, BlockingIOError):
                return  # a file system without locks
            raise RunDirectoryError(
                f"another process is writing to {self.path}: wait for it, or choose another folder"
            ) from None
        self._descriptor = descriptor
        for pattern in (
            f"{TEMPORARY}*",
            f".{MODEL}.*",
            f".{BEST}.*",
        ):  # a killed process left these
            for leftover in self.path.glob(pattern):
                leftover.unlink(missing_ok=True)

    def close(self) -> None:
        """Lets go of the folder."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def append_metrics(self, rows: Iterable[dict[str, Any]]) -> None:
        """Appends lines to the log.

        Raises:
            WriteError: The disk is full, or the folder can't be written.
        """
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        try:
            with open(self / METRICS, "a", encoding="utf-8") as file:
                file.write(lines)
        except OSError as error:
            raise write_error(self / METRICS, error) from error

    def cut_metrics(self, step: int) -> None:
        """Drops what was logged after ``step`` (and half a line, if a killed process left one)."""
        rows = [row for row in self._metrics() if row["step"] <= step]
        with atomic(self / METRICS) as temporary:
            temporary.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def history(self) -> dict[str, Any]:
        """The log as arrays: step, loss, and the objective's terms; `validation` has the same.

        Where there is a bound these are elbo, reconstruction, kl, and what else there may be.

        Where KLs per latent were logged, `kl_per_latent` has their `step` and `value` (n,
        latent_dim).
        """
        rows = list(self._metrics())
        steps = [row for row in rows if "evaluation" not in row]
        validations = [row for row in rows if row.get("evaluation") == "validation"]
        per_latent = [row for row in steps if "kl_per_latent" in row]
        history: dict[str, Any] = _columns(steps)
        history["validation"] = _columns(validations)
        if per_latent:
            history["kl_per_latent"] = {
                "step": np.array([row["step"] for row in per_latent]),
                "value": np.array([row["kl_per_latent"] for row in per_latent]),
            }
        return history

    def _metrics(self) -> Iterator[dict[str, Any]]:
        try:
            with open(self / METRICS, encoding="utf-8") as file:
                for line in file:
                    with contextlib.suppress(ValueError):
                        row = json.loads(line)
                        if isinstance(row, dict) and "step" in row:
                            yield row
        except FileNotFoundError:
            return


def create(out: Path | None, data_name: str, *, force: bool) -> tuple[RunDirectory, list[str]]:
    """A new run's folder, locked: ``out``, or the next number under ``runs/``.

    Args:
        out: The folder to use; made with its parents where it doesn't exist.
        data_name: What a numbered folder is called after.
        force: Whether to delete what an earlier run left in ``out`` (and nothing else).

    Returns:
        The folder, and the names of files that somebody else put there, which stay.

    Raises:
        RunDirectoryError: The folder holds something and ``force`` doesn't apply, or can't be made.
    """
    if out is None:
        directory = RunDirectory(_numbered(data_name))
        directory.lock()
        return directory, []
    check_available(out, force=force)
    _make(out)
    directory = RunDirectory(out)
    directory.lock()
    try:
        check_available(out, force=force)  # again, now that nobody else can write
        if force and _is_run(out):
            _delete_run(out)
    except BaseException:
        directory.close()
        raise
    return directory, sorted(entry.name for entry in out.iterdir())


def check_available(out: Path, *, force: bool) -> None:
    """Refuses a folder that a run must not write to; touches nothing.

    Raises:
        RunDirectoryError: One line with the mend.
    """
    nearest = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not nearest.is_dir():
        raise RunDirectoryError(f"{nearest} is a file: choose another folder with --out")
    if not os.access(nearest, os.W_OK):
        raise RunDirectoryError(f"{nearest} can't be written: choose another folder with --out")
    try:
        names = sorted(entry.name for entry in out.iterdir()) if out.exists() else []
    except OSError as error:
        raise _unusable(out, error) from None
    names = [name for name in names if not name.startswith(TEMPORARY)]
    if not names:
        return
    if _is_run(out):
        if not force:
            raise RunDirectoryError(
                f"{out} holds a run already: go on with it by `elbax resume {out}`, "
                "choose another --out, or replace it with --force"
            )
        return
    shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    ours = [name for name in names if name in (*_FILES, CHECKPOINTS, FIGURES)]
    if not force or ours:
        mend = "choose another --out"
        if ours:
            mend += f" (--force would have to overwrite {ours[0]})" if force else ""
        raise RunDirectoryError(f"{out} holds files that elbax did not write ({shown}): {mend}")


def open_existing(path: Path | str) -> RunDirectory:
    """The folder of a run that exists.

    Raises:
        RunDirectoryError: There is no such folder, or no run in it.
    """
    path = Path(path)
    if not path.exists():
        raise RunDirectoryError(f"there is no folder {path}: give the folder of a run")
    if not path.is_dir():
        raise RunDirectoryError(f"{path} is a file: give the folder of a run")
    _read_config(path)
    return RunDirectory(path)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunDirectoryError(f"{path} holds no run: it has no {CONFIG}") from None
    except (OSError, ValueError) as error:
        raise RunDirectoryError(
            f"{path / CONFIG} can't be read ({_line(error)}): is this a run's folder?"
        ) from None
    if not isinstance(config, dict) or "elbax" not in config:
        raise RunDirectoryError(
            f"{path / CONFIG} was not written by elbax: is this a run's folder?"
        )
    if config.get("schema") != SCHEMA:
        raise RunDirectoryError(
            f"{path / CONFIG} has schema {config.get('schema')}, and this elbax reads {SCHEMA}: "
            "use the version of elbax that wrote it"
        )
    return config


def _is_run(path: Path) -> bool:
    try:
        config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and "elbax" in config


def _delete_run(path: Path) -> None:
    """Deletes what elbax wrote, by name; config.json last: half-deleted it is still a run."""
    from elbax.figures import FIGURES as FIGURE_SPECS

    for name in FIGURE_SPECS:
        (path / FIGURES / f"{name}.png").unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # somebody's own pictures stay, and so does their folder
        (path / FIGURES).rmdir()
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
            if _is_run(entry) and not entry.is_symlink():
                _delete_run(entry)
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
        raise RunDirectoryError(f"{folder} can't be written: choose another --out")


def _unusable(folder: Path, error: OSError) -> RunDirectoryError:
    return RunDirectoryError(
        f"cannot make the folder {folder} ({_line(error)}): choose another --out"
    )


def _line(error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return reason.splitlines()[0] if reason else type(error).__name__


_NO_TERMS = ("step", "evaluation", "kl_per_latent")
_USUAL = ["loss", "elbo", "reconstruction", "kl"]


def _columns(rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    # All rows of an objective have the same terms; an empty log has the usual ones.
    names = [name for name in rows[-1] if name not in _NO_TERMS] if rows else _USUAL
    columns: dict[str, np.ndarray] = {
        "step": np.array([row["step"] for row in rows], dtype=np.int64)
    }
    for name in names:
        columns[name] = np.array([row.get(name, np.nan) for row in rows], dtype=np.float64)
    return columns
