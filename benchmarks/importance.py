"""Importance-weighted log-likelihood, beside pythae's `get_nll` and the floor of its products."""

import sys
from collections.abc import Mapping
from typing import Any

from benchmarks import spread, workload
from benchmarks.protocol import Rival

OURS, THEIRS = "elbax_step", "pythae_trainer"
FLOOR = "floor"
_MANY = 200  # times as many samples, of a few digits, for the growth of the memory
_FEW = 4


def measure(rivals: Mapping[str, Rival], rounds: int, digits: int, samples: int) -> dict[str, Any]:
    """Seconds for so many digits and samples, interleaved, and elbax's ratios to the other two.

    The floor is the multiply-adds of the decoder, once a digit and sample, at the rate of XLA's own
    2048³ product, measured in elbax's process beside each of its turns.
    """
    flops = 2 * sum(a * b for a, b in workload.layers(workload.DECODER)) * digits * samples
    seconds: dict[str, list[float]] = {OURS: [], THEIRS: [], FLOOR: []}
    counts = {"digits": digits, "samples": samples}
    rivals[OURS].ask("importance", digits=1, samples=samples)  # compiles
    rivals[THEIRS].ask("importance", digits=1, samples=samples)
    for number in range(rounds):
        rates = [_rate(rivals[OURS])]
        for name in (OURS, THEIRS) if number % 2 else (THEIRS, OURS):
            seconds[name].append(rivals[name].ask("importance", **counts)["seconds"])
            rates.append(_rate(rivals[OURS]))
        # The two that stand around elbax's turn.
        around = rates[:2] if number % 2 else rates[1:]
        seconds[FLOOR].append(flops * 2 / sum(around))
        shown = ", ".join(f"{name} {values[-1]:.3g}" for name, values in seconds.items())
        print(f"importance {number + 1}/{rounds}: {shown} s", file=sys.stderr)
    return {
        **counts,
        "rounds": rounds,
        "seconds": {name: spread.summary(values) for name, values in seconds.items()},
        "elbax_over": {
            name: spread.ratios(seconds[OURS], seconds[name]) for name in (THEIRS, FLOOR)
        },
        "memory": _growth(rivals[OURS], samples),
    }


def _rate(rival: Rival) -> float:
    return 1e9 * rival.ask("floor", steps=100)["gflops"]


def _growth(rival: Rival, samples: int) -> dict[str, Any]:
    """How far the peak memory of elbax's process moves with two hundred times the samples."""
    before = rival.ask("importance", digits=_FEW, samples=samples)["peak"]
    after = rival.ask("importance", digits=_FEW, samples=_MANY * samples)["peak"]
    return {"samples": [samples, _MANY * samples], "growth": after - before}
