"""Medians of figures and of ratios, with their spread."""

import statistics
from collections.abc import Sequence
from typing import Any


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Median, quartiles, extremes, and the values themselves."""
    ordered = sorted(values)
    quartiles = statistics.quantiles(ordered, n=4, method="inclusive") if len(ordered) > 1 else []
    return {
        "median": statistics.median(ordered),
        "quartiles": [quartiles[0], quartiles[2]] if quartiles else [ordered[0], ordered[0]],
        "min": ordered[0],
        "max": ordered[-1],
        "values": list(values),
    }


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, Any]:
    """The summary of the ratios round by round: what slows the machine slows both."""
    return summary([a / b for a, b in zip(ours, theirs, strict=True)])
