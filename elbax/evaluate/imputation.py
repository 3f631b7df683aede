"""Cells that were not observed, from those that were: p(x_missing | x_observed)."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PRNGKeyArray

from elbax.evaluate import weights
from elbax.evaluate.equations import Equations
from elbax.evaluate.tiles import map_rows
from elbax.model.distributions.basic import sample_and_log_prob
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.model.likelihoods.mixed import Columns
from elbax.model.members import Members
from elbax.model.missingness import MissingCells
from elbax.util.keys import stream

LEVEL = 0.9  # of the intervals
DRAWS = 400  # of a row's cells, from which intervals and shares are read

# A row stands alone with its draws: in a tile of 20 its last bits depended on its place there.
_ROWS = 1


@dataclasses.dataclass(frozen=True)
class Means:
    """Rows with their missing cells filled by what is expected of them.

    Attributes:
        value: The mean of a number given the observed cells, the most probable category; observed
            cells are as they were.
        share: The probability of `value` itself, where it is a category.
        effective_sample_size: (Σ w)² / Σ w² of the row's importance weights; all of the draws
            where no cell is missing. 0 where the model gives the observed cells no density that
            float32 can tell from another at any draw: the draws of q(z|x) then count alike.
    """

    value: Float[np.ndarray, "rows ..."]
    share: Float[np.ndarray, "rows ..."]
    effective_sample_size: Float[np.ndarray, " rows"]


@dataclasses.dataclass(frozen=True)
class Imputation:
    """Rows with their missing cells filled; observed cells are as they were in all of these.

    Attributes:
        value: As of `Means`.
        share: As of `Means`.
        effective_sample_size: As of `Means`.
        lower: The lower end of the central 90% interval of the cell.
        upper: Its upper end.
        draws: Several draws of the row's missing cells together (multiple imputation).
    """

    value: Float[np.ndarray, "rows ..."]
    share: Float[np.ndarray, "rows ..."]
    effective_sample_size: Float[np.ndarray, " rows"]
    lower: Float[np.ndarray, "rows ..."]
    upper: Float[np.ndarray, "rows ..."]
    draws: Float[np.ndarray, "rows multiple ..."]


def impute(
    model: LatentVariableModel | Members,
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
        model: A model whose posterior draws with a density; or several that are one, of which each
            proposes as many draws.
        rows: Data as stored, NaN where not observed.
        key: The randomness: of row i, so that a row's result depends on no other row.
        samples: Importance draws a row.
        multiple: How many completed rows are drawn, at most 400.
        numbers: What the rows' keys are made of (see `map_rows`); by default their places.
        equations: What the missing cells of each row keep to besides, of flat rows.

    Raises:
        ValueError: There are no rows or draws, or more completed rows than 400.
    """
    if not 1 <= multiple <= DRAWS:
        raise ValueError(f"{multiple} completed rows; give at least one, and at most {DRAWS}")
    return Imputation(*_map(multiple, model, rows, key, samples, numbers, equations))


def impute_means(
    model: LatentVariableModel | Members,
    rows: np.ndarray,
    *,
    key: PRNGKeyArray,
    samples: int = 200,
    numbers: np.ndarray | None = None,
    equations: Equations | None = None,
) -> Means:
    """What `impute` fills cells with, without its draws and intervals: in a part of the time.

    Args:
        model: As for `impute`, and so are the others.
        rows: Data as stored, NaN where not observed.
        key: The randomness.
        samples: Importance draws a row.
        numbers: What the rows' keys are made of.
        equations: What the missing cells of each row keep to besides.

    Raises:
        ValueError: There are no rows or draws.
    """
    return Means(*_map(0, model, rows, key, samples, numbers, equations))


def _map(
    multiple: int,
    model: LatentVariableModel | Members,
    rows: np.ndarray,
    key: PRNGKeyArray,
    samples: int,
    numbers: np.ndarray | None,
    equations: Equations | None,
) -> tuple[np.ndarray, ...]:
    if len(rows) < 1 or samples < 1:
        raise ValueError(f"{len(rows)} rows and {samples} draws; give at least one of each")
    each = 0
    if equations is not None:
        each, rows = equations.totals.shape[1], equations.packed(rows)
    of_row = _of_row(samples, multiple, each)
    return map_rows(of_row, model, rows, key, tile=_ROWS, numbers=numbers)


@functools.cache
def _of_row(samples: int, multiple: int, equations_each: int) -> Callable[..., tuple[Array, ...]]:
    """From a row to the fields of its `Imputation`; without completed rows to those of `Means`."""

    def of_row(
        model: LatentVariableModel | Members, row: Array, key: PRNGKeyArray
    ) -> tuple[Array, ...]:
        row, equations = Equations.unpacked(row, equations_each)
        x = model.preprocessing(row)

        def fill() -> tuple[Array, ...]:
            latent, choice, cells = keys_of(key)
            members = model.count if isinstance(model, Members) else 1
            keys = jax.random.split(latent, -(-samples // members) * members)
            found = _propose(model, x, equations, keys)
            means = *found.settled(), found.effective
            return (*means, *found.drawn(multiple, choice, cells)) if multiple else means

        def whole() -> tuple[Array, ...]:  # nothing is drawn
            means = x, jnp.ones_like(x), jnp.asarray(samples, x.dtype)
            return (*means, x, x, jnp.stack([x] * multiple)) if multiple else means

        return jax.lax.cond(jnp.any(jnp.isnan(x)), fill, whole)

    return of_row


def keys_of(key: PRNGKeyArray) -> Key[Array, " 3"]:
    """From a row's key those of its latents, of the choice among them, and of the cells drawn."""
    return jax.random.split(stream(key, "imputation"), 3)


class _Proposals(eqx.Module):
    """Importance draws for the missing cells of a row, along the leading axis.

    Attributes:
        x: The row as the model sees it.
        weights: Of the draws; they sum to one.
        effective: How many draws these weights are worth, 0 where they say nothing.
        cells: The distribution of missing cells at each draw.
        equations: What the missing cells keep to besides.
        solved: The row at each draw, its equations solved.
    """

    x: Float[Array, "..."]
    weights: Float[Array, " draws"]
    effective: Float[Array, ""]
    cells: Any
    equations: Equations | None
    solved: Float[Array, "draws ..."] | None

    def settled(self) -> tuple[Array, Array]:
        """The value of each cell, and its probability where it is a category."""
        expected = jax.vmap(expectations)(self.cells)
        averaged = jax.tree.map(self._average, expected)
        value, share = _settled(_at(self.cells, 0), averaged)
        if self.solved is not None:
            value = self._tied(value, self._average(self.solved))
        return self._put(value), jnp.where(jnp.isnan(self.x), share, 1.0)

    def drawn(
        self, multiple: int, choice: PRNGKeyArray, key: PRNGKeyArray
    ) -> tuple[Array, Array, Array]:
        """The ends of the intervals, and completed rows: z by its weight, then x from p(x|z)."""
        chosen = jax.random.choice(choice, len(self.weights), (DRAWS,), p=self.weights)
        fill = lambda i, key: _at(self.cells, i).sample(key)  # noqa: E731
        drawn = jax.vmap(fill)(chosen, jax.random.split(key, DRAWS))
        if self.solved is not None:
            drawn = self._tied(drawn, self.solved[chosen])
        ends = jnp.quantile(drawn, jnp.asarray([0.5 - LEVEL / 2, 0.5 + LEVEL / 2]), axis=0)
        return self._put(ends[0]), self._put(ends[1]), self._put(drawn[:multiple])

    def _average(self, values: Array) -> Array:
        """Over the draws; what is not finite at a draw without weight counts nothing."""
        weighed = self.weights.reshape(-1, *[1] * (values.ndim - 1)) > 0
        return jnp.tensordot(self.weights, jnp.where(weighed, values, 0.0), axes=1)

    def _tied(self, cells: Array, solved: Array) -> Array:
        """Cells that hang together were drawn together."""
        assert self.equations is not None
        return jnp.where(self.equations.tied, solved, cells)

    def _put(self, cells: Array) -> Array:
        return jnp.where(jnp.isnan(self.x), cells, self.x)


def _propose(
    model: LatentVariableModel | Members, x: Array, equations: Equations | None, keys: Array
) -> _Proposals:
    if isinstance(model, Members):
        # With p(x) the mean of theirs a member's draw weighs p_e(x, z) / q_e(z|x), as if alone.
        of_each = lambda member, keys: _draw(member, x, equations, keys)  # noqa: E731
        drawn = model.map(of_each, keys.reshape(model.count, -1))
        drawn = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), drawn)
    else:
        drawn = _draw(model, x, equations, keys)
    log_weights, cells, solved = drawn
    return _Proposals(x, *_normalised(log_weights), cells, equations, solved)


def _normalised(log_weights: Float[Array, " draws"]) -> tuple[Array, Array]:
    """Weights that sum to one, and how many draws they are worth.

    A draw whose weight is not finite, or so far from 1 that float32 rounds it by a tenth of a nat,
    weighs nothing. Where that is so of all of them they weigh alike and are worth 0 draws.
    """
    sound = jnp.abs(log_weights) < weights.RANGE
    found = jax.nn.softmax(jnp.where(sound, log_weights, -jnp.inf))
    found = jnp.where(jnp.any(sound), found, 1.0 / len(log_weights))
    return found, jnp.where(jnp.any(sound), 1.0 / jnp.sum(jnp.square(found)), 0.0)


def _draw(
    model: LatentVariableModel, x: Array, equations: Equations | None, keys: Array
) -> tuple[Array, Any, Array | None]:
    """`draw` by each of the keys."""
    q = model.encode(x)
    return jax.vmap(lambda key: draw(model, x, q, key, equations))(keys)


def draw(
    model: LatentVariableModel,
    x: Array,
    q: Any,
    key: PRNGKeyArray,
    equations: Equations | None = None,
) -> tuple[Array, Any, Array | None]:
    """One importance draw: its log-weight, the missing cells' distribution, and the row solved.

    Args:
        model: The model.
        x: A row as the model sees it, NaN where not observed.
        q: q(z|x).
        key: The randomness.
        equations: What its missing cells keep to besides.
    """
    z, log_q = sample_and_log_prob(q, key)
    log_p = model.log_likelihood(x, z) + model.prior_distribution().log_prob(z)
    cell_key = stream(key, "missingness")
    missingness = model.log_missingness(x, z, cell_key)
    if missingness is not None:
        log_p = log_p + missingness
    solved = None
    if equations is not None:
        drawn = model.decode_missing(x, z).sample(stream(key, "datum"))
        solved = equations.solved(jnp.where(jnp.isnan(x), drawn, x))
        log_p = log_p + equations.log_weight(model, solved, z)
    return log_p - log_q, _of_missing(model, x, z, cell_key), solved


def _at(distributions: Any, i: Any) -> Any:
    """One of the distributions that stand along a leading axis."""
    return jax.tree.map(lambda a: a[i], distributions)


def _of_missing(model: LatentVariableModel, x: Array, z: Any, key: PRNGKeyArray) -> Any:
    """Of missing cells p(x|z, x_observed), or by the mechanism p(x|z, missing)."""
    p = model.decode_missing(x, z)
    return p if model.mechanism is None else model.mechanism.of_missing(p, key)


def expectations(p: Any) -> Any:
    """What is averaged over z: means, and of a table's categories their probabilities."""
    return p.expectations() if isinstance(p, Columns | MissingCells) else p.mean


def _settled(p: Any, averaged: Any) -> tuple[Array, Array]:
    """The value of each cell, and its probability where it is a category."""
    p = p.p if isinstance(p, MissingCells) else p
    if not isinstance(p, Columns):
        return averaged, jnp.ones_like(averaged)
    return p.settled(averaged), p.probability(averaged)
