"""One training step of the recipe `vae`: elbax, its rivals and the floors, interleaved."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import spread
from benchmarks.protocol import Rival

OURS = "elbax_step"
FLOORS = ("floor", "products")  # measured in elbax's own process
RIVALS = (OURS, "numpyro_svi", "torch_eager", "torch_compile", "pythae_trainer")


def measure(
    rivals: Mapping[str, Rival],
    rounds: int,
    steps: int,
    *,
    ours: str = OURS,
    floors: Sequence[str] = FLOORS,
) -> dict[str, Any]:
    """Milliseconds a step of each, and elbax's ratio to each, over `rounds` rounds.

    Each round asks every rival for `steps` steps, in an order that is rotated from round to round;
    the floors are measured inside elbax's process.
    """
    names = [*rivals, *floors]
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            times[name].append(_milliseconds(rivals, name, steps))
        shown = ", ".join(f"{name} {values[-1]:.2f}" for name, values in times.items())
        print(f"round {number + 1}/{rounds}: {shown} ms a step", file=sys.stderr)
    return {
        "rounds": rounds,
        "steps_per_round": steps,
        "milliseconds": {name: spread.summary(values) for name, values in times.items()},
        "elbax_over": {
            name: spread.ratios(times[ours], values)
            for name, values in times.items()
            if name != ours
        },
        "facts": {name: rival.facts for name, rival in rivals.items()},
    }


def _milliseconds(rivals: Mapping[str, Rival], name: str, steps: int) -> float:
    if name in FLOORS:
        answer = rivals[OURS].ask(name, steps=steps)
    else:
        answer = rivals[name].ask("run", steps=steps)
    return 1000 * answer["seconds"] / answer["steps"]
