"""Compiled programs are kept on disk by every door, and not without end."""

import os
import subprocess
import sys

import numpy as np
import pytest

from elbax import VAE
from elbax.util import environment

ORDERS = {
    "elbax alone": "import elbax; elbax.LatentVariableModel; import jax",
    "a worker of joblib": "import elbax.estimators.vae, jax",
    "after another program": "import jax; jax.jit(lambda x: x * 3)(1.0); import elbax.model",
}


@pytest.mark.parametrize("imports", ORDERS.values(), ids=ORDERS.keys())
def test_programs_are_kept_whatever_is_imported_first(tmp_path, imports):
    given = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    given |= {"XDG_CACHE_HOME": str(tmp_path), "JAX_PLATFORMS": "cpu"}
    code = f"{imports}\njax.jit(lambda x: x + 2.0)(1.0)"
    subprocess.run([sys.executable, "-c", code], env=given, check=True, timeout=120)
    assert len(list(tmp_path.glob("elbax/jax/jit_*"))) >= 1


def test_a_folder_of_the_users_own_is_left_to_him(tmp_path):
    own = tmp_path / "own"
    given = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    given |= {
        "XDG_CACHE_HOME": str(tmp_path),
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(own),
    }
    code = "import elbax.model, jax; print(jax.config.jax_compilation_cache_dir)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=given, check=True, timeout=120, capture_output=True
    )
    assert done.stdout.decode().split() == [str(own)]
    assert not (tmp_path / "elbax").exists()


def test_a_process_that_was_forked_after_jax_had_computed_is_refused(monkeypatch):
    monkeypatch.setattr(environment, "_computing", None)
    environment.own_process()
    environment.own_process()
    monkeypatch.setattr(environment, "_computing", os.getpid() - 1)  # what a fork would copy
    with pytest.raises(RuntimeError, match="loky"):
        VAE().fit(np.zeros((10, 2)))
    with pytest.raises(RuntimeError, match="loky"):
        environment.device(None)


@pytest.mark.slow
def test_a_fork_of_joblib_fails_at_once_where_it_would_hang():
    code = """
import numpy as np, joblib, warnings
from elbax import VAE
warnings.filterwarnings("ignore")
x = np.random.default_rng(0).normal(size=(20, 3))
model = VAE(max_iter=1).fit(x)
try:
    with joblib.parallel_config("multiprocessing", n_jobs=2):
        joblib.Parallel()(joblib.delayed(model.score)(x) for _ in range(2))
except RuntimeError as error:
    print("refused", "loky" in str(error))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=120, capture_output=True
    )
    assert done.stdout.decode().split() == ["refused", "True"]


def test_what_was_read_longest_ago_goes_first(tmp_path):
    for age, name in enumerate(["newest", "newer", "older", "oldest"]):
        path = tmp_path / name
        path.write_bytes(b"x" * 100)
        os.utime(path, (1e9 - age, 1e9 - age))
    environment.bound(tmp_path, 400)
    assert len(list(tmp_path.iterdir())) == 4
    environment.bound(tmp_path, 380)  # to three quarters of it, 285
    assert sorted(path.name for path in tmp_path.iterdir()) == ["newer", "newest"]
