"""How long an estimator takes to fill and to score a table, per row; compiling apart.

Run it as `.venv/bin/python -m benchmarks.impute [--rows N] [--columns D]`; nothing is recorded.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import elbax
from benchmarks import machine

_FIRST = 50  # rows of the first call, which compiles


def main() -> None:
    """Prints a line for each use: seconds of the first call, and milliseconds a row of the next."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.impute", description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--columns", type=int, default=20)
    asked = parser.parse_args()
    print(", ".join(f"{name} {value}" for name, value in machine.describe().items()))
    x = table(asked.rows, asked.columns)
    imputer = elbax.VAEImputer(max_iter=1, random_state=0).fit(x)
    vae = elbax.VAE(max_iter=1, random_state=0).fit(x)
    uses: dict[str, Callable[[np.ndarray], Any]] = {
        "VAEImputer.transform": imputer.transform,
        "VAEImputer.intervals": imputer.intervals,
        "VAE.transform": vae.transform,
        "VAE.score_samples": vae.score_samples,
    }
    for name, use in uses.items():
        first, _ = _timed(use, x[:_FIRST])
        wall, cpu = _timed(use, x)
        print(
            f"{name}: first call of {_FIRST} rows {first:.1f} s; {asked.rows:,} rows {wall:.1f} s, "
            f"{1000 * wall / asked.rows:.2f} ms a row ({1000 * cpu / asked.rows:.2f} of CPU)",
            flush=True,
        )


def table(rows: int, columns: int) -> np.ndarray:
    """Normal numbers of a few factors, 30 % of the cells missing completely at random."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 4)) @ rng.normal(size=(4, columns))
    x += 0.3 * rng.normal(size=x.shape)
    x[rng.random(x.shape) < 0.3] = np.nan
    return x


def _timed(use: Callable[[np.ndarray], Any], x: np.ndarray) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    use(x)
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
