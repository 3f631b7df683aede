"""What values data must have for a likelihood, and whether they have them."""

import dataclasses
import math

import numpy as np
from jaxtyping import Bool, Float

_ROWS = 1024  # looked at together: data may be bytes, and they are compared in float64
_TOLERANCE = 1e-3  # of a spacing: bytes arrive as float32 multiples of 1/255


@dataclasses.dataclass(frozen=True)
class Support:
    """A set of numbers.

    Attributes:
        words: What it is called in a message.
        lower: The least number.
        upper: The greatest number.
        spacing: The distance between neighbours, counted from `lower`; None for all numbers between
            the bounds.
        lower_included: Whether `lower` itself belongs to it.
    """

    words: str
    lower: float = -math.inf
    upper: float = math.inf
    spacing: float | None = None
    lower_included: bool = True

    def contains(self, values: Float[np.ndarray, "..."]) -> Bool[np.ndarray, "..."]:
        """Whether each value belongs to it; NaN and infinities never do."""
        if self.spacing is None:
            above = (values >= self.lower) if self.lower_included else (values > self.lower)
            return above & (values <= self.upper) & np.isfinite(values)
        with np.errstate(invalid="ignore"):  # infinite values are outside
            steps = (values - self.lower) / self.spacing
            on_a_step = np.abs(steps - np.rint(steps)) <= _TOLERANCE
        last = math.inf if self.upper == math.inf else (self.upper - self.lower) / self.spacing
        return on_a_step & (steps >= -_TOLERANCE) & (steps <= last + _TOLERANCE)


REAL = Support("real numbers")
POSITIVE = Support("positive numbers", lower=0.0, lower_included=False)
UNIT_INTERVAL = Support("numbers from 0 to 1", lower=0.0, upper=1.0)
BINARY = Support("0 or 1", lower=0.0, upper=1.0, spacing=1.0)
COUNTS = Support("whole numbers from 0 on", lower=0.0, spacing=1.0)


def levels(count: int, highest: float) -> Support:
    """Evenly spaced levels from 0 to `highest`.

    Raises:
        ValueError: There are fewer than two levels, or the highest is not positive.
    """
    if count < 2:
        raise ValueError(f"levels is {count}; give at least 2")
    if not highest > 0:
        raise ValueError(f"highest is {highest}; the highest level must be positive")
    spacing = highest / (count - 1)
    words = (
        f"whole numbers from 0 to {count - 1}"
        if spacing == 1
        else f"the {count} levels k/{count - 1} × {highest:g}, k whole"
    )
    return Support(words, 0.0, highest, spacing)


def check_support(
    support: Support | tuple[Support, ...],
    rows: np.ndarray,
    likelihood: str,
    *,
    scale: float = 1.0,
    where: str = "the data",
    numbers: np.ndarray | None = None,
) -> None:
    """Refuses data that a likelihood is not defined for; NaN, a missing cell, passes.

    Args:
        support: The likelihood's `support`.
        rows: The data, with rows along the leading axis.
        likelihood: What it is called in the message.
        scale: What a value is multiplied by before it meets the likelihood.
        where: What the data are called in the message.
        numbers: What the rows are called there; None counts them from 0.

    Raises:
        ValueError: One line, with the first value outside, its place, and what it should be.
    """
    if rows.dtype == np.uint8 and isinstance(support, Support):
        allowed = support.contains(np.arange(256) * scale)
        if allowed.all() or allowed[rows].all():
            return
    elements = math.prod(rows.shape[1:])
    for start in range(0, len(rows), _ROWS):
        block = np.asarray(rows[start : start + _ROWS], np.float64).reshape(-1, elements) * scale
        if isinstance(support, tuple):
            pairs = zip(support, block.T, strict=True)
            inside = np.stack([each.contains(column) for each, column in pairs], axis=1)
        else:
            inside = support.contains(block)
        outside = ~(inside | np.isnan(block))
        if outside.any():
            row, element = (int(i) for i in np.argwhere(outside)[0])
            wanted = support[element] if isinstance(support, tuple) else support
            place = ", ".join(str(i) for i in np.unravel_index(element, rows.shape[1:]))
            number = start + row if numbers is None else int(numbers[start + row])
            raise ValueError(
                f"row {number}, element ({place}) of {where} is {block[row, element]:g}, but "
                f"the likelihood {likelihood} is for {wanted.words} there; choose another "
                "likelihood, or scale or recode the data"
            )
