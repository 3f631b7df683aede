"""The imputers that the authors compare with, by scikit-learn."""

import warnings
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - names IterativeImputer
from sklearn.impute import IterativeImputer, SimpleImputer

from benchmarks.missing.sets import Holed

_TREES = 100


def imputers(seed: int) -> dict[str, Any]:
    """The mean; MICE and missForest as the demonstration makes them."""
    forest = RandomForestRegressor(_TREES, random_state=seed, n_jobs=-1)
    return {
        "mean": SimpleImputer(),
        "MICE": IterativeImputer(max_iter=100, random_state=seed),
        "missForest": IterativeImputer(forest, random_state=seed),
    }


def impute(imputer: Any, rows: Holed) -> np.ndarray:
    """The rows with their hidden cells filled."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # as many rounds as theirs
        return imputer.fit_transform(rows.seen)
