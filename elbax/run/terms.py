"""The terms of a loss that is no bound, by names that people read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

_OF_LABELLED = ("labelled_bound", "classification", "correct")


def readable(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The terms of an objective by their names in words, without the loss itself.

    What `elbax.model.SemiSupervised` sums over the rows with a label, or without one, is
    divided by their share; it is NaN where there was none.

    Args:
        metrics: Numbers or arrays by the objective's own names.
    """
    from elbax.evaluate.quantities import TERMS

    share = metrics.get("labelled")
    return {
        TERMS.get(name, name.replace("_", " ")): _per_row(name, value, share)
        for name, value in metrics.items()
        if name not in ("step", "loss", "elbo", "labelled")
    }


def _per_row(name: str, value: Any, share: Any) -> Any:
    if share is not None and name in _OF_LABELLED:
        return _divided(value, share)
    if share is not None and name == "unlabelled_bound":
        return _divided(value, 1.0 - np.asarray(share))
    return value


def _divided(value: Any, share: Any) -> Any:
    share = np.asarray(share, np.float64)
    found = np.divide(value, share, out=np.full(share.shape, np.nan), where=share > 1e-6)
    return float(found) if found.ndim == 0 else found
