"""The table of the runs' tests."""

import numpy as np
import pandas as pd

FAST = ["--hidden", "8", "--iterations", 40, "--validate-every", 20]


def frame(n: int = 120, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    return pd.DataFrame(
        {
            "height": 170 + 10 * z + rng.normal(size=n),
            "kids": rng.poisson(np.exp(0.5 * z + 1)),
            "smoker": z + rng.normal(size=n) > 0,
            "city": np.array(["Ulm", "Bern", "Graz"])[np.digitize(z, [-0.5, 0.5])],
        }
    )


def holed(n: int = 120) -> pd.DataFrame:
    full = frame(n)
    holes = np.random.default_rng(1).random(full.shape) < 0.2
    return full.astype(object).mask(holes)
