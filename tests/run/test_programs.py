"""How many programs a run compiles: seconds differ between machines, their number does not."""

import json
import subprocess
import sys

COUNT = """
import collections, json, sys

import jax

counted = collections.Counter()


def listen(event, duration, **of):
    if event == "/jax/core/compile/backend_compile_duration":
        counted[of["fun_name"]] += 1


jax.monitoring.register_event_duration_secs_listener(listen)
import elbax

found, out = [], sys.argv[1]
small = {"hidden": (16,), "latent_dim": 2, "iterations": 40, "verbose": False}


def note():
    found.append(dict(counted))
    counted.clear()
    jax.clear_caches()


run = elbax.train("digits", out=f"{out}/a", **small)
note()
(run / "results.json").unlink()
(run / "report.html").unlink()
elbax.resume(run.path, verbose=False)
note()
elbax.train("digits", out=f"{out}/b", recipe="rae-l2", network="mlp", report=False, **small)
note()
print(json.dumps(found))
"""


def test_a_run_compiles_few_programs(tmp_path):
    words = [sys.executable, "-c", COUNT, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    trained, resumed, without_bound = json.loads(done.stdout)

    # Training, validation, the initial model; and for the measures, 12 pictures and the explorer:
    assert trained["jit(advance)"] == trained["jit(validate)"] == trained["jit(compose)"] == 1
    assert trained["jit(_map_block)"] <= 11
    assert sum(trained.values()) <= 36  # most of the others put an array on the device

    # Nothing was left to train.
    assert not {"jit(advance)", "jit(validate)"} & resumed.keys()
    assert resumed["jit(_map_block)"] <= 11

    # The test and the training rows are measured by one program.
    assert without_bound["jit(_of_batch)"] == 1
