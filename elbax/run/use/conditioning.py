"""Rows of a table drawn given some of their cells: ``--given age=40,smoker=yes``."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax
import numpy as np

from elbax.data import columns as one
from elbax.data import tables as data_tables
from elbax.data.errors import DataError
from elbax.evaluate import ConditionalDraws, conditional_draws
from elbax.run import labels
from elbax.util.words import hint, shown

if TYPE_CHECKING:
    import pyarrow as pa

    from elbax.data.columns import Category, Column
    from elbax.model.latent_variable_model import LatentVariableModel

Given = dict[str, "Category"]


def parse(text: str, columns: Sequence[Column]) -> Given:
    """``age=40,smoker=yes`` as values by column; a piece with a comma in it stands in quotes.

    Raises:
        DataError: A piece is not NAME=VALUE, a column is unknown or named twice, a value is none of
            its column, or no column is left to draw.
    """
    known = {column.name: column for column in columns}
    found: Given = {}
    for piece in next(csv.reader([text], skipinitialspace=True), []):
        name, equals, value = piece.partition("=")
        while equals and name.strip() not in known and "=" in value:  # a name with = in it
            more, _, value = value.partition("=")
            name = f"{name}={more}"
        name, value = name.strip(), value.strip()
        if not equals or not name or not value:
            raise DataError(
                f"given (--given) has {shown(repr(piece))}: give NAME=VALUE, separated by commas, "
                "as in age=40,smoker=yes"
            )
        if name not in known:
            listed = ", ".join(map(shown, list(known)[:8])) + (", …" if len(known) > 8 else "")
            raise DataError(
                f"given (--given) names {shown(repr(name))}, and the table has no such column"
                f"{hint(name, known)}: it has {listed}"
            )
        if name in found:
            raise DataError(f"given (--given) names {shown(repr(name))} twice")
        found[name] = one.parse(known[name], value)
    if not found:
        raise DataError("given (--given) is empty: give NAME=VALUE, as in age=40,smoker=yes")
    if len(found) == len(columns):
        raise DataError("given (--given) names every column: nothing is left to draw")
    return found


def draw(
    model: LatentVariableModel,
    columns: Sequence[Column],
    given: Given,
    *,
    count: int,
    seed: int,
    proposals: int,
) -> tuple[pa.Table, ConditionalDraws]:
    """Rows with these cells as given and the others drawn from p(x_others | x_given).

    Args:
        model: A model trained on these columns.
        columns: What training knew of them.
        given: What `parse` gave.
        count: How many rows.
        seed: Of the draws.
        proposals: Latents proposed.

    Raises:
        ValueError: What is given is impossible under the model.
    """
    labels.refuse(model, "sample --given")
    row = np.full(len(columns), np.nan, np.float32)
    for i, column in enumerate(columns):
        if column.name in given:
            row[i] = one.number_of(column, given[column.name])
    found = conditional_draws(
        model, row, count=count, key=jax.random.key(seed), proposals=proposals
    )
    return _as_given(data_tables.decode(columns, found.x), columns, given), found


def in_words(columns: Sequence[Column], given: Given, found: ConditionalDraws) -> list[str]:
    """What the rows are drawn given, whether to trust them, and what is far outside."""
    verdict, effective = found.trust(), found.effective_sample_size
    why = {
        "yes": "",
        "doubtful": ": give more --proposals",
        "no": ": the rows repeat a few latents; what is given is rare, or unlike the training data "
        "(give more --proposals, or fewer cells)",
    }[verdict]
    known = {column.name: column for column in columns}
    written = {
        name: one.exactly(known[name], value, 1)[0].as_py()
        if known[name].kind not in one.CODED
        else value
        for name, value in given.items()
    }
    cells = ", ".join(f"{shown(name)}={shown(value)}" for name, value in written.items())
    row = [one.number_of(c, given[c.name]) if c.name in given else np.nan for c in columns]
    far = [f"note    {line}" for line in data_tables.far(columns, np.array([row]))]
    tail = "" if np.isnan(found.pareto_k) else f", Pareto k {found.pareto_k:.2f}"
    drawn = f"{effective:,.0f} effective of {found.proposals:,} proposed latents{tail}"
    return [*far, f"given {cells}: {drawn}; to be trusted: {verdict}{why}"]


def _as_given(table: pa.Table, columns: Sequence[Column], given: Given) -> pa.Table:
    """Numbers exactly as given: through float32 they would come back as nearly that."""
    for i, column in enumerate(columns):
        if column.name in given and column.kind not in one.CODED:
            cells = one.exactly(column, given[column.name], table.num_rows)
            table = table.set_column(i, column.name, cells)
    return table
