"""The page of a table: a row's cells to be changed or emptied, and what the model says of them.

Two programs are one importance draw each: `score` gives its log-weight and the share of each
column (`elbax.evaluate.scores.draw`), `fill` its log-weight and the distribution of the missing
cells (`elbax.evaluate.imputation.draw`). The page averages over draws as those modules do, by the
noise that `elbax score` and `elbax impute` draw for the first row of a table at seed 0: so it says
what they say of a table of this one row.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from elbax.data.columns import CODED, RANGES, Column, text_of
from elbax.evaluate import imputation, scores
from elbax.explore.filled import constants, filled, plain
from elbax.explore.pack import pack
from elbax.model.distributions.basic import GreyBernoulli
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.model.likelihoods.counts import LogRatePoisson, MeanNegativeBinomial
from elbax.model.likelihoods.levels import LevelMasses
from elbax.model.likelihoods.mixed import Columns
from elbax.model.missingness import MissingCells
from elbax.program.steps import Program
from elbax.program.tracing import trace_drawing
from elbax.run.run import Run
from elbax.util.keys import of_seed

SCORED, FILLED = 1000, 200  # draws: as `elbax score` and `elbax impute` take
_ROWS, _CELLS = 200, 20_000  # of the test rows that are in the page at most
_UNORDERED = ("binary", "categorical", "constant")
_SCRIPTS = ("estimates.js", "cells.js", "tables.js")


def page(run: Run) -> str:
    """The page of a run on a table; see `elbax.explore.explorer`.

    Raises:
        ValueError: It has columns that follow from others, or a step that a page cannot run.
    """
    columns, model = run.dataset.columns, run.model
    tied = [column.name for column in columns if column.relation is not None]
    if tied:
        raise ValueError(
            f"the explorer cannot solve for columns that follow from others ({', '.join(tied)}) in "
            f"{run.path}: see `elbax impute` and `elbax score`"
        )
    score, score_noise = _scoring(model)
    ordered = [column.kind not in _UNORDERED for column in columns]
    fill, fill_noise, families, samplers = _filling(model, ordered)
    programs = {
        "score": score,
        "fill": fill,
        **{name: each for name, (each, _) in samplers.items()},
    }
    noise = {"score": score_noise, "fill": fill_noise}
    noise |= {name: each for name, (_, each) in samplers.items()}
    rows = next(part.x for part in _parts(run) if len(part.x))
    rows = rows[: max(1, min(_ROWS, _CELLS // max(1, len(columns))))]
    arrays = {"rows": rows, **constants(programs)}
    for use, drawn in noise.items():
        arrays |= {f"{use}.{kind}": each for kind, each in drawn.items()}
    facts = {
        "name": run.path.name,
        "columns": [_described(column) for column in columns],
        "families": families,
        "samplers": list(samplers),
        "draws": {"score": SCORED, "fill": FILLED, "cells": imputation.DRAWS},
        "level": imputation.LEVEL,
        "programs": {name: plain(program) for name, program in programs.items()},
        **pack(arrays, halves=False),
    }
    return filled("tables", facts, _SCRIPTS)


def _parts(run: Run) -> list[Any]:
    return [run.dataset.test, run.dataset.validation, run.dataset.train]


# --- the estimators' draws as programs -----------------------------------------------------------

_Noise = dict[str, np.ndarray]


def _scoring(model: LatentVariableModel) -> tuple[Program, _Noise]:
    """One draw of `elbax score`, and the noise of all of them."""

    def one(x: Any, key: Any) -> Any:
        x = model.preprocessing(x)
        return scores.draw(model, x, model.encode(x), key)

    program, noise = trace_drawing(one, x=model.shape)
    latents = scores.latents_key(_row_key("score"))
    return program, _noise(
        noise, jax.vmap(jax.random.fold_in, (None, 0))(latents, np.arange(SCORED))
    )


def _filling(
    model: LatentVariableModel, ordered: Sequence[bool]
) -> tuple[Program, _Noise, list[dict[str, Any]], dict[str, tuple[Program, _Noise]]]:
    """One draw of `elbax impute`, and what draws cells at it.

    Args:
        model: The model.
        ordered: Which columns have an interval.

    Returns:
        From a row the log-weight, the numbers of each family to be averaged, the numbers by which
        counts are drawn, and the leaves of the cells' distribution; the noise of all draws; what
        the families are; and by name the programs from those leaves to cells, with their noise.
    """
    latents, choice, cells_key = imputation.keys_of(_row_key("impute"))
    seen: list[Any] = []

    def one(x: Any, key: Any) -> Any:
        x = model.preprocessing(x)
        log_weight, cells, _ = imputation.draw(model, x, model.encode(x), key)
        leaves, structure = jax.tree.flatten(cells)
        drawn = [_of_counts(part) for part, _ in _families(cells)]
        families = [
            {"what": _what(part, cells), "columns": list(where), "counts": len(_of_counts(part))}
            for part, where in _families(cells)
        ]
        shapes = [jnp.shape(leaf) for leaf in leaves]
        seen[:] = [structure, shapes, families, isinstance(cells, Columns)]
        return log_weight, imputation.expectations(cells), drawn, leaves

    program, noise = trace_drawing(one, x=model.shape)
    structure, shapes, families, apart = seen
    keys = jax.random.split(latents, FILLED)
    fill_noise = {**_noise(noise, keys), "choice": np.asarray(_uniform(choice))}
    samplers = {}
    if not apart:
        samplers["cells"] = _sampler(structure, shapes, lambda p, key: p.sample(key), cells_key)
    for i, family in enumerate(families):
        if apart and not family["counts"] and any(ordered[j] for j in family["columns"]):
            family["sampler"] = f"cells {i}"
            samplers[f"cells {i}"] = _sampler(structure, shapes, _of_part(i), cells_key)
    return program, fill_noise, families, samplers


def _sampler(
    structure: Any, shapes: list[tuple[int, ...]], draw: Callable[[Any, Any], Any], key: Any
) -> tuple[Program, _Noise]:
    """From the leaves of the cells' distribution to cells."""

    def one(*given: Any) -> Any:
        *leaves, key = given
        return draw(jax.tree.unflatten(structure, leaves), key)

    program, noise = trace_drawing(one, **{f"leaf{i}": shape for i, shape in enumerate(shapes)})
    return program, _noise(noise, jax.random.split(key, imputation.DRAWS))


def _of_part(i: int) -> Callable[[Any, Any], Any]:
    """A draw of one family's columns, as `Columns.sample` draws it."""

    def draw(p: Columns, key: Any) -> Any:
        return p.parts[i].sample(jax.random.split(key, len(p.parts))[i])

    return draw


def _families(cells: Any) -> list[tuple[Any, tuple[int, ...]]]:
    """The distributions of which the cells' is made, and their columns."""
    p = cells.p if isinstance(cells, MissingCells) else cells
    if isinstance(p, Columns):
        return list(zip(p.parts, p.positions, strict=True))
    return [(p, tuple(range(int(np.prod(jnp.shape(p.mean))))))]


def _what(part: Any, cells: Any) -> str:
    """How the averages of a family's numbers become its columns' values."""
    if not isinstance(cells, Columns | MissingCells):
        return "numbers"
    if isinstance(part, LevelMasses):
        return "levels"
    return "binary" if isinstance(part, GreyBernoulli) else "numbers"


def _of_counts(part: Any) -> tuple[Any, ...]:
    """By what the page draws counts: a mean and, where there is one, an inverse dispersion.

    JAX draws them by rejection, which no program can.
    """
    if isinstance(part, LogRatePoisson):
        return (part.mean,)
    if isinstance(part, MeanNegativeBinomial):
        return (part.mean, jnp.broadcast_to(jnp.exp(part.log_concentration), part.mean.shape))
    return ()


def _row_key(use: str) -> Any:
    """The key of the first row at seed 0, as `elbax.evaluate.tiles.map_rows` makes it."""
    first = 0
    return jax.random.fold_in(of_seed(0, use), first)


def _noise(noise: Callable[[Any], dict[str, Any]], keys: Any) -> _Noise:
    """What is drawn by each of the keys."""
    return {kind: np.asarray(each) for kind, each in jax.vmap(noise)(keys).items()}


def _uniform(choice: Any) -> Any:
    """What `jax.random.choice` draws by."""
    return jax.random.uniform(choice, (imputation.DRAWS,))


# --- columns -------------------------------------------------------------------------------------


def _described(column: Column) -> dict[str, Any]:
    """How a column's cells are read and written, for cells.js."""
    own = RANGES.get(column.kind)
    written: tuple[Any, ...] = column.categories
    if column.notation is not None and column.kind in CODED:
        written = tuple(column.notation.write(np.array(written, np.float64)))
    return {
        "name": column.name,
        "kind": column.kind,
        "form": _form(column),
        "unit": 86_400 if column.dtype.startswith("date") else 1,
        "categories": [text_of(category) for category in written],
        "shift": column.shift,
        "scale": column.scale,
        "resolution": column.resolution,
        "lower": column.lower,
        "upper": column.upper,
        "whole": column.integral,
        "counted": own is RANGES["count"],
        "ordered": column.kind not in _UNORDERED,
        "range": None if own is None else own.words,
        "notation": None if column.notation is None else dataclasses.asdict(column.notation),
    }


def _form(column: Column) -> str:
    """What a cell is entered as: a choice, a date, a moment, a time of day or a number."""
    if column.kind in CODED:
        return "choice"
    if column.notation is not None and column.notation.date:
        clock = any(part in column.notation.date for part in ("%H", "%M", "%S"))
        if not clock:
            return "date"
        return "moment" if "%d" in column.notation.date else "time"
    if column.dtype.startswith("date"):
        return "date"
    if column.dtype.startswith("timestamp"):
        return "date" if column.resolution and column.resolution % 86_400 == 0 else "moment"
    return "time" if column.dtype.startswith("time") else "number"
