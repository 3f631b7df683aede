"""Encoding and sampling, in images a second, beside pythae's with the same network."""

import sys
from collections.abc import Mapping
from typing import Any

from benchmarks import spread
from benchmarks.protocol import Rival

IMAGES = 10_000
OURS, THEIRS = "elbax_step", "pythae_trainer"


def measure(rivals: Mapping[str, Rival], rounds: int) -> dict[str, Any]:
    """Images a second of both, from arrays in memory to arrays in memory, interleaved."""
    result: dict[str, Any] = {"images": IMAGES, "rounds": rounds}
    for action in ("encode", "sample"):
        rates: dict[str, list[float]] = {OURS: [], THEIRS: []}
        for name in rates:
            rivals[name].ask(action, count=IMAGES)  # compiles, warms up
        for number in range(rounds):
            order = [OURS, THEIRS] if number % 2 else [THEIRS, OURS]
            for name in order:
                answer = rivals[name].ask(action, count=IMAGES)
                rates[name].append(answer["images"] / answer["seconds"])
        result[action] = {
            "images_per_second": {name: spread.summary(values) for name, values in rates.items()},
            "elbax_over_pythae": spread.ratios(rates[OURS], rates[THEIRS]),
        }
        medians = result[action]["images_per_second"]
        shown = ", ".join(f"{name} {s['median']:,.0f}" for name, s in medians.items())
        print(f"{action}: {shown} images/s", file=sys.stderr)
    return result
