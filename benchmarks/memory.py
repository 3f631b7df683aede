"""The most memory that a run on MNIST holds, up to the saved model. Linux only: it reads /proc."""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import protocol, workload

_EVERY = 0.02  # seconds between two looks
_LONGEST = 1800.0


def measure(iterations: int, threads: int) -> dict[str, Any]:
    """Runs `elbax train` and watches the high-water mark of its resident memory.

    Returns:
        Megabytes (10^6 bytes): `until_model` of the training process when ``model.safetensors``
        appeared, `training_process` at its end, `largest_child` of the processes that it started
        (the figures' ones); None where there is no /proc.
    """
    if not Path("/proc/self/status").exists():
        return {"until_model": None, "reason": "needs /proc"}
    with tempfile.TemporaryDirectory(prefix="elbax-bench-memory-") as folder:
        data, note = _data(Path(folder))
        run = Path(folder) / "run"
        command = [str(Path(sys.executable).with_name("elbax")), "train", data, "--out", str(run)]
        command += ["--iterations", str(iterations), "--seed", str(workload.SEED), "--json"]
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=protocol.environment(threads),
            start_new_session=True,  # so that its children can be ended with it
        )
        try:
            result = _watch(process, run / "model.safetensors")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            _, errors = process.communicate()
    if process.returncode != 0 or result["until_model"] is None:
        raise RuntimeError(f"elbax train ended with {process.returncode}: {errors[-1000:]}")
    print(f"memory up to the saved model: {result['until_model']:.0f} MB", file=sys.stderr)
    return {**result, "iterations": iterations, "data": note}


def _data(folder: Path) -> tuple[str, str]:
    """MNIST where it is at hand, and otherwise random bytes of the same shapes."""
    source = os.environ.get("ELBAX_DATA_DIR")
    if source and (Path(source) / "mnist").is_dir():
        return "mnist", "MNIST"
    draw = np.random.default_rng(workload.SEED)
    sizes = {"x_train": 55_000, "x_validation": 5_000, "x_test": 10_000}
    arrays: dict[str, Any] = {
        name: draw.integers(0, 256, (rows, 28, 28), dtype=np.uint8) for name, rows in sizes.items()
    }
    path = folder / "random.npz"
    np.savez(path, **arrays)
    return str(path), "random bytes of MNIST's shapes (ELBAX_DATA_DIR is not set)"


def _watch(process: subprocess.Popen[str], model: Path) -> dict[str, Any]:
    until_model, whole, children = None, 0.0, 0.0
    deadline = time.monotonic() + _LONGEST
    while process.poll() is None:
        whole = max(whole, _high_water(process.pid))
        if until_model is None and model.exists():
            until_model = whole
        children = max([children, *map(_high_water, _descendants(process.pid))])
        if time.monotonic() > deadline:
            raise RuntimeError(f"elbax train took more than {_LONGEST:.0f} s")
        time.sleep(_EVERY)
    return {"until_model": until_model, "training_process": whole, "largest_child": children}


def _high_water(pid: int) -> float:
    """Peak resident memory of a process so far in 10^6 bytes; 0 once it has ended."""
    try:
        found = re.search(r"^VmHWM:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M)
    except OSError:
        return 0.0
    return int(found[1]) * 1024 / 1e6 if found else 0.0


def _descendants(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    children = [int(word) for word in text.split()]
    return children + [below for child in children for below in _descendants(child)]
