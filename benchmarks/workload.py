"""The work that every rival does: the network, the optimiser, the data. Nothing but numpy here."""

import gzip
import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np

PIXELS = 784
HIDDEN = (512, 384, 256)
LATENT = 10
BATCH = 100
LEARNING_RATE = 1e-3
ROWS = 55_000
SEED = 0

ENCODER = (PIXELS, *HIDDEN, 2 * LATENT)
DECODER = (LATENT, *HIDDEN[::-1], PIXELS)


def layers(sizes: tuple[int, ...]) -> list[tuple[int, int]]:
    """Inputs and outputs of each layer."""
    return list(itertools.pairwise(sizes))


def flops_per_step() -> int:
    """Six per multiply-add and row: two forward, four backward."""
    multiply_adds = sum(a * b for sizes in (ENCODER, DECODER) for a, b in layers(sizes))
    return 6 * multiply_adds * BATCH


def images() -> tuple[np.ndarray, str]:
    """The training images as bytes, `(55000, 784)`, and one line on where they are from."""
    folder = os.environ.get("ELBAX_DATA_DIR")
    if folder:
        for name in ("train-images-idx3-ubyte.gz", "train-images-idx3-ubyte"):
            path = Path(folder) / "mnist" / name
            if path.exists():
                packed = path.read_bytes()
                raw = gzip.decompress(packed) if name.endswith(".gz") else packed
                pixels = np.frombuffer(raw, np.uint8, offset=16).reshape(-1, PIXELS)
                return pixels[:ROWS].copy(), "MNIST, the first 55,000 training images"
    pixels = np.random.default_rng(SEED).integers(0, 256, (ROWS, PIXELS), dtype=np.uint8)
    return pixels, "random bytes of MNIST's shape (ELBAX_DATA_DIR is not set)"


def facts() -> dict[str, Any]:
    """The workload, for the record."""
    return {
        "network": "784-512-384-256-10 and back, ReLU",
        "optimizer": f"Adam {LEARNING_RATE}",
        "batch": BATCH,
        "rows": ROWS,
        "objective": "Bernoulli cross-entropy + closed-form KL, one sample",
        "flops_per_step": flops_per_step(),
        "seed": SEED,
        "data": images()[1],
    }
