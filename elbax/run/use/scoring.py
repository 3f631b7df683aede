"""How likely each row is: log p(x) in nats, its errors, and the share of each column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from elbax.data import tables as data_tables
from elbax.evaluate import LogLikelihoodEstimate, mean, score
from elbax.run.use import tables
from elbax.util.keys import of_seed

if TYPE_CHECKING:
    import pyarrow as pa

    from elbax.data import Column
    from elbax.model.latent_variable_model import LatentVariableModel

_BY_KIND = {"masses": True, "densities": False}  # the sums of the shares by what they are


@dataclass(frozen=True)
class Scored:
    """Rows with log p(x) in nats; of a table, in its own units.

    Attributes:
        columns: What the columns are; none where the rows are of no table.
        log_p: Log p of the observed cells of each row, (n,).
        elements: The share of each cell, NaN where it was not observed, (n, …): the expectation of
            log p(x_j|z) under p(z|x).
        estimate: The errors of log p, and KL(p(z|x) ‖ p(z)), which is taken off the shares' sum.
    """

    columns: tuple[Column, ...]
    log_p: np.ndarray
    elements: np.ndarray
    estimate: LogLikelihoodEstimate

    @property
    def kl(self) -> np.ndarray:
        """KL(p(z|x) ‖ p(z)): log p is the sum of the shares less it, (n,)."""
        assert self.estimate.kl_posterior_prior is not None
        return self.estimate.kl_posterior_prior

    def shares(self, *, masses: bool) -> np.ndarray:
        """The sum of the shares of the columns that have masses, or of those with densities."""
        chosen = data_tables.discrete(self.columns) == masses
        return np.nansum(self.elements[:, chosen], axis=1)


def score_rows(
    model: LatentVariableModel,
    rows: np.ndarray,
    columns: Sequence[Column] = (),
    *,
    samples: int,
    seed: int,
) -> Scored:
    """Scores rows as stored.

    Args:
        model: The model.
        rows: (n, …).
        columns: What the columns of a table are: densities are then those of its own units, the
            Jacobian of each column's scaling counted.
        samples: Draws of the latents for each row.
        seed: Of the draws.

    Raises:
        ValueError: The model has no importance weights.
    """
    found = score(model, rows, key=of_seed(seed, "score"), samples=samples)
    return Scored(tuple(columns), found.estimate.log_likelihood, found.elements, found.estimate)


def write(scored: Scored, out: Path) -> None:
    """Writes ``.csv`` or ``.parquet``, a row each, or ``.npz`` with all arrays."""
    from elbax.run.use import outputs

    if out.suffix.lower() == ".npz":
        arrays = {name: x for name, x in totals(scored).items() if name not in _BY_KIND}
        outputs.write_arrays(out, {**arrays, "elements": scored.elements}, "log_p")
        return
    tables.write_table(out, to_table(scored))


def totals(scored: Scored) -> dict[str, np.ndarray]:
    """What is said of each row, the shares of its columns apart, (n,) each, by name."""
    found = {
        "log_p": scored.log_p,
        "error": scored.estimate.monte_carlo_error,
        "effective_samples": scored.estimate.effective_sample_size,
        "kl": scored.kl,
    }
    if scored.columns:
        found |= {name: scored.shares(masses=masses) for name, masses in _BY_KIND.items()}
    return found


def to_table(scored: Scored) -> pa.Table:
    """A row for each: the totals, and of a table's columns the shares as ``log_p[NAME]``."""
    import pyarrow as pa

    cells = totals(scored)
    for i, column in enumerate(scored.columns):
        cells[f"log_p[{column.name}]"] = scored.elements[:, i]
    return pa.table({name: pa.array(x, from_pandas=True) for name, x in cells.items()})


def summary(scored: Scored) -> dict[str, Any]:
    """The means over the rows, with their errors, as plain data; None where they are not finite."""
    verdict, why = scored.estimate.trust()
    found: dict[str, Any] = {"rows": len(scored.log_p), "log_p": None}
    impossible = ~np.isfinite(scored.log_p)
    found["beyond_floats"] = int(impossible.sum())
    if not impossible.any():
        total, draws = mean(scored.log_p), scored.estimate.mean_monte_carlo_error()
        found |= {
            "log_p": total.mean,
            "standard_error": total.standard_error if len(scored.log_p) > 1 else None,
            "monte_carlo_error": draws if np.isfinite(draws) else None,  # below ten draws
            "kl": float(np.mean(scored.kl)),
        }
        if scored.columns:
            found["masses"] = float(np.mean(scored.shares(masses=True)))
            found["densities"] = float(np.mean(scored.shares(masses=False)))
    return found | {"samples": scored.estimate.samples, "trust": verdict, "trust_why": why}


def in_words(scored: Scored) -> list[str]:
    """The mean with its errors, masses and densities apart, and whether to trust it."""
    found = summary(scored)
    if found["log_p"] is None:
        first = int(np.argmax(~np.isfinite(scored.log_p)))
        counted = f"{found['beyond_floats']:,} of {found['rows']:,} rows"
        return [
            f"{counted} are beyond the range of floats, the first in row {first:,} (from 0): -inf"
        ]
    error = "" if found["standard_error"] is None else f" ± {found['standard_error']:.2f}"
    draws = found["monte_carlo_error"]
    by_draws = "" if draws is None else f" (draws ± {draws:.3f})"
    lines = [f"mean log p {found['log_p']:.2f}{error} nats a row{by_draws}"]
    if scored.columns:
        lines.append(
            f"  = {found['masses']:.2f} of masses + {found['densities']:.2f} of densities (in the "
            f"table's own units) - {found['kl']:.2f} of KL"
        )
    lines.append(f"to be trusted: {found['trust']}: {found['trust_why']}")
    return lines
