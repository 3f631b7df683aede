"""What a figure depends on: the machine, the versions, the commit."""

import datetime
import os
import platform
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("elbax", "jax", "jaxlib", "equinox", "optax", "numpyro", "numpy", "torch", "pythae")
_VARIABLES = re.compile(r"^(OMP|MKL|GOMP|KMP|OPENBLAS|XLA|JAX|TORCH|CUDA)_")


def describe() -> dict[str, Any]:
    """The machine's description for the record."""
    cpu = _cpu_model()
    gpu = _gpu_model()
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_gib": _memory_gib(),
        "gpu": gpu,
        "os": platform.platform(),
        "python": platform.python_version(),
        "versions": _versions(),
        "commit": _commit(),
        "environment": {k: v for k, v in sorted(os.environ.items()) if _VARIABLES.match(k)},
        "load_before": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "slug": _slug(gpu or cpu),
    }


def _cpu_model() -> str:
    path = Path("/proc/cpuinfo")
    if path.exists():
        fields = dict(re.findall(r"^([^\t:]+)\s*: (.*)$", path.read_text(), re.MULTILINE))
        name = " ".join(fields.get("model name", "").split())
        if name:
            # Virtual machines often hide the name; family and model still tell the generation.
            where = f"family {fields.get('cpu family')}, model {fields.get('model')}"
            wide = [flag for flag in ("avx512f", "avx2") if flag in fields.get("flags", "")]
            return f"{name} ({', '.join([where, *wide[:1]])})"
    return platform.processor() or platform.machine()


def _gpu_model() -> str | None:
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip().splitlines()[0] if found.stdout.strip() else None


def _memory_gib() -> float | None:
    if sys.platform == "win32":
        return None
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _commit() -> str | None:
    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        changed = " with changes" if git("status", "--porcelain", "elbax", "benchmarks") else ""
        return git("rev-parse", "--short=12", "HEAD") + changed
    except (OSError, subprocess.CalledProcessError):
        return None


def _slug(name: str) -> str:
    short = re.sub(r"\((?!R|TM)[^)]*\)|\(R\)|\(TM\)|\bCPU\b|\bProcessor\b|@.*", " ", name)
    return re.sub(r"[^a-z0-9]+", "-", short.lower()).strip("-") or "machine"
