"""How long the training step of a composition takes to compile, cold: a process of its own each."""

import json
import os
import subprocess
import sys
import tempfile
from typing import Any

from benchmarks import protocol, workload

# The plain one, and those that have most to compile.
COMPOSITIONS: dict[str, dict[str, str]] = {
    "vae": {},
    "conv": {"network": "conv"},
    "resnet": {"network": "resnet"},
    "vamp": {"prior": "vamp"},
    "iaf": {"posterior": "iaf"},
    "sylvester": {"posterior": "sylvester"},
    "flow prior": {"prior": "flow"},
    "logistic mixture": {"likelihood": "discretized-logistic-mixture"},
    "vamp, iaf, resnet": {"prior": "vamp", "posterior": "iaf", "network": "resnet"},
    "flow prior, sylvester, resnet, logistic mixture": {
        "prior": "flow",
        "posterior": "sylvester",
        "network": "resnet",
        "likelihood": "discretized-logistic-mixture",
    },
}


def measure(threads: int) -> dict[str, Any]:
    """Seconds of compilation of each, by the loop's own report; JAX's cache is empty."""
    seconds = {}
    for name in COMPOSITIONS:
        seconds[name] = _seconds(name, threads)
        print(f"compiled {name} in {seconds[name]:.1f} s", file=sys.stderr)
    return {"seconds": seconds, "longest": max(seconds.values())}


def _seconds(name: str, threads: int) -> float:
    environment = protocol.environment(threads)
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    with tempfile.TemporaryDirectory(prefix="elbax-bench-cache-") as empty:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.compilation", name],
            stdout=subprocess.PIPE,
            text=True,
            env={**environment, "XDG_CACHE_HOME": empty},
            check=True,
        )
    return float(json.loads(done.stdout)["seconds"])


def _child(name: str) -> None:
    """Compiles, takes one step, and says how long the first took."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))[: int(os.environ["OMP_NUM_THREADS"])]
        os.sched_setaffinity(0, cores)
    from elbax.util.environment import prepare

    prepare()
    import jax.numpy as jnp

    from benchmarks.rivals.elbax_step import trainable
    from elbax.model.interfaces import Batch
    from elbax.train import fit

    rows = workload.images()[0][:1000].reshape(-1, 28, 28, 1)
    model, goal, mover, state = trainable(**COMPOSITIONS[name])
    reports = fit(
        model,
        goal,
        Batch(jnp.asarray(rows), data_size=len(rows)),
        optimizer=mover,
        batch_size=workload.BATCH,
        steps=1,
        state=state,
        transform=model.preprocessing,
    )
    print(json.dumps({"seconds": next(reports).compile_seconds}))


if __name__ == "__main__":
    _child(sys.argv[1])
