"""How long `elbax --help` takes."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import spread


def measure(rounds: int) -> dict[str, Any]:
    """Seconds of `elbax --help` in fresh processes; beside it, a python that does nothing."""
    elbax = Path(sys.executable).with_name("elbax")
    commands = {"help": [str(elbax), "--help"], "python": [sys.executable, "-c", "pass"]}
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for command in commands.values():
        _seconds(command)  # byte-compiles
    for _ in range(rounds):
        for name, command in commands.items():
            seconds[name].append(_seconds(command))
    result = {name: spread.summary(values) for name, values in seconds.items()}
    print(f"elbax --help: {result['help']['median']:.3f} s", file=sys.stderr)
    return {"rounds": rounds, **result}


def _seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=60)
    return time.perf_counter() - started
