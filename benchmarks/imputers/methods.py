"""The imputers, at their defaults but for what their names say."""

import warnings
from typing import Any

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - names IterativeImputer
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.linear_model import BayesianRidge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from elbax import VAEImputer

ELBAX, FIVE = "elbax", "elbax × 5"
RIVALS = ("mean", "kNN", "chained ridge", "forests")
# What each idea brings: the defaults without it, or with another.
_RELU = {"activation": "relu"}
IDEAS: dict[str, dict[str, Any]] = {
    "ReLU": {"options": _RELU},
    "ReLU × 5": {"n_estimators": 5, "options": _RELU},
    "ReLU, one draw": {"options": {**_RELU, "objective": "elbo"}},
    "ReLU, 2,000 steps": {"steps": 2000, "options": _RELU},
    "ReLU × 5, 2,000 steps": {"n_estimators": 5, "steps": 2000, "options": _RELU},
}
NAMES = (*RIVALS, ELBAX, FIVE, *IDEAS)


def imputer(name: str, rows: int, seed: int) -> Any:
    """One of `NAMES`, for a table of so many rows."""
    if name in RIVALS:
        return _rival(name, seed)
    settings = {FIVE: {"n_estimators": 5}, **IDEAS}.get(name, {})
    options, steps = dict(settings.get("options", {})), settings.get("steps")
    more: dict[str, Any] = {"n_estimators": 1}
    more |= {k: v for k, v in settings.items() if k not in ("options", "steps")}
    if steps is not None:  # of batches of 64, at a rate that falls along a cosine
        batch = min(64, rows)
        options |= {"learning_rate_schedule": "cosine"}
        epochs = max(1, round(steps / (rows // batch)))
        more |= {"early_stopping": False, "batch_size": batch, "max_iter": epochs}
    return VAEImputer(likelihood="normal", random_state=seed, options=options, **more)


def fill(imputer: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """The table filled by an imputer that is fitted to it; and where 90 % intervals lie, (2, n, d).

    None where it gives no intervals.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # as many rounds as its default has
        filled = imputer.fit_transform(x)
    model = imputer if isinstance(imputer, VAEImputer) else None
    return filled, None if model is None else np.stack(model.intervals(x))


def _rival(name: str, seed: int) -> Any:
    if name == "mean":
        return SimpleImputer(keep_empty_features=True)
    if name == "kNN":
        return _scaled(KNNImputer(keep_empty_features=True))
    forest = ExtraTreesRegressor(100, random_state=seed, n_jobs=-1)
    regression = BayesianRidge() if name == "chained ridge" else forest
    return _scaled(IterativeImputer(regression, random_state=seed, keep_empty_features=True))


def _scaled(imputer: Any) -> Any:
    return _Scaled(make_pipeline(StandardScaler(), imputer))


class _Scaled:
    """An imputer of standardised columns, in the units of the table."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    def fit_transform(self, x: np.ndarray) -> np.ndarray:
        """The table filled."""
        filled = self._pipeline.fit_transform(x)
        return self._pipeline[0].inverse_transform(filled)
