"""Each composition computed by elbax in float32, and in float64 by NumPy alone."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from elbax import evaluate
from elbax.model import save_model
from tests.campaign import forward
from tests.campaign.compositions import COMPOSITIONS, made, noise
from tests.campaign.trials import FAILED, SAME, Trial

ROWS, DRAWS, BOUND_DRAWS = 8, 50, 10
# A sum of some hundred rounded terms: 100 units in the last place of the largest of 1 and the
# number itself (most agree to three).
TOLERANCE = 100 * float(np.finfo(np.float32).eps)


def trials(chance: random.Random, folder: Path) -> Iterator[Trial]:
    """Four numbers of each composition, of rows with missing cells."""
    for name, composition in COMPOSITIONS.items():
        seed = chance.randrange(2**31)
        model, x = made(composition, seed, ROWS)
        pairs = compared(model, x, jax.random.key(seed), folder / "model.safetensors")
        for quantity, (ours, theirs) in pairs.items():
            off = np.abs(ours - theirs) / np.maximum(1.0, np.abs(theirs))
            same = np.array_equal(np.isnan(ours), np.isnan(theirs)) and np.nanmax(off) <= TOLERANCE
            detail = f"seed {seed}: {np.nanmax(off):.2g} of it apart"
            yield Trial(f"{quantity} in float64", name, SAME if same else FAILED, detail)


def compared(
    model: Any, x: np.ndarray, key: Any, path: Path
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The numbers of each row by elbax, and by NumPy."""
    save_model(path, model)
    again, rows = forward.read(path), x.astype(np.float64)
    drawn = {
        use: noise(model, key, len(x), count, use)
        for use, count in (("bound", BOUND_DRAWS), ("importance", DRAWS), ("imputation", DRAWS))
    }

    def by_numpy(function: Any, use: str) -> np.ndarray:
        pairs = zip(rows, drawn[use], strict=True)
        return np.array([function(again, row, own) for row, own in pairs])

    many = {"key": key, "samples": DRAWS}
    shares = evaluate.score(model, x, tails=False, **many).elements
    of_shares = by_numpy(forward.shares, "importance")
    if again.decoder.likelihood.module in ("LowRankNormal", "Mixed"):
        # Of linked elements the sum alone is a density.
        shares, of_shares = np.nansum(shares, axis=1), np.nansum(of_shares, axis=1)
    return {
        "bound": (
            evaluate.elbo(model, x, key=key, samples=BOUND_DRAWS).elbo,
            by_numpy(forward.bound, "bound"),
        ),
        "log p": (
            evaluate.importance(model, x, **many).log_likelihood,
            by_numpy(forward.log_evidence, "importance"),
        ),
        "score": (shares, of_shares),
        "imputation": (
            evaluate.impute_means(model, x, **many).value,
            by_numpy(forward.filled, "imputation"),
        ),
    }
