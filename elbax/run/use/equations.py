"""What observed cells of columns that follow from others say of those others' missing cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np

from elbax.data import constraints
from elbax.data.columns import CODED
from elbax.evaluate.equations import Equations

if TYPE_CHECKING:
    from elbax.data import Column
    from elbax.data.tables import Rows


def of_rows(columns: Sequence[Column], rows: Rows) -> Equations | None:
    """The equations of each row, in the numbers that are modelled; None where there are none.

    A column that follows from others is a sum of these and of its modelled distance. Where it was
    observed and one of the others was not, the sum is known and its terms are not.

    Args:
        columns: What training knew of the columns.
        rows: The rows.
    """
    related = [column for column in columns if column.relation is not None]
    if not related:
        return None
    n, d = rows.x.shape
    places = {column.name: i for i, column in enumerate(columns)}
    known = {name: np.array(numbers) for name, numbers in rows.own.items()}
    list(constraints.deduce(columns, known))

    def form(column: Column, *, of: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """The column as a linear form of modelled numbers, or where it is known as a constant."""
        i, relation = places[column.name], column.relation
        weights, constant = np.zeros((n, d)), np.zeros(n)
        if column.kind == "constant":
            constant += float(column.categories[0]) * (relation.slack if relation else 1.0)
        else:
            size = relation.slack if relation else 1.0
            weights[:, i] = np.nan if column.kind in CODED else size * column.scale
            constant += size * column.shift
        if relation is not None:
            constant += relation.constant
            for factor, name in relation.terms:
                w, c = form(columns[places[name]])
                weights += factor * w
                constant += factor * c
        if of:
            return weights, constant
        seen = ~np.isnan(known[column.name])
        return (
            np.where(seen[:, None], 0.0, weights),
            np.where(seen, known[column.name], constant),
        )

    unknown = np.isnan(rows.x) & ~np.array([column.discrete for column in columns])
    coefficients, totals, pivots = [], [], []
    for column in related:
        weights, constant = form(column, of=True)
        total = known[column.name] - constant
        usable = ~np.isnan(weights).any(axis=1) & ~np.isnan(total) & np.isnan(rows.x).any(axis=1)
        size = np.where(unknown, np.abs(np.nan_to_num(weights)), 0.0)
        pivot = size.argmax(axis=1)
        width = size[np.arange(n), pivot]
        usable &= width > 0
        unknown[usable, pivot[usable]] = False
        scale = np.where(usable, width, 1.0)
        coefficients.append(np.where(usable[:, None], np.nan_to_num(weights) / scale[:, None], 1.0))
        totals.append(np.where(usable, total / scale, np.nan))
        pivots.append(pivot)
    if np.isnan(totals).all():
        return None
    return Equations(
        jnp.asarray(np.stack(coefficients, axis=1), jnp.float32),
        jnp.asarray(np.stack(totals, axis=1), jnp.float32),
        jnp.asarray(np.stack(pivots, axis=1), jnp.int32),
    )
