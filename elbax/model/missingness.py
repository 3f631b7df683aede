"""Why cells are missing: p(s|x), where s says of each cell whether it was observed.

Where cells are missing at random, p(s|x_observed, x_missing) does not depend on what is missing: it
is a factor that no parameter of p(x) stands in, and log p of the observed cells is all that there
is to learn from (Rubin 1976). Where it depends on the missing values themselves, the two must be
learned together. No data can show which is the case.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray, Scalar

from elbax.model.distributions.basic import GreyBernoulli
from elbax.model.interfaces import AbstractMechanism, AbstractMissingness
from elbax.model.likelihoods.counts import LogRatePoisson, MeanNegativeBinomial
from elbax.model.likelihoods.levels import LevelMasses
from elbax.model.likelihoods.mixed import Columns
from elbax.model.networks.columns import ColumnFeatures

Direction = Literal["unknown", "high", "low"]
_CELLS = 128  # of counts
_START = float(np.log(np.e - 1.0))  # softplus of it is a slope of one


class AtRandom(AbstractMissingness):
    """Cells are missing at random: the mechanism is ignored (Rubin 1976)."""

    name: ClassVar[str] = "at-random"


class SelfMasking(AbstractMechanism):
    """Each cell is missing by a logistic regression on its own value (Ipsen et al. 2021, §2.3).

    P(s_j = missing | x_j) = σ(a_j f(x_j) + c_j), with f(x_j) the number that the encoder sees:
    standardised, counts and positive numbers after a logarithm. A categorical column has a logit
    for each of its categories. Columns without a missing training cell have no mechanism.

    Given z the columns are independent, so that log p(s|x_observed, z) is a sum over columns. For a
    missing cell it is log E[P(s_j = missing | x_j)] under p(x_j|z): summed over the values of a
    binary, categorical or ordinal column, over counts in cells of like logarithm, and of numbers
    averaged over draws, which are differentiated along their paths. (The paper takes one draw of
    every column; draws of discrete ones have no such derivative.)

    Attributes:
        direction: What is known of the missing values: "high" ones are missing (a > 0), "low" ones,
            or "unknown"; of all columns but categorical ones.
        draws: Draws of a missing number for each latent; 1 is theirs, more make the bound tighter.
    """

    name: ClassVar[str] = "self-masking"

    features: ColumnFeatures
    direction: Direction = eqx.field(static=True)
    draws: int = eqx.field(static=True)
    numbers: tuple[int, ...] = eqx.field(static=True)
    categories: tuple[int, ...] = eqx.field(static=True)
    slope: Float[Array, " numbers"]
    intercept: Float[Array, " numbers"]
    logits: tuple[Float[Array, " _"], ...]

    def __init__(
        self,
        features: ColumnFeatures | None,
        holes: Sequence[float],
        direction: Direction = "unknown",
        draws: int = 5,
    ) -> None:
        """Makes the mechanism.

        Args:
            features: What the encoder sees of the columns; None of other data than tables.
            holes: The share of each column's training cells that are missing.
            direction: "unknown", "high" or "low".
            draws: Draws of a missing number for each latent.

        Raises:
            ValueError: No cell is missing, or these are no columns.
        """
        if features is None or not any(holes):
            which = "these are no columns of a table" if features is None else "no cell is missing"
            raise ValueError(f"missing (--missing) is {self.name}, and {which}: leave it out")
        if direction not in ("unknown", "high", "low") or draws < 1:
            raise ValueError(
                f"direction is {direction!r} and draws {draws}; give unknown, high or low, and at "
                "least one draw"
            )
        self.features, self.direction, self.draws = features, direction, draws
        holed = [j for j, share in enumerate(holes) if 0.0 < share < 1.0]
        kinds = [kind.rpartition("-") for kind in features.columns]
        self.categories = tuple(j for j in holed if kinds[j][0] == "categorical")
        self.numbers = tuple(j for j in holed if j not in self.categories)
        odds = {j: float(np.log(holes[j] / (1.0 - holes[j]))) for j in holed}
        start = 0.0 if direction == "unknown" else _START
        self.slope = jnp.full(len(self.numbers), start)
        self.intercept = jnp.asarray([odds[j] for j in self.numbers], self.slope.dtype)
        self.logits = tuple(jnp.full(int(kinds[j][2]), odds[j]) for j in self.categories)

    def log_odds(self, x: Float[Array, " columns"]) -> Float[Array, " columns"]:
        """Log P(missing) − log P(observed) of each cell by its value; 0 without a mechanism."""
        slopes = {
            "unknown": lambda a: a,
            "high": jax.nn.softplus,
            "low": lambda a: -jax.nn.softplus(a),
        }
        where = np.asarray(self.numbers, int)
        seen = slopes[self.direction](self.slope) * self.features.numbers(x)[where]
        found = jnp.zeros_like(x).at[where].set(seen + self.intercept)
        for j, logits in zip(self.categories, self.logits, strict=True):
            code = jnp.clip(jnp.rint(x[j]).astype(int), 0, len(logits) - 1)
            found = found.at[j].set(logits[code])
        return found

    def probability(self, x: Float[Array, " columns"]) -> Float[Array, " columns"]:
        """P(missing) of each cell of a whole row; 0 of columns that never miss one."""
        return jnp.where(self._modelled, jax.nn.sigmoid(self.log_odds(x)), 0.0)

    def log_prob(self, p: Any, x: Array, observed: Bool[Array, "..."], key: PRNGKeyArray) -> Scalar:
        """Log p(s | x_observed, z) in nats."""
        seen = observed.ravel()
        odds = self.log_odds(jnp.where(seen, x.ravel(), 1.0))
        found = jnp.where(seen, jax.nn.log_sigmoid(-odds), self._values(p, key).log_missing)
        return jnp.sum(jnp.where(self._modelled, found, 0.0))

    def of_missing(self, p: Any, key: PRNGKeyArray) -> "MissingCells":
        """P(x_j | z, s_j = missing), by the values that `log_prob` sums over at the same key."""
        return self._values(p, key)

    @property
    def _modelled(self) -> Bool[np.ndarray, " columns"]:
        holed = {*self.numbers, *self.categories}
        return np.array([j in holed for j in range(len(self.features.columns))])

    def _values(self, p: Columns, key: PRNGKeyArray) -> "MissingCells":
        """Of each column the values that its missing cell may have, and their weights."""
        keys = jax.random.split(key, len(p.parts))
        values, weights = [], []
        for part, where, own in zip(p.parts, p.positions, keys, strict=True):
            columns = np.asarray(where, int)
            if self._modelled[columns].any():
                x, log_p = _values_of(part, own, self.draws, self._counts(part, columns))
            else:  # nothing asks for them
                x = log_p = jnp.zeros((1, len(columns)))
            whole = jnp.ones((len(x), len(self._modelled)), x.dtype).at[:, columns].set(x)
            odds = jax.vmap(self.log_odds)(whole)[:, columns]
            values.append(x)
            weights.append(log_p + jax.nn.log_sigmoid(odds))
        return MissingCells(p, tuple(values), tuple(weights), tuple(self._modelled.tolist()))

    def _counts(self, part: Any, columns: np.ndarray) -> tuple[Array, Array] | None:
        """The counts that stand for all those of a family of counts, and their cells' sizes."""
        if not isinstance(part, LogRatePoisson | MeanNegativeBinomial):
            return None
        own = [_counts(self.features.centre[j], self.features.spread[j]) for j in columns]
        middle, size = np.moveaxis(np.array(own), 0, -1)
        return jnp.asarray(middle, part.mean.dtype), jnp.asarray(size, part.mean.dtype)


class MissingCells(eqx.Module):
    """P(x_j | z, s_j = missing) of each column, as weighted values; p(x_j|z) without a mechanism.

    Attributes:
        p: P(x|z).
        values: For each of its families the values of its columns, along the leading axis.
        log_weights: The logarithms of p(value|z) P(missing|value), which sum to P(s_j = missing|z).
        modelled: Which columns have a mechanism.
    """

    p: Columns
    values: tuple[Float[Array, "_ _"], ...]
    log_weights: tuple[Float[Array, "_ _"], ...]
    modelled: tuple[bool, ...] = eqx.field(static=True)

    @property
    def log_missing(self) -> Float[Array, " columns"]:
        """Log P(s_j = missing | z) of each column, in nats."""
        return self.p.together([jax.nn.logsumexp(w, axis=0) for w in self.log_weights]).ravel()

    def expectations(self) -> tuple[Array, ...]:
        """As `Columns.expectations`: means, and of levels the masses."""
        found = []
        for i, plain in enumerate(self.p.expectations()):
            shares = jax.nn.softmax(self.log_weights[i], axis=0)
            levels = isinstance(self.p.parts[i], LevelMasses)
            tilted = shares if levels else jnp.sum(shares * self.values[i], axis=0)
            found.append(jnp.where(self._of(i), tilted, plain))
        return tuple(found)

    def sample(self, key: PRNGKeyArray) -> Float[Array, "..."]:
        """A draw."""
        plain_key, key = jax.random.split(key)
        plain, drawn = self.p.sample(plain_key), []
        for i, own in enumerate(jax.random.split(key, len(self.values))):
            chosen = jax.random.categorical(own, self.log_weights[i], axis=0)
            drawn.append(jnp.take_along_axis(self.values[i], chosen[None], axis=0)[0])
        modelled = jnp.asarray(self.modelled).reshape(plain.shape)
        return jnp.where(modelled, self.p.together(drawn), plain)

    def _of(self, i: int) -> Bool[np.ndarray, " columns"]:
        return np.asarray(self.modelled)[np.asarray(self.p.positions[i], int)]


def _values_of(
    part: Any, key: PRNGKeyArray, draws: int, counts: tuple[Array, Array] | None
) -> tuple[Array, Array]:
    """Values of a family's columns along the leading axis, and the logarithms of their masses."""
    if isinstance(part, LevelMasses):
        codes = jnp.linspace(0.0, part.highest, len(part.log_masses))[:, None]
        return jnp.broadcast_to(codes, part.log_masses.shape), part.log_masses
    if isinstance(part, GreyBernoulli):
        both = jnp.stack([jnp.zeros_like(part.logits), jnp.ones_like(part.logits)])
        return both, jax.vmap(part.log_prob)(both)
    if counts is not None:
        middle, size = counts
        log_p = jax.vmap(part.log_prob)(middle)
        return middle, jax.nn.log_softmax(jnp.where(size > 0, log_p + jnp.log(size), -jnp.inf), 0)
    x = jax.vmap(part.sample)(jax.random.split(key, draws))
    return x, jnp.full_like(x, -np.log(draws))


def _counts(centre: float, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Counts for a column, and how many others each of them stands for.

    They are the middles of cells that are even in log(1 + x), eight deviations about the mean.
    Where counts are few a cell holds one of them, or none, and nothing is lost.
    """
    low, high = max(centre - 8.0 * spread, 0.0), max(centre + 8.0 * spread, 1.0)
    edges = np.ceil(np.expm1(np.linspace(low, high, _CELLS + 1)))
    size = np.diff(edges)
    return np.maximum(edges[:-1] + 0.5 * (size - 1.0), 0.0), size
