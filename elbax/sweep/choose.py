"""How many latents are enough: the fewest that are as good as the best, within its error."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from elbax.evaluate import mean
from elbax.report.comparison import Comparison
from elbax.util.words import plus_minus


@dataclass(frozen=True)
class Behind:
    """How far one number of latents is behind the best, in nats per datum.

    Attributes:
        latents: The number.
        mean: log p of validation rows by importance sampling, averaged over rows and seeds.
        difference: How much less that is than of the best.
        error: Its standard error.
        runs: The runs that it is of.
    """

    latents: int
    mean: float
    difference: float
    error: float
    runs: tuple[str, ...]


@dataclass(frozen=True)
class Choice:
    """A number of latents, and why.

    Attributes:
        latents: The number.
        best: That with the highest log p.
        tried: All, from the fewest on.
    """

    latents: int
    best: int
    tried: tuple[Behind, ...]

    def in_words(self) -> list[str]:
        """Why, in a line for each number."""
        found = {one.latents: one for one in self.tried}
        best = found[self.best]
        why = (
            f"latent_dim {self.latents}: the fewest whose log p of validation rows is within one "
            f"standard error of the best, that of {self.best} ({best.mean:.2f} nats)"
        )
        lines = [why]
        for one in self.tried:
            behind = "the best"
            if one.latents != self.best:
                behind = f"{plus_minus(one.difference, one.error, 2)} nats behind"
            lines.append(f"  {one.latents:>4} latents: {behind}")
        return lines

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        tried = [
            {
                "latent_dim": one.latents,
                "log_likelihood": one.mean,
                "behind": one.difference,
                "standard_error": one.error,
                "runs": list(one.runs),
            }
            for one in self.tried
        ]
        return {"latent_dim": self.latents, "best": self.best, "tried": tried}


def latents(found: Comparison) -> Choice:
    """The fewest latents within one standard error of the best (Breiman et al. 1984, §3.4.3).

    Runs are compared on the same rows with the same noise, so that the error is that of the paired
    difference: over the rows, and where there are several seeds, over these besides. Where other
    options vary too, each number of latents is judged by its best setting of them.

    Args:
        found: All runs measured on validation rows.
    """
    settings: dict[int, dict[str, list[Any]]] = {}
    for run in found.runs:
        dim = int(run.settings["model.latent_dim"])
        rest = {k: v for k, v in run.settings.items() if k not in ("model.latent_dim", "run.seed")}
        settings.setdefault(dim, {}).setdefault(repr(sorted(rest.items())), []).append(run)
    best_of: dict[int, tuple[np.ndarray, Sequence[str]]] = {}
    for dim, groups in settings.items():
        rows = {
            key: np.stack([run.per_row["log_likelihood"] for run in runs])
            for key, runs in groups.items()
        }
        top = max(rows, key=lambda key: float(rows[key].mean()))
        best_of[dim] = rows[top], [run.name for run in groups[top]]
    return fewest(best_of)


def fewest(per_row: Mapping[int, tuple[np.ndarray, Sequence[str]]]) -> Choice:
    """The choice, from log p by number of latents: (seeds, rows), and the runs' names."""
    best = max(per_row, key=lambda dim: float(per_row[dim][0].mean()))
    top = per_row[best][0]
    tried = []
    for dim in sorted(per_row):
        own, names = per_row[dim]
        over_rows = mean(top.mean(axis=0) - own.mean(axis=0))
        variance = over_rows.standard_error**2 if dim != best else 0.0
        if dim != best:
            variance += sum(_over_seeds(one) for one in (top, own))
        error = math.sqrt(variance)
        tried.append(Behind(dim, float(own.mean()), over_rows.mean, error, tuple(names)))
    enough = min(one.latents for one in tried if one.difference <= one.error or one.latents == best)
    return Choice(enough, best, tuple(tried))


def _over_seeds(rows: np.ndarray) -> float:
    """The variance of an average over seeds; 0 of one seed, which cannot tell."""
    means = rows.mean(axis=1)
    return float(means.var(ddof=1) / len(means)) if len(means) > 1 else 0.0
