"""What scikit-learn has for the same three tasks, with settings chosen by the validation rows."""

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - names IterativeImputer
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity, LocalOutlierFactor

from benchmarks.tables.sets import Rows

_REGULARISATION = (1e-6, 1e-3, 1e-2, 0.1)
_COMPONENTS = (2, 5, 10)
_BANDWIDTHS = np.geomspace(0.05, 5.0, 25)


def imputers(seed: int) -> dict[str, Any]:
    """Mean, nearest neighbours, and the iterative imputer, at scikit-learn's defaults."""
    return {
        "mean": SimpleImputer(keep_empty_features=True),
        "KNNImputer": KNNImputer(keep_empty_features=True),
        "IterativeImputer": IterativeImputer(random_state=seed, keep_empty_features=True),
    }


def impute(imputer: Any, rows: Rows) -> np.ndarray:
    """The test rows with their missing cells filled."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # as many rounds as its default has
        return imputer.fit(rows.fitting).transform(rows.test)


def densities(seed: int) -> dict[str, Callable[[Rows], np.ndarray]]:
    """Log p of each test row, in nats, by models whose settings the validation rows choose."""
    gaussians = [GaussianMixture(1, reg_covar=r, random_state=seed) for r in _REGULARISATION]
    mixtures = [
        GaussianMixture(k, reg_covar=r, random_state=seed)
        for k, r in itertools.product(_COMPONENTS, _REGULARISATION)
    ]
    kernels = [KernelDensity(bandwidth=float(b)) for b in _BANDWIDTHS]
    return {
        "Gaussian": lambda rows: _chosen(gaussians, rows),
        "Gaussian mixture": lambda rows: _chosen(mixtures, rows),
        "kernel density": lambda rows: _chosen(kernels, rows),
    }


def _chosen(models: list[Any], rows: Rows) -> np.ndarray:
    """The best of the models by the validation rows, fitted anew to these too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitting = [m for m in models if getattr(m, "n_components", 1) <= len(rows.train)]
        best = max(fitting, key=lambda m: m.fit(rows.train).score_samples(rows.validation).mean())
        return best.fit(rows.fitting).score_samples(rows.test)


def detectors(seed: int) -> dict[str, Any]:
    """Isolation forest and local outlier factor, at scikit-learn's defaults."""
    return {
        "isolation forest": IsolationForest(random_state=seed),
        "local outlier factor": LocalOutlierFactor(novelty=True),
    }
