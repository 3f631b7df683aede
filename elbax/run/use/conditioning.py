"""Rows of a table drawn given some of their cells: ``--given age=40,smoker=yes``."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jax
import numpy as np

from elbax.data import tables as data_tables
from elbax.data import typed
from elbax.data.columns import CODED
from elbax.data.errors import DataError
from elbax.data.formats.tables import Table
from elbax.evaluate import ConditionalDraws, conditional_draws
from elbax.run import labels
from elbax.run.use import equations
from elbax.util.keys import of_seed
from elbax.util.words import hint, shown

if TYPE_CHECKING:
    import pyarrow as pa

    from elbax.data.columns import Category, Column
    from elbax.model.latent_variable_model import LatentVariableModel


@dataclass(frozen=True)
class Within:
    """What a cell may be.

    Attributes:
        text: As it was asked for.
        low: The least number as it is modelled.
        high: The greatest.
        codes: Of a column of categories, those that it may be.
    """

    text: str
    low: float = -np.inf
    high: float = np.inf
    codes: tuple[float, ...] = ()

    def holds(self, cells: np.ndarray) -> np.ndarray:
        """Whether each modelled number is one of these."""
        if self.codes:
            return np.isin(cells, self.codes)
        return (self.low <= cells) & (cells <= self.high)


Given = dict[str, "Category | Within"]


def _pieces(text: str) -> list[str]:
    try:
        return next(csv.reader([text], skipinitialspace=True), [])
    except csv.Error as error:
        raise DataError(
            f"given (--given) cannot be read: {error}; give NAME=VALUE on one line, separated by "
            "commas, as in age=40,smoker=yes"
        ) from None


def parse(text: str, columns: Sequence[Column]) -> Given:
    """``age=40..50,kind=ash|elm,smoker=yes`` as values, ranges and sets by column.

    A piece with a comma in it stands in quotes; a range may lack an end.

    Raises:
        DataError: A piece is not NAME=VALUE, a column is unknown or named twice, a value is none of
            its column, or no column is left to draw.
    """
    known = {column.name: column for column in columns}
    found: Given = {}
    for piece in _pieces(text):
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
        found[name] = _value(known[name].own, value)
    if not found:
        raise DataError("given (--given) is empty: give NAME=VALUE, as in age=40,smoker=yes")
    if len(found) == len(columns) and not any(isinstance(v, Within) for v in found.values()):
        raise DataError("given (--given) names every column: nothing is left to draw")
    return found


def _value(column: Column, text: str) -> Category | Within:
    """A value, or what a cell may be.

    Raises:
        DataError: It is none of the column.
    """
    if column.kind in CODED:
        words = text.split("|")
        known = {str(category) for category in column.categories}
        if len(words) == 1 or text in known:
            return typed.parse(column, text)
        codes = (typed.number_of(column, typed.parse(column, word.strip())) for word in words)
        return Within(text, codes=tuple(codes))
    first, dots, last = text.partition("..")
    if not dots:
        return typed.parse(column, text)
    # Cells are written as multiples of the resolution: what is rounded into the range is within.
    reach = 0.499 * max(column.resolution, float(column.discrete)) / column.scale
    ends = [
        typed.number_of(column, typed.parse(column, end.strip())) if end.strip() else None
        for end in (first, last)
    ]
    low = -np.inf if ends[0] is None else ends[0] - reach
    high = np.inf if ends[1] is None else ends[1] + reach
    if low > high:
        what = f"{shown(column.name)}={shown(text)}"
        raise DataError(f"given (--given) has {what}, which ends below its beginning: swap them")
    return Within(text, low, high)


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
    rows = _given_row(columns, given)
    within = {name: value for name, value in given.items() if isinstance(value, Within)}

    def own(n: int) -> dict[str, np.ndarray]:
        return {name: np.repeat(cell, n) for name, cell in rows.own.items()}

    def accepts(x: np.ndarray) -> np.ndarray:
        cells = {column.name: x[:, i] for i, column in enumerate(columns)}
        written = data_tables.written(columns, x, own(len(x)))
        cells |= {c.name: written[c.name] for c in columns if c.relation is not None}
        return np.all([value.holds(cells[name]) for name, value in within.items()], axis=0)

    found_equations = equations.of_rows(columns, rows)
    found = conditional_draws(
        model,
        rows.x[0],
        count=count,
        key=of_seed(seed, "given"),
        proposals=proposals,
        accepts=accepts if within else None,
        equations=jax.tree.map(lambda a: a[0], found_equations),
    )
    made = data_tables.decode(columns, found.x, own(count))
    return _as_given(made, columns, given), found


def _given_row(columns: Sequence[Column], given: Given) -> data_tables.Rows:
    """One row, of which only the cells are known that are given by a value."""
    import pyarrow as pa

    cells: dict[str, pa.Array] = {}
    for column in columns:
        value = given.get(column.name)
        if value is None or isinstance(value, Within):
            cells[column.name] = pa.nulls(1)
        else:
            coded = column.own.kind in CODED
            cells[column.name] = pa.array([value]) if coded else typed.exactly(column.own, value, 1)
    return data_tables.encode(Table("given", "what is given (--given)", cells, 1), columns)


def in_words(columns: Sequence[Column], given: Given, found: ConditionalDraws) -> list[str]:
    """What the rows are drawn given, whether to trust them, and what is far outside."""
    verdict, effective = found.trust(), found.effective_sample_size
    why = {
        "yes": "",
        "doubtful": ": give more --proposals",
        "no": ": the rows repeat a few latents; what is given is rare, or unlike the training data "
        "(give more --proposals, or fewer cells)",
    }[verdict]
    known = {column.name: column.own for column in columns}
    written = {
        name: typed.exactly(known[name], value, 1)[0].as_py()
        if not isinstance(value, Within) and known[name].kind not in CODED
        else value.text
        if isinstance(value, Within)
        else value
        for name, value in given.items()
    }
    cells = ", ".join(f"{shown(name)}={shown(value)}" for name, value in written.items())
    row = [_number(column, given.get(column.name)) for column in columns]
    far = [f"note    {line}" for line in data_tables.far(columns, np.array([row]))]
    tail = "" if np.isnan(found.pareto_k) else f", Pareto k {found.pareto_k:.2f}"
    drawn = f"{effective:,.0f} effective of {found.proposals:,} proposed latents{tail}"
    return [*far, f"given {cells}: {drawn}; to be trusted: {verdict}{why}"]


def _number(column: Column, value: Category | Within | None) -> float:
    """The modelled number that is given, or the end of a range nearest to what was trained on."""
    if value is None or column.relation is not None or (isinstance(value, Within) and value.codes):
        return np.nan
    if not isinstance(value, Within):
        return typed.number_of(column, value)
    return float(np.clip(0.0, value.low, value.high))


def _as_given(table: pa.Table, columns: Sequence[Column], given: Given) -> pa.Table:
    """Numbers exactly as given: through float32 they would come back as nearly that."""
    for i, column in enumerate(columns):
        value = given.get(column.name)
        if value is None or isinstance(value, Within):
            continue
        if column.own.kind not in CODED:
            cells = typed.exactly(column.own, value, table.num_rows)
            table = table.set_column(i, column.name, cells)
    return table
