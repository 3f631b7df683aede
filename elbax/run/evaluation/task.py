"""What is measured, and on what; and its numbers as JSON has them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from elbax.evaluate import Mean
from elbax.evaluate.tiles import Rows
from elbax.run.folder import SCHEMA
from elbax.run.run import Run
from elbax.util.keys import evaluation_key

PROBE_ROWS = 10_000  # training rows that probes, neighbours and classifiers see


@dataclass(frozen=True)
class Task:
    """What is measured, and on what.

    Attributes:
        run: The model and its data.
        split: Which rows they are.
        rows: The rows as stored, already limited.
        labels: Their labels, where there are any.
        seed: Of every draw.
        samples: Draws a row, chains, or None for each estimator's own default.
        features: The feature space of `samples`; None for the default.
    """

    run: Run
    split: str
    rows: Rows
    labels: np.ndarray | None
    seed: int
    samples: int | None = None
    features: str | None = None

    @property
    def key(self) -> Any:
        """The randomness of evaluation, the same as after training."""
        return evaluation_key(self.seed)

    def head(self, estimator: str) -> dict[str, Any]:
        """What every object begins with."""
        return {
            "schema": SCHEMA,
            "run": str(self.run.path),
            "estimator": estimator,
            "data": self.run.dataset.name,
            "split": self.split,
            "binarize": self.run.binarize,
            "count": len(self.rows),
            "seed": self.seed,
        }


def plain(value: Mean) -> dict[str, float | None]:
    """An average for JSON, which has no NaN."""
    return {"mean": number(value.mean), "standard_error": number(value.standard_error)}


def number(value: float | np.floating[Any]) -> float | None:
    """A number for JSON: None where it is not finite."""
    return float(value) if math.isfinite(value) else None
