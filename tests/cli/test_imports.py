"""Each command imports what it uses: a picture of reconstructions waits for no scikit-learn."""

import json
import subprocess
import sys

import numpy as np

ALL = {
    "arviz_base", "arviz_stats", "blackjax", "fastapi", "flowjax", "huggingface_hub", "jax",
    "matplotlib", "mcp", "mlflow", "mlxtend", "numpyro", "optax", "orbax",
    "orjson", "pandas", "prometheus_client", "pyarrow", "pydantic", "rich",
    "scipy.stats", "shtab", "sklearn", "tensorboardX", "uvicorn", "xarray",
}  # fmt: skip

RUN = """
import json, sys
from elbax.cli.main import main

loaded = []
for words in json.loads(sys.argv[1]):
    assert main(words) == 0
    loaded.append([name for name in json.loads(sys.argv[2]) if name in sys.modules])
print(json.dumps(loaded))
"""


def loaded(*commands: list[str]) -> list[set[str]]:
    """Which heavy packages one process has imported after each of some commands."""
    words = [sys.executable, "-c", RUN, json.dumps(commands), json.dumps(sorted(ALL))]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return [set(names) for names in json.loads(done.stdout.splitlines()[-1])]


def test_a_command_imports_what_it_uses(tmp_path):
    draw = np.random.default_rng(0)
    label = np.repeat([0, 1], 30).astype(np.int64)
    images = draw.integers(0, 256, (60, 6, 6), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", x=images, y=label)
    run, out = str(tmp_path / "run"), ["--out", str(tmp_path / "out")]
    small = ["--iterations", "20", "--hidden", "8", "--latent-dim", "2", "--batch-size", "20"]
    data = str(tmp_path / "images.npz")
    training = ["train", data, *small, "--no-report", "--out", run]
    recipes, trained = loaded(["recipes"], training)
    assert recipes == set()
    assert trained == {"jax", "numpyro", "optax", "orbax"}

    learned, pictured, labelled, encoded = loaded(
        ["plot", run, "train_process", "normal", "reparam", *out],
        ["plot", run, "reconstruct", "generated", *out],
        ["plot", run, "top_infer", "top_label", "nearest", "active_units", *out],
        ["encode", run, "--out", str(tmp_path / "latents.csv")],
    )
    assert learned == {"matplotlib"}
    assert pictured == labelled == encoded == {"jax", "matplotlib", "numpyro"}
