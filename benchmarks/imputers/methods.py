"""The imputers, at their defaults but for what their names say."""

import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - names IterativeImputer
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.linear_model import BayesianRidge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.imputers import sets
from elbax import VAEImputer

_DRAWS = 100  # of completed tables, that elbax is judged by
ELBAX = "elbax"
RIVALS = ("mean", "kNN", "chained ridge", "forests", "miceforest")
# What each idea brings: the defaults without it, or with another.
_PLAIN, _ONE = {"links": 0}, {"n_estimators": 1}
_RELU = {"options": {**_PLAIN, "activation": "relu"}}
IDEAS: dict[str, dict[str, Any]] = {
    "one model": _ONE,
    "no links": {"options": _PLAIN},
    "no links, one model": {"options": _PLAIN, **_ONE},
    "ReLU": _RELU,
    "ReLU, one model": {**_RELU, **_ONE},
    "ReLU, one model, one draw": {"options": {**_RELU["options"], "objective": "elbo"}, **_ONE},
    "ReLU, 2,000 steps": {**_RELU, "steps": 2000},
    "ReLU, one model, 2,000 steps": {**_RELU, **_ONE, "steps": 2000},
}
NAMES = (*RIVALS, ELBAX, *IDEAS)


def _imputer(name: str, rows: int, seed: int) -> Any:
    if name in RIVALS:
        return _rival(name, seed)
    settings = IDEAS.get(name, {})
    options, steps = dict(settings.get("options", {})), settings.get("steps")
    more: dict[str, Any] = {k: v for k, v in settings.items() if k not in ("options", "steps")}
    if steps is not None:  # of batches of 64, at a rate that falls along a cosine
        batch = min(64, rows)
        options |= {"learning_rate_schedule": "cosine"}
        epochs = max(1, round(steps / (rows // batch)))
        more |= {"early_stopping": False, "batch_size": batch, "max_iter": epochs}
    return VAEImputer(likelihood="normal", random_state=seed, options=options, **more)


class Filled(NamedTuple):
    """What became of a table with holes.

    Attributes:
        value: (n, d), filled.
        ends: (2, n, d) of 90 % intervals; None where there are none.
        draws: (m, n, d) completed tables; None where there are none.
        seconds: Of the wall, and "cpu" of the processor: fitting, filling and intervals.
    """

    value: np.ndarray
    ends: np.ndarray | None
    draws: np.ndarray | None
    seconds: dict[str, float]


def fill(name: str, x: np.ndarray, seed: int, venv: Path | None) -> Filled:
    """The table filled by one of `NAMES`, fitted to it.

    Args:
        name: The method.
        x: (n, d), NaN where a cell is hidden.
        seed: Of what the method draws.
        venv: The one of requirements.txt, where miceforest is.
    """
    if name == "miceforest":
        draws, said = sets.foreign(_given(venv), "fill", str(seed), x=x)
        seconds = {key: said[key] for key in ("seconds", "cpu")}
        return Filled(draws.mean(axis=0), None, draws, seconds)
    imputer = _imputer(name, len(x), seed)
    ends = draws = None
    started, cpu = time.monotonic(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # as many rounds as its default has
        value = imputer.fit_transform(x)
    if isinstance(imputer, VAEImputer):
        ends = np.stack(imputer.intervals(x))
    seconds = {"seconds": time.monotonic() - started, "cpu": time.process_time() - cpu}
    if isinstance(imputer, VAEImputer):
        draws = np.stack(imputer.multiple(x, _DRAWS))
    return Filled(value, ends, draws, seconds)


def _given(venv: Path | None) -> Path:
    if venv is None:
        raise FileNotFoundError("miceforest is in the venv of requirements.txt: give --venv")
    return venv


def _rival(name: str, seed: int) -> Any:
    if name == "mean":
        return SimpleImputer(keep_empty_features=True)
    if name == "kNN":
        return _scaled(KNNImputer(keep_empty_features=True))
    forest = ExtraTreesRegressor(100, random_state=seed)
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
