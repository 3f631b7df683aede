"""One training step with the convolutional pair: elbax and PyTorch, interleaved."""

import contextlib
import sys
from typing import Any

from benchmarks import step
from benchmarks.protocol import Rival

OURS = "elbax_conv"
RIVALS = (OURS, "torch_conv")


def measure(rounds: int, steps: int, threads: int) -> dict[str, Any]:
    """As `step.measure`; the two processes live as long as this takes."""
    with contextlib.ExitStack() as stack:
        rivals = {}
        for name in RIVALS:
            print(f"starting {name}", file=sys.stderr)
            options = {"threads": threads, "steps": steps}
            rivals[name] = stack.enter_context(Rival(name, options))
        return step.measure(rivals, rounds, steps, ours=OURS, floors=())
