"""How likely each row is: log p(x) in nats, its errors, and the share of each column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np

from elbax.app import tables
from elbax.data import tables as data_tables
from elbax.evaluate import LogLikelihoodEstimate, mean, score

if TYPE_CHECKING:
    from elbax.data import Column
    from elbax.model.latent_variable_model import LatentVariableModel


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
    found = score(model, rows, key=jax.random.key(seed), samples=samples)
    elements, log_p = found.elements, found.estimate.log_likelihood
    if columns:
        elements = elements + np.array([column.log_jacobian for column in columns])
        log_p = log_p + data_tables.log_jacobian(columns, rows)
    return Scored(tuple(columns), log_p, elements, found.estimate)


def write(scored: Scored, out: Path) -> None:
    """Writes ``.csv`` or ``.parquet``, a row each, or ``.npz`` with all arrays."""
    from elbax.app import outputs

    plain = {
        "log_p": scored.log_p,
        "error": scored.estimate.monte_carlo_error,
        "effective_samples": scored.estimate.effective_sample_size,
    }
    if out.suffix.lower() == ".npz":
        arrays = {**plain, "kl": scored.kl, "elements": scored.elements}
        outputs.write_arrays(out, arrays, "log_p")
        return
    import pyarrow as pa

    cells = {**plain, "kl": scored.kl}
    if scored.columns:
        cells["masses"] = scored.shares(masses=True)
        cells["densities"] = scored.shares(masses=False)
    for i, column in enumerate(scored.columns):
        cells[f"log_p[{column.name}]"] = scored.elements[:, i]
    table = pa.table({name: pa.array(x, from_pandas=True) for name, x in cells.items()})
    tables.write_table(out, table)


def in_words(scored: Scored) -> list[str]:
    """The mean with its errors, masses and densities apart, and whether to trust it."""
    verdict, why = scored.estimate.trust()
    impossible = ~np.isfinite(scored.log_p)
    if impossible.any():
        first = int(np.argmax(impossible))
        counted = f"{impossible.sum():,} of {len(impossible):,} rows are beyond the range of floats"
        return [f"{counted}, the first in row {first:,} (counted from 0): their log_p is -inf"]
    total = mean(scored.log_p)
    draws = scored.estimate.mean_monte_carlo_error()
    lines = [
        f"mean log p {total.mean:.2f} ± {total.standard_error:.2f} nats a row (draws ± {draws:.3f})"
    ]
    if scored.columns:
        masses, densities = (np.mean(scored.shares(masses=which)) for which in (True, False))
        lines.append(
            f"  = {masses:.2f} of masses + {densities:.2f} of densities (in the table's own units) "
            f"- {np.mean(scored.kl):.2f} of KL"
        )
    lines.append(f"to be trusted: {verdict}: {why}")
    return lines
