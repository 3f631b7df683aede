"""Arrays to and from the user's own files: .npz, .npy, .png, .csv, .parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from elbax.util import words
from elbax.util.files import atomic, check_writable
from elbax.util.words import is_number

_COLUMNS = 20  # tiles across a sheet of pictures, at most


def check_target(out: Path, formats: Sequence[str], shape: tuple[int, ...] | None = None) -> None:
    """Refuses a file that couldn't be written, before any work is done for it.

    Args:
        out: The file.
        formats: Suffixes that are possible, such as ``.npz``.
        shape: The shape of one datum, where it matters (only images become a picture).

    Raises:
        ValueError: One line with the mend.
    """
    known = ", ".join(formats)
    if out.suffix.lower() not in formats:
        raise ValueError(f"out (--out) is {out}: its ending says the format, one of {known}")
    check_writable(out)
    if out.suffix.lower() == ".png" and shape is not None:
        check_picture(out, shape)


def check_picture(out: Path, shape: tuple[int, ...]) -> None:
    """Refuses a picture of what is no image.

    Raises:
        ValueError: One line with the mend.
    """
    from elbax.util.mosaic import is_image

    if not is_image(shape):
        raise ValueError(
            f"{out}: these data are rows of {shape[0]} values, not images: give a .npz"
        )


def write_arrays(out: Path, arrays: Mapping[str, np.ndarray], main: str) -> None:
    """Writes all arrays to ``.npz``, the main one to ``.npy``, or its pictures to ``.png``."""
    suffix = out.suffix.lower()
    if suffix == ".png":
        write_sheet(out, arrays[main])
        return
    with atomic(out) as temporary, open(temporary, "wb") as file:
        if suffix == ".npz":
            np.savez_compressed(file, allow_pickle=False, **arrays)
        else:
            np.save(file, arrays[main], allow_pickle=False)


def write_sheet(out: Path | io.BytesIO, images: np.ndarray) -> None:
    """Pictures (n, h, w, c) as tiles of one PNG, row by row; to a file, or one that is open."""
    from elbax.util.mosaic import display_range, lay_out, to_rgb

    columns = min(_COLUMNS, int(np.ceil(np.sqrt(len(images)))))
    _write_mosaic(out, lay_out(to_rgb(images, display_range(images)), columns))


def write_pairs(out: Path | io.BytesIO, even: np.ndarray, odd: np.ndarray) -> None:
    """Pairs of pictures as one PNG: columns 0, 2, … hold ``even``, the others their partners."""
    from elbax.util.mosaic import display_range, interleave, to_rgb

    columns = 2 * min(_COLUMNS // 2, int(np.ceil(np.sqrt(len(even) / 2))))
    limits = display_range(odd)
    _write_mosaic(out, interleave(to_rgb(even, limits), to_rgb(odd, limits), max(columns, 2)))


def write_table(out: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Posteriors as arrays in ``.npz``, as columns mean_0, … in ``.csv`` and ``.parquet``."""
    suffix = out.suffix.lower()
    if suffix == ".npz":
        write_arrays(out, arrays, "mean")
        return
    columns = to_columns(arrays)
    with atomic(out) as temporary:
        if suffix == ".csv":
            with open(temporary, "w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow(columns)
                # repr of a float32 is its shortest text that reads back as the same number
                rows = zip(*(map(str, column) for column in columns.values()), strict=True)
                writer.writerows(rows)
        else:
            import pyarrow as pa
            import pyarrow.parquet as pq

            pq.write_table(pa.table(columns), temporary)


def to_columns(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays (n, d) as columns ``name_0``, …; arrays (n,) as columns of their name."""
    columns: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        if array.ndim == 1:
            columns[name] = array
        else:
            columns.update({f"{name}_{i}": array[:, i] for i in range(array.shape[1])})
    return columns


def read_latents(path: Path) -> np.ndarray:
    """Latents (n, latent_dim) from ``.npy``, ``.npz`` (`z`, `mean` or the only array) or ``.csv``.

    A CSV file with a header gives its columns ``z_0``, … or ``mean_0``, …, or all of them; what
    `encode` wrote fits.

    Raises:
        ValueError: Something else, in one line. No pickle is ever loaded.
        FileNotFoundError: There is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    suffix = path.suffix.lower()
    try:
        if suffix == ".npy":
            z = np.load(path, allow_pickle=False)
        elif suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                z = archive[_key(archive.files)]
        elif suffix == ".csv":
            z = _read_csv(path)
        else:
            raise ValueError("its ending is none of .npy, .npz, .csv")
        if z.dtype.kind not in "fiu":
            raise ValueError(f"it holds {z.dtype}, not numbers")
    except (ValueError, OSError, EOFError, KeyError) as error:
        raise ValueError(f"can't read latents from {path}: {words.reason(error)}") from None
    return np.atleast_2d(z)


def _key(names: Sequence[str]) -> str:
    for name in ("z", "mean"):
        if name in names:
            return name
    if len(names) != 1:
        raise ValueError(f"it holds {', '.join(names) or 'nothing'}: call the latents z")
    return names[0]


def _read_csv(path: Path) -> np.ndarray:
    with open(path, newline="", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file) if row]
    if not rows:
        raise ValueError("it is empty")
    header = rows[0] if not is_number(rows[0][0]) else None
    body = rows[1:] if header else rows
    wanted = list(range(len(rows[0])))
    for prefix in ("z_", "mean_"):
        chosen = [i for i, name in enumerate(header or ()) if name.startswith(prefix)]
        if chosen:
            wanted = chosen
            break
    if any(len(row) != len(rows[0]) for row in body):
        raise ValueError("its rows have different lengths")
    return np.array([[float(row[i]) for i in wanted] for row in body], dtype=np.float32)


def _write_mosaic(out: Path | io.BytesIO, sheet: np.ndarray) -> None:
    from PIL import Image

    from elbax.util.mosaic import gap_for, mosaic

    image, _, _ = mosaic(sheet, gap_for(*sheet.shape[2:4]))
    pixels = np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)
    if not isinstance(out, Path):
        Image.fromarray(pixels).save(out, format="PNG")
        return
    with atomic(out) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")
