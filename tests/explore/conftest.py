"""A run on a table of every kind of columns, for the page's tests."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.command import called
from tests.run.tables import FAST

KINDS = "torque=student-t,share=continuous-bernoulli,grade=ordinal,visits=poisson"


def frame(n: int = 160) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    z = rng.normal(size=n)
    return pd.DataFrame(
        {
            "height": np.round(170 + 10 * z + rng.normal(size=n), 1),
            "weight": np.round(70 + 9 * z + 3 * rng.normal(size=n), 1),
            "torque": z + rng.standard_t(4, size=n),
            "size": np.exp(z + rng.normal(size=n)),
            "share": np.round(1 / (1 + np.exp(-z + rng.normal(size=n))), 3),
            "kids": rng.negative_binomial(2, 0.2 + 0.1 * (z > 0), size=n),
            "visits": rng.poisson(np.exp(0.5 * z + 1)),
            "born": [f"{day:%Y-%m-%d}" for day in pd.Timestamp("1980-03-01") + pd.to_timedelta(
                np.rint(900 * z + 300 * rng.normal(size=n)), "D"
            )],
            "price": [f"${1000 * np.exp(2 + 0.3 * a):,.2f}" for a in z],
            "smoker": z + rng.normal(size=n) > 0,
            "city": np.array(["Ulm", "Bern </script>", "Graz"])[np.digitize(z, [-0.5, 0.5])],
            "grade": np.digitize(z + 0.5 * rng.normal(size=n), [-1, 0, 1]),
        }
    )  # fmt: skip


@pytest.fixture(scope="session")
def table_run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("explored")
    table = frame()
    holes = np.random.default_rng(1).random(table.shape) < 0.1
    table.astype(object).mask(holes).to_csv(folder / "people.csv", index=False)
    kinds = ["--columns", KINDS]
    called("train", folder / "people.csv", *FAST, *kinds, "--no-report", "--out", folder / "run")
    return folder / "run"
