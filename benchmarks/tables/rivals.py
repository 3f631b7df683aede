"""What scikit-learn has for the same three tasks, with settings chosen by the validation rows."""

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.stats import norm
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - names IterativeImputer
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity, LocalOutlierFactor

from benchmarks.tables.sets import Rows

_LEVEL = 0.9
_REGULARISATION = (1e-6, 1e-4, 1e-3, 1e-2, 0.03, 0.1, 0.3)
_COMPONENTS = (2, 3, 5, 10, 20)
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


def iterative_intervals(rows: Rows, seed: int, draws: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """The ends of a 90 % interval of each cell: the normal of several draws of the posterior."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        imputer = IterativeImputer(
            random_state=seed, sample_posterior=True, keep_empty_features=True
        ).fit(rows.fitting)
        drawn = np.stack([np.asarray(imputer.transform(rows.test)) for _ in range(draws)])
    half = norm.ppf(0.5 + _LEVEL / 2) * drawn.std(axis=0, ddof=1)
    return drawn.mean(axis=0) - half, drawn.mean(axis=0) + half


def densities(seed: int) -> dict[str, Callable[[Rows], np.ndarray]]:
    """Log p of each test row, in nats, by models whose settings the validation rows choose."""
    gaussians = [GaussianMixture(1, reg_covar=r, random_state=seed) for r in _REGULARISATION]
    mixtures = [
        GaussianMixture(k, reg_covar=r, n_init=3, random_state=seed)
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
