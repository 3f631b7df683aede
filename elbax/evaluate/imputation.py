"""Cells that were not observed, from those that were: p(x_missing | x_observed)."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from elbax.evaluate.equations import Equations
from elbax.evaluate.tiles import map_rows
from elbax.model.distributions.basic import sample_and_log_prob
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.model.likelihoods.mixed import Columns
from elbax.model.missingness import MissingCells

LEVEL = 0.9  # of the intervals
DRAWS = 400  # of a row's cells, from which intervals and shares are read

# A row stands alone with its draws: in a tile of 20 its last bits depended on its place there.
_ROWS = 1


@dataclasses.dataclass(frozen=True)
class Imputation:
    """Rows with their missing cells filled; observed cells are as they were in all of these.

    Attributes:
        value: The mean of a number given the observed cells, the most probable category.
        lower: The lower end of the central 90% interval of the cell.
        upper: Its upper end.
        share: The probability of `value` itself, where it is a category.
        draws: Several draws of the row's missing cells together (multiple imputation).
        effective_sample_size: (Σ w)² / Σ w² of the row's importance weights.
    """

    value: Float[np.ndarray, "rows ..."]
    lower: Float[np.ndarray, "rows ..."]
    upper: Float[np.ndarray, "rows ..."]
    share: Float[np.ndarray, "rows ..."]
    draws: Float[np.ndarray, "rows multiple ..."]
    effective_sample_size: Float[np.ndarray, " rows"]


def impute(
    model: LatentVariableModel,
    rows: np.ndarray,
    *,
    key: PRNGKeyArray,
    samples: int = 200,
    multiple: int = 1,
    numbers: np.ndarray | None = None,
    equations: Equations | None = None,
) -> Imputation:
    """Fills the cells that are NaN by self-normalised importance sampling.

    Draws z ~ q(z|x_observed) with weights p(x_observed, z) / q(z|x_observed) stand for
    p(z|x_observed); the means of p(x|z) averaged by them are those of the missing cells given the
    observed ones (Mattei & Frellsen 2019, eq. 8). Where the model has a mechanism of missing cells
    the weights hold p(s|x_observed, z) too, and the means are those of p(x_missing|z, s), for
    E[x_missing | x_observed, s] (Ipsen et al. 2021, eq. 11). Intervals and draws come from sampling
    importance resampling (their §3.3): z by its weight, then x from p(x|z).

    Args:
        model: A model whose posterior draws with a density.
        rows: Data as stored, NaN where not observed.
        key: The randomness: of row i, so that a row's result depends on no other row.
        samples: Importance draws a row.
        multiple: How many completed rows are drawn, at most 400.
        numbers: What the rows' keys are made of (see `map_rows`); by default their places.
        equations: What the missing cells of each row keep to besides, of flat rows.

    Raises:
        ValueError: There are no rows or draws, or more completed rows than 400.
    """
    if len(rows) < 1 or samples < 1 or not 1 <= multiple <= DRAWS:
        raise ValueError(
            f"{len(rows)} rows, {samples} draws and {multiple} completed rows; give at least one "
            f"of each, and at most {DRAWS} completed rows"
        )
    each = 0
    if equations is not None:
        each, rows = equations.totals.shape[1], equations.packed(rows)
    of_row = _of_row(samples, multiple, each)
    return Imputation(*map_rows(of_row, model, rows, key, tile=_ROWS, numbers=numbers))


@functools.cache
def _of_row(samples: int, multiple: int, equations_each: int) -> Callable[..., tuple[Array, ...]]:
    def of_row(model: LatentVariableModel, row: Array, key: PRNGKeyArray) -> tuple[Array, ...]:
        latent, choice, cells = jax.random.split(key, 3)
        row, equations = Equations.unpacked(row, equations_each)
        x = model.preprocessing(row)
        seen = ~jnp.isnan(x)
        q, p = model.encode(x), model.prior_distribution()

        def draw(key: PRNGKeyArray) -> tuple[Any, Array, Any, Any]:
            z, log_q = sample_and_log_prob(q, key)
            log_p = model.log_likelihood(x, z) + p.log_prob(z)
            cell_key = jax.random.fold_in(key, 1)
            missingness = model.log_missingness(x, z, cell_key)
            if missingness is not None:
                log_p = log_p + missingness
            solved = None
            if equations is not None:
                whole = jnp.where(seen, x, model.decode(z).sample(jax.random.fold_in(key, 2)))
                solved = equations.solved(whole)
                log_p = log_p + equations.log_weight(model, solved, z)
            return z, log_p - log_q, _expected(_of_missing(model, z, cell_key)), solved

        keys = jax.random.split(latent, samples)
        z, log_weights, expected, solved = jax.vmap(draw)(keys)
        weights = jax.nn.softmax(log_weights)
        averaged = jax.tree.map(lambda e: jnp.tensordot(weights, e, axes=1), expected)
        value, share = _settled(model, jax.tree.map(lambda a: a[0], z), averaged)

        chosen = jax.random.categorical(choice, log_weights, shape=(DRAWS,))

        def fill(i: Array, key: PRNGKeyArray) -> Array:
            one = jax.tree.map(lambda a: a[i], z)
            return _of_missing(model, one, jax.random.fold_in(keys[i], 1)).sample(key)

        drawn = jax.vmap(fill)(chosen, jax.random.split(cells, DRAWS))
        if equations is not None:  # cells that hang together were drawn together
            value = jnp.where(equations.tied, weights @ solved, value)
            drawn = jnp.where(equations.tied, solved[chosen], drawn)
        ends = jnp.quantile(drawn, jnp.asarray([0.5 - LEVEL / 2, 0.5 + LEVEL / 2]), axis=0)
        filled = [jnp.where(seen, x, a) for a in (value, ends[0], ends[1])]
        return (
            *filled,
            jnp.where(seen, 1.0, share),
            jnp.where(seen, x, drawn[:multiple]),
            1.0 / jnp.sum(jnp.square(weights)),
        )

    return of_row


def _of_missing(model: LatentVariableModel, z: Any, key: PRNGKeyArray) -> Any:
    """The distribution of cells that are missing: p(x|z), or by the mechanism p(x|z, missing)."""
    p = model.decode(z)
    return p if model.mechanism is None else model.mechanism.of_missing(p, key)


def _expected(p: Any) -> Any:
    """What is averaged over z: means, and of a table's categories their probabilities."""
    return p.expectations() if isinstance(p, Columns | MissingCells) else p.mean


def _settled(model: LatentVariableModel, z: Any, averaged: Any) -> tuple[Array, Array]:
    """The value of each cell, and its probability where it is a category."""
    p = model.decode(z)
    if not isinstance(p, Columns):
        return averaged, jnp.ones_like(averaged)
    return p.settled(averaged), p.probability(averaged)
