"""Numbers as people write them."""

from __future__ import annotations

import math


def plus_minus(value: float, error: float | None) -> str:
    """104.2 ± 0.3, or 14.24 ± 0.05: as many decimals as the error's first digit needs."""
    if error is None or not math.isfinite(error):
        return number(value, 1)
    decimals = 1 if error == 0 else min(4, max(1, -math.floor(math.log10(error))))
    return f"{number(value, decimals)} ± {error:.{decimals}f}"


def number(value: float, decimals: int) -> str:
    """A number with so many decimals, its thousands apart and a true minus."""
    return f"{value:,.{decimals}f}".replace("-", "−")
