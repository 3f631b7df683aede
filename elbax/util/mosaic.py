"""Pictures from many data: images tiled on a sheet, vectors as rows of a heat map. Pure arrays."""

from __future__ import annotations

import numpy as np

HOLE = (0.902, 0.624, 0.0)  # the orange of figures: a pixel that was not observed


def is_image(shape: tuple[int, ...]) -> bool:
    """Whether a datum of this shape is drawn as a picture: (h, w) or (h, w, channels)."""
    return len(shape) in (2, 3) and min(shape[:2]) > 1


def display_range(x: np.ndarray) -> tuple[float, float]:
    """The values shown as black and white: 0 and 1 where the data lie between, else their own."""
    low, high = float(np.nanmin(x)), float(np.nanmax(x))
    if low >= 0.0 and high <= 1.0:
        return 0.0, 1.0
    return (low, high) if high > low else (low, low + 1.0)


def to_rgb(images: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Images as red, green, blue in [0, 1].

    Args:
        images: (n, h, w) or (n, h, w, c): three channels are colour (a fourth is left out), any
            other number is averaged to grey.
        limits: the values that become 0 and 1; what lies beyond is clipped.

    Returns:
        (n, h, w, 3); a pixel of which a channel is NaN has the colour `HOLE`.
    """
    low, high = limits
    unit = np.clip((np.asarray(images, dtype=np.float32) - low) / (high - low), 0.0, 1.0)
    if unit.ndim == 3:
        unit = unit[..., None]
    if unit.shape[-1] not in (3, 4):
        unit = np.repeat(unit.mean(axis=-1, keepdims=True), 3, axis=-1)
    unit = unit[..., :3]
    return np.where(np.isnan(unit).any(axis=-1, keepdims=True), np.array(HOLE, np.float32), unit)


def about_holes(images: np.ndarray) -> str:
    """A sentence for the caption of images that hold NaN; nothing for others."""
    return " Orange pixels were not observed." if np.isnan(images).any() else ""


def interleave(even: np.ndarray, odd: np.ndarray, columns: int) -> np.ndarray:
    """Lay pairs on a sheet: column 2k (from 0) holds `even`, the column after it its partner.

    Args:
        even: (n, h, w, 3).
        odd: (n, h, w, 3), partner by partner.
        columns: an even number of columns.

    Returns:
        (rows, columns, h, w, 3): pair i lies in row i // (columns / 2); missing pairs are white.
    """
    return lay_out(np.stack([even, odd], axis=1).reshape(-1, *even.shape[1:]), columns)


def lay_out(images: np.ndarray, columns: int) -> np.ndarray:
    """Images (n, h, w, 3) row by row on a sheet (rows, columns, h, w, 3); the rest is white."""
    count = len(images)
    rows = -(-count // columns)
    sheet = np.ones((rows * columns, *images.shape[1:]), dtype=np.float32)
    sheet[:count] = images
    return sheet.reshape(rows, columns, *images.shape[1:])


def mosaic(
    sheet: np.ndarray, gap: int, group: int = 1, group_gap: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One image of a sheet of tiles, with white gaps.

    Args:
        sheet: (rows, columns, h, w, 3).
        gap: white pixels between rows and between the columns of a group.
        group: this many columns stand together.
        group_gap: white pixels between groups; `gap` where not given.

    Returns:
        The image (H, W, 3) and the centres of the columns and of the rows, in its pixels.
    """
    rows, columns, height, width = sheet.shape[:4]
    between = gap if group_gap is None else group_gap
    left = np.arange(columns) * (width + gap) + (np.arange(columns) // group) * (between - gap)
    top = np.arange(rows) * (height + gap)
    image = np.ones((top[-1] + height, left[-1] + width, 3), dtype=np.float32)
    for row in range(rows):
        for column in range(columns):
            y, x = top[row], left[column]
            image[y : y + height, x : x + width] = sheet[row, column]
    return image, left + (width - 1) / 2, top + (height - 1) / 2


def gap_for(height: int, width: int) -> int:
    """A gap that looks the same for every size of tile: a sixteenth of it, one pixel at least."""
    return max(1, round(min(height, width) / 16))


def standardise(reference: np.ndarray, *tables: np.ndarray) -> tuple[np.ndarray, ...]:
    """Tables (n, …) flattened to (n, features), each feature in standard deviations of `reference`.

    A feature that never varies is shown as its distance from its mean; a cell that is NaN stays so.
    """
    flat = np.asarray(reference, dtype=np.float64).reshape(len(reference), -1)
    flat = np.ma.masked_invalid(flat)
    mean, deviation = flat.mean(axis=0).filled(0.0), flat.std(axis=0).filled(0.0)
    deviation = np.where(deviation > 1e-12, deviation, 1.0)
    return tuple((np.asarray(t).reshape(len(t), -1) - mean) / deviation for t in tables)


def order_rows(table: np.ndarray) -> np.ndarray:
    """An order of the rows that puts like beside like: along the first principal component.

    The component's sign is fixed (its largest loading is positive), so the order is reproducible.
    """
    centred = np.ma.masked_invalid(table)
    centred = (centred - centred.mean(axis=0)).filled(0.0)  # NaN, not observed, is the mean
    _, _, components = np.linalg.svd(centred, full_matrices=False)
    first = components[0]
    first = first * np.sign(first[np.argmax(np.abs(first))] or 1.0)
    return np.argsort(centred @ first, kind="stable")
