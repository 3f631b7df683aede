"""A run's log, ``metrics.jsonl``: a line a step, and a line a validation."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from elbax.util.files import atomic, check_regular, digest_of_first, write_error

_NO_TERMS = ("step", "evaluation", "kl_per_latent")
_USUAL = ["loss", "elbo", "reconstruction", "kl"]


def append(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Appends lines to the log.

    Raises:
        WriteError: The disk is full, or the folder can't be written.
    """
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write(lines)
    except OSError as error:
        raise write_error(path, error) from error


def cut(path: Path, step: int) -> None:
    """Drops what was logged after ``step`` (and half a line, if a killed process left one)."""
    rows = [row for row in _read(path) if row["step"] <= step]
    with atomic(path) as temporary:
        temporary.write_text("".join(json.dumps(row) + "\n" for row in rows))


def history(path: Path) -> dict[str, Any]:
    """The log as arrays of equal length: `step`, `loss`, and the objective's terms.

    Where there is a bound these are `elbo`, `reconstruction`, `kl`, and what else there may be.
    `validation` has the same. Where KLs per latent were logged, `kl_per_latent` has their `step`
    and `value` (n, latent_dim).

    Raises:
        ValueError: Its steps do not follow one another: it is damaged.
    """
    rows = list(_read(path))
    steps = [row for row in rows if "evaluation" not in row]
    for before, after in itertools.pairwise(steps):
        if not before["step"] < after["step"]:
            raise ValueError(
                f"{path} is damaged: step {after['step']} stands behind step {before['step']}"
            )
    validations = [row for row in rows if row.get("evaluation") == "validation"]
    per_latent = [row for row in steps if "kl_per_latent" in row]
    found: dict[str, Any] = _columns(steps)
    found["validation"] = _columns(validations)
    if per_latent:
        found["kl_per_latent"] = {
            "step": np.array([row["step"] for row in per_latent]),
            "value": np.array([row["kl_per_latent"] for row in per_latent]),
        }
    return found


def sealed(path: Path, count: int | None = None) -> dict[str, Any]:
    """The length of the log, or of its first so many bytes, and their SHA-256."""
    try:
        check_regular(path)
        size = path.stat().st_size
        count = size if count is None else min(count, size)
        return {"bytes": count, "sha256": digest_of_first(path, count)}
    except (OSError, ValueError):
        return {"bytes": 0, "sha256": None}


def _read(path: Path) -> Iterator[dict[str, Any]]:
    check_regular(path)
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                with contextlib.suppress(ValueError):
                    row = json.loads(line)
                    if isinstance(row, dict) and isinstance(row.get("step"), int):
                        yield row
    except FileNotFoundError:
        return


def _columns(rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    # All rows of an objective have the same terms; an empty log has the usual ones.
    names = [name for name in rows[-1] if name not in _NO_TERMS] if rows else _USUAL
    columns: dict[str, np.ndarray] = {
        "step": np.array([row["step"] for row in rows], dtype=np.int64)
    }
    for name in names:
        columns[name] = np.array([row.get(name, np.nan) for row in rows], dtype=np.float64)
    return columns
