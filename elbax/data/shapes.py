"""Synthetic images with known factors: one shape of some size and orientation, somewhere.

In the spirit of dSprites (Matthey et al. 2017), drawn here: a white square, ellipse or heart on
black. Every combination of the factors is one image; a data set is some of them in random order,
none twice. (As there, a square looks the same after a quarter turn and an ellipse after a half:
of these the orientation is known only up to that.)
"""

import math

import numpy as np

from elbax.data.errors import DataError
from elbax.data.splitting import Part, Raw, permutation

FACTORS = ("shape", "scale", "orientation", "x", "y")
VALUES = (3, 6, 40, 32, 32)  # as many as dSprites has
SHAPES = ("square", "ellipse", "heart")
COMBINATIONS = math.prod(VALUES)

COUNT, HELD_OUT = 20_000, 1_000  # of the data set known as `shapes`
_SEED = 0
_BLOCK = 256  # images drawn at a time: a few MB

# Of a frame of 64: half the side of the largest square, whose corners just stay in the frame. No
# scale makes it a whole number, so that no pixel's centre is on an edge.
_HALF_SIDE = 11.3


def generate(count: int, *, seed: int = 0, size: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Images and their factors.

    Args:
        count: How many, at most 737,280: all that there are.
        seed: Of the choice and the order.
        size: The height and the width in pixels.

    Returns:
        Images, (count, size, size, 1) bytes of 0 and 1; and factors, (count, 5) whole numbers from
        0, in the order of `FACTORS`. y grows downwards.

    Raises:
        DataError: There are not so many images, or they would have no pixels.
    """
    chosen = factors(count, seed=seed)
    return render(chosen, size=size), chosen


def factors(count: int = COUNT, *, seed: int = _SEED) -> np.ndarray:
    """The factors alone, (count, 5): row i is row i of `load("shapes").split("all")`.

    Args:
        count: How many rows; by default as many as that data set has.
        seed: Of the choice and the order.

    Raises:
        DataError: There are not so many combinations.
    """
    if not 1 <= count <= COMBINATIONS:
        raise DataError(f"{count:,} shapes: give a number from 1 to {COMBINATIONS:,}")
    chosen = permutation(COMBINATIONS, seed)[:count]
    return np.stack(np.unravel_index(chosen, VALUES), axis=1).astype(np.int64)


def render(factors: np.ndarray, *, size: int = 64) -> np.ndarray:
    """The image of each row of factors, (rows, size, size, 1) bytes of 0 and 1.

    Args:
        factors: (rows, 5) whole numbers from 0, below `VALUES`.
        size: The height and the width in pixels.

    Raises:
        DataError: A factor is out of range, or there are no pixels.
    """
    factors = np.asarray(factors)
    if factors.ndim != 2 or factors.shape[1] != len(VALUES) or size < 1:
        raise DataError(
            f"factors of shape {factors.shape} in {size} pixels: give (rows, 5), and a pixel"
        )
    if len(factors) and not ((factors >= 0) & (factors < VALUES)).all():
        raise DataError(f"factors out of range: they are from 0, below {VALUES}")
    images = np.empty((len(factors), size, size, 1), np.uint8)
    for start in range(0, len(factors), _BLOCK):
        block = slice(start, start + _BLOCK)
        images[block, :, :, 0] = _inside(factors[block], size)
    return images


def read() -> Raw:
    """The data set known as `shapes`; a row's label is its shape."""
    x, chosen = generate(COUNT, seed=_SEED)
    label = chosen[:, 0]
    training = COUNT - HELD_OUT
    return Raw(
        name="shapes",
        source="drawn by elbax, in the spirit of dSprites (Matthey et al., 2017)",
        parts={
            "train": Part(x[:training], label[:training]),
            "test": Part(x[training:], label[training:]),
        },
        rule="tail",
        validation=HELD_OUT,
        levels=1,
        label_names=SHAPES,
    )


def _inside(factors: np.ndarray, size: int) -> np.ndarray:
    """Which pixels' centres are inside of the shape, (rows, size, size)."""
    shape, scale, orientation, x, y = (column[:, None, None] for column in factors.T)
    # In a frame of 64, seen from the shape's centre: whole pixels apart, 16 from every edge.
    centre = (np.arange(size, dtype=np.float32) + 0.5) * (64 / size)
    across = centre[None, None, :] - (x + 16.5).astype(np.float32)
    down = centre[None, :, None] - (y + 16.5).astype(np.float32)
    # Turned back, and in units of half a side.
    angle = (2 * math.pi / VALUES[2]) * orientation
    unit = _HALF_SIDE * (0.5 + 0.1 * scale)
    cosine, sine = ((f(angle) / unit).astype(np.float32) for f in (np.cos, np.sin))
    a, b = cosine * across + sine * down, cosine * down - sine * across
    square = np.maximum(np.abs(a), np.abs(b)) <= 1
    ellipse = (a / 1.4) ** 2 + (b / 0.7) ** 2 <= 1
    # (a² + b² − 1)³ ≤ a² b³, point down, made smaller so that it stays in the frame.
    a, b = 1.05 * a, -1.05 * b
    heart = (a * a + b * b - 1) ** 3 <= a * a * b**3
    return np.where(shape == 0, square, np.where(shape == 1, ellipse, heart))
