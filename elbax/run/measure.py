"""A model on some rows, in numbers: the bound with its uncertainty, and the latents in use."""

from __future__ import annotations

from typing import Any

import numpy as np

from elbax.data.source import Split
from elbax.evaluate import active_units, elbo, has_bound, mean, reconstruction, share
from elbax.evaluate.latents.usage import code_use
from elbax.evaluate.tiles import Conditioned, Rows
from elbax.model.compatibility import latent_kind
from elbax.model.latent_variable_model import ClassifyingEncoder, LatentVariableModel
from elbax.run import labels
from elbax.run.labels import conditioned
from elbax.util.keys import evaluation_key

_MANY = 10_000  # rows above which one draw a row is precise enough


def measure(
    model: LatentVariableModel,
    split: Split,
    seed: int,
    samples: int | None = None,
    limit: int | None = None,
) -> dict[str, Any] | None:
    """The bound on some rows with standard errors, in nats per datum; None where there are no rows.

    Of a model without a bound (its posterior is a point) it has the reconstruction alone. Of one
    conditioned on labels the bound is on log p(x|y), and says so (`given`); of one that classifies
    it is on log p(x), and what concerns labels stands apart (`labels`): the bound on log p(x, y),
    and how often q(y|x) is right.

    Args:
        model: The model.
        split: Data as stored, and their labels.
        seed: Of the draws z ~ q(z|x).
        samples: Draws a row; by default 10, and one where the rows are many.
        limit: The first so many rows; None takes all.
    """
    if len(split) == 0:
        return None
    classifies = isinstance(model.encoder, ClassifyingEncoder)
    rows = split.x[:limit] if classifies else conditioned(model, split)[:limit]
    if not has_bound(model):
        rebuilt = mean(reconstruction(model, rows, key=evaluation_key(seed)))
        error = {"reconstruction": _number(rebuilt.standard_error)}
        return {"reconstruction": rebuilt.mean, "standard_error": error}
    if samples is None:
        samples = default_samples(len(rows))
    estimate = elbo(model, rows, key=evaluation_key(seed), samples=samples)
    means = estimate.means()
    errors = {name: _number(value.standard_error) for name, value in means.items()}
    found: dict[str, Any] = {name: value.mean for name, value in means.items()}
    found["standard_error"] = errors
    if isinstance(rows, Conditioned):
        found["given"] = "label"
    if classifies and split.label is not None:
        found["labels"] = _of_labels(model, split.x[:limit], split.label[:limit], seed, samples)
    return found


def rehearse(model: LatentVariableModel, split: Split, seed: int) -> None:
    """Compiles what `measure` and `count_active` compute with, on the first rows."""
    if has_bound(model):
        measure(model, split, seed, samples=1, limit=1)
    count_active(model, conditioned(model, split)[:2])


def _of_labels(
    model: LatentVariableModel, x: np.ndarray, label: np.ndarray, seed: int, samples: int
) -> dict[str, Any]:
    """The bound on log p(x, y), y uniform, and the share of rows that q(y|x) classifies rightly."""
    rows = Conditioned(x, labels.one_hot(label, model.condition_dim))
    given = elbo(model, rows, key=evaluation_key(seed), samples=samples).elbo
    bound = mean(given - np.log(model.condition_dim))
    right = share(labels.predicted(model, x) == label)
    return {
        "bound": bound.mean,
        "accuracy": right.mean,
        "standard_error": {
            "bound": _number(bound.standard_error),
            "accuracy": _number(right.standard_error),
        },
    }


def count_active(model: LatentVariableModel, rows: Rows) -> int | None:
    """How many latents are active on some rows; None where that is not defined."""
    try:
        return int(active_units(model, rows).sum())
    except ValueError:  # discrete latents, or no mean: `elbax evaluate` says which
        return None


def codes_in_use(model: LatentVariableModel, rows: Rows, seed: int) -> dict[str, Any] | None:
    """How a model uses its codes on some rows, level by level; None where it has none."""
    if latent_kind(model) != "codes":
        return None
    use = code_use(model, rows, key=evaluation_key(seed))
    return {
        "codes": int(use.counts.shape[1]),
        "chosen": int(use.counts[0].sum()),
        "used": use.used.tolist(),
        "perplexity": [float(value) for value in use.perplexity],
    }


def default_samples(rows: int) -> int:
    """Draws z ~ q(z|x) a row for the bound: 10, and one where the rows are many."""
    return 1 if rows > _MANY else 10


def _number(value: float) -> float | None:
    """NaN as None, for JSON has no NaN."""
    return float(value) if np.isfinite(value) else None
