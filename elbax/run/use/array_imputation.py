"""Images, or vectors of one scale, with holes in; the same without them out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from elbax.data.errors import DataError
from elbax.data.formats.files import read_path
from elbax.evaluate.imputation import impute
from elbax.run import labels
from elbax.run.use import other_data, outputs
from elbax.util.keys import of_seed
from elbax.util.words import shown

if TYPE_CHECKING:
    from elbax.run.run import Run

_FEW = 10.0  # effective draws of an image


@dataclass(frozen=True)
class FilledArray:
    """What was filled; all arrays are of the file's shape and type, in its units.

    Attributes:
        value: The array, each element that was missing its mean given those observed.
        lower: The lower ends of the central 90% intervals; observed elements are their own ends.
        upper: The upper ends.
        multiple: The array with what was missing drawn, as often as asked for.
        cells: How many elements were filled.
        filled: In how many rows.
        rows: Of how many.
        doubtful: How many of the filled rows had fewer than ten effective draws.
        unweighted: How many of these had none: by averages of q's draws, which count alike.
    """

    value: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    multiple: list[np.ndarray]
    cells: int
    filled: int
    rows: int
    doubtful: int
    unweighted: int


def fill(run: Run, data: Path, *, draws: int, multiple: int, seed: int) -> FilledArray:
    """Fills the elements of a `.npy` that are NaN.

    Args:
        run: A run that was trained on such data.
        data: The file.
        draws: Importance draws a row.
        multiple: How many arrays to draw beside.
        seed: Of the draws.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no array of the run's shape, holds what its likelihood is not of, or the
            run knows of no holes.
    """
    if not data.is_file():
        raise FileNotFoundError(f"there is no file {data}")
    labels.refuse(run.model, "impute")
    raw = read_path(data)
    if len(raw.parts) != 1 or "all" not in raw.parts:
        raise DataError(f"{shown(data)} holds more than one array of data: give a .npy of one")
    given = np.asarray(raw.parts["all"].x)
    there = other_data.on(run, str(data))
    rows = there.rows("all")[0]
    missing = np.isnan(given)
    holed = missing.reshape(len(given), -1).any(axis=1)
    if not holed.any():
        return FilledArray(given, given, given, [given] * multiple, 0, 0, len(given), 0, 0)
    key = of_seed(seed, "impute")
    found = impute(there.model, rows[holed], key=key, samples=draws, multiple=max(1, multiple))

    def put(cells: np.ndarray) -> np.ndarray:
        own = there.model.preprocessing
        stored = (cells / own.scale + own.shift).reshape(given[holed].shape)
        made = given.copy()
        made[missing] = stored[missing[holed]]
        return made

    return FilledArray(
        put(found.value),
        put(found.lower),
        put(found.upper),
        [put(found.draws[:, m]) for m in range(multiple)],
        cells=int(missing.sum()),
        filled=int(holed.sum()),
        rows=len(given),
        doubtful=int((found.effective_sample_size < min(_FEW, draws)).sum()),
        unweighted=int((found.effective_sample_size == 0).sum()),
    )


def write(filled: FilledArray, out: Path) -> list[Path]:
    """Writes the array, the intervals and the drawn arrays; answers with the paths beside `out`."""
    outputs.write_arrays(out, {"x": filled.value}, "x")
    intervals = out.with_name(f"{out.stem}.intervals.npz")
    outputs.write_arrays(intervals, {"lower": filled.lower, "upper": filled.upper}, "lower")
    paths = [intervals]
    for number, x in enumerate(filled.multiple, start=1):
        paths.append(out.with_name(f"{out.stem}.{number}.npy"))
        outputs.write_arrays(paths[-1], {"x": x}, "x")
    return paths
