"""python -m benchmarks.imputers.published: the very cells that MIWAE's authors hid.

Their notebooks (github.com/pamattei/miwae) standardise a whole table, hide half of its cells by a
fixed seed, fit to the rest and print the mean squared error over what was hidden.
"""

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks import machine
from benchmarks.imputers import sets

RESULTS = Path(__file__).resolve().parent / "results" / "published"


@dataclasses.dataclass(frozen=True)
class Target:
    """A published figure.

    Attributes:
        table: One of `sets.NAMES`.
        mse: Of the hidden cells, in the table's own variances, the best that is printed.
        what: Which model of the notebooks it is.
        columns: How many of the table's columns, from the first, theirs has.
    """

    table: str
    mse: float
    what: str
    columns: int


TARGETS = (
    Target("iris", 0.403, "MIWAE, one latent", 4),
    Target("boston", 0.492, "MIWAE, 601 epochs", 13),  # without the price
    Target("breast_cancer", 0.2867, "MIWAE, 10 latents", 30),
)


def main() -> int:
    """Measures what is not recorded yet."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.imputers.published",
        description="The cells that MIWAE's notebooks hide, filled. What is recorded in "
        "benchmarks/imputers/results/published is not measured again.",
    )
    parser.add_argument("--venv", type=Path, help="the one of requirements.txt")
    parser.add_argument("--seeds", type=int, default=3, help="of the model (default: 3)")
    parser.add_argument("--table", nargs="+", default=[target.table for target in TARGETS])
    arguments = parser.parse_args()
    from elbax.util import environment, files

    environment.prepare()
    RESULTS.mkdir(parents=True, exist_ok=True)
    described = machine.describe()
    for seed in range(arguments.seeds):
        for target in TARGETS:
            path = RESULTS / f"{target.table}-{seed}.json"
            if path.exists() or target.table not in arguments.table:
                continue
            x, gone = holed(target, arguments.venv)
            started = time.monotonic()
            mse = _mse(x, gone, seed)
            seconds = time.monotonic() - started
            found = {"table": target.table, "seed": seed, "mse": mse, "seconds": seconds}
            files.write_json(path, {**found, "machine": described})
            print(f"{target.table}, seed {seed}: {mse:.4f} ({target.what}: {target.mse})")
    return 0


def holed(target: Target, venv: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """The standardised table (n, d), and which half of its cells the notebooks hide."""
    x = sets.load(target.table, venv, most=None)[:, : target.columns]
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    gone = np.zeros(z.size, bool)
    drawn = np.random.RandomState(1234).choice(z.size, z.size // 2, replace=False)
    gone[drawn] = True
    return z, gone.reshape(z.shape)


def recorded() -> list[dict]:
    """All records."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))]


def _mse(x: np.ndarray, gone: np.ndarray, seed: int) -> float:
    from elbax import VAEImputer

    imputer = VAEImputer(likelihood="normal", n_estimators=5, random_state=seed)
    filled = imputer.fit_transform(np.where(gone, np.nan, x))
    return float(np.mean(np.square(filled - x)[gone]))


if __name__ == "__main__":
    sys.exit(main())
