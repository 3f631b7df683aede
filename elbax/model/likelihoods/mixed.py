"""A product over the columns of a table, each of its own family."""

import math
from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from elbax.model.distributions.basic import (
    AbstractLinked,
    GreyBernoulli,
    given,
    log_prob_observed,
)
from elbax.model.interfaces import AbstractLikelihood
from elbax.model.likelihoods.counts import NegativeBinomial, Poisson
from elbax.model.likelihoods.levels import Categorical, LevelMasses, Ordinal
from elbax.model.likelihoods.linked import LowRankNormal
from elbax.model.likelihoods.real import Laplace, LogNormal, Normal, StudentT
from elbax.model.likelihoods.unit_interval import Bernoulli, ContinuousBernoulli
from elbax.model.support import BINARY, Support

# What a column may be, and the family of all columns that are it. Scales, degrees of freedom and
# dispersions are learned; scales and dispersions column by column.
_KINDS: dict[str, Callable[[tuple[int, ...]], AbstractLikelihood]] = {
    "normal": lambda shape: Normal(shape, "element"),
    "laplace": lambda shape: Laplace(shape, "element"),
    "student-t": lambda shape: StudentT(shape, "element"),
    "log-normal": lambda shape: LogNormal(shape, "element"),
    "continuous-bernoulli": ContinuousBernoulli,
    "binary": Bernoulli,
    "poisson": Poisson,
    "negative-binomial": NegativeBinomial,
}
_KINDS_WITH_LEVELS: dict[str, Callable[[tuple[int, ...], int], AbstractLikelihood]] = {
    "categorical": lambda shape, levels: Categorical(shape, levels, levels - 1.0),
    "ordinal": Ordinal,
}


class Mixed(AbstractLikelihood):
    """A product over the columns of a table, each of its own family (Nazabal et al. 2020).

    A column is "normal", "laplace", "student-t", "log-normal" (positive numbers),
    "continuous-bernoulli" (numbers from 0 to 1), "binary", "poisson" or "negative-binomial"
    (counts), "categorical-K" or "ordinal-K" (codes 0 … K − 1). Floors and starts are those of the
    families, whose learned scales and dispersions are a column's own here.

    With a rank the "normal" columns are linked by a covariance beside z (`LowRankNormal`), and the
    columns of other families are independent given z as ever.

    Attributes:
        families: One family for all columns of a kind, in the order in which the kinds appear.
    """

    name: ClassVar[str] = "mixed"
    shape: tuple[int, ...] = eqx.field(static=True)
    columns: tuple[str, ...] = eqx.field(static=True)
    families: tuple[AbstractLikelihood, ...]

    def __init__(
        self, shape: tuple[int, ...], columns: tuple[str, ...] | str = "", rank: int = 0
    ) -> None:
        """Makes the family.

        Args:
            shape: The shape of one datum.
            columns: What each column is, as a tuple or separated by commas.
            rank: The rank of the links between normal columns, less where they are fewer; 0: none.

        Raises:
            ValueError: There is not one known kind for each column, or the rank is negative.
        """
        if isinstance(columns, str):
            columns = tuple(word.strip() for word in columns.split(",") if word.strip())
        if len(columns) != math.prod(shape):
            raise ValueError(
                f"{len(columns)} kinds of columns for {math.prod(shape)} columns; name one for "
                f"each: {_choices()}"
            )
        if rank < 0:
            raise ValueError(f"rank is {rank}: give 0 for columns that are independent given z")
        self.shape = shape
        self.columns = columns
        self.families = tuple(
            _family(kind, columns.count(kind), rank) for kind in dict.fromkeys(columns)
        )

    @property
    def discrete(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether every column is: one density makes a density of the product."""
        return all(family.discrete for family in self.families)

    @property
    def support(self) -> tuple[Support, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """One set an element; a binary column is 0 or 1, not a grey level between."""
        kinds = dict(zip(dict.fromkeys(self.columns), self.families, strict=True))
        found = []
        for kind in self.columns:
            support = kinds[kind].support
            assert isinstance(support, Support)
            found.append(BINARY if kind == "binary" else support)
        return tuple(found)

    @property
    def parameter_count(self) -> int:
        """Those of the families, one after the other."""
        return sum(family.parameter_count for family in self.families)

    def __call__(self, parameters: Float[Array, " parameters"]) -> "Columns":
        """The product of the columns' variables."""
        parts, start = [], 0
        for family in self.families:
            parts.append(family(parameters[start : start + family.parameter_count]))
            start += family.parameter_count
        kinds = tuple(dict.fromkeys(self.columns))
        positions = tuple(
            tuple(i for i, column in enumerate(self.columns) if column == kind) for kind in kinds
        )
        return Columns(tuple(parts), positions, self.shape)


class Columns(AbstractLinked):
    """Columns of several families, put together in the order of the table.

    They are independent, but for those of a family that links its own.

    Attributes:
        parts: A distribution for each family, elementwise over its columns.
        positions: Which columns those are.
        shape: The shape of the datum.
    """

    parts: tuple[Any, ...]
    positions: tuple[tuple[int, ...], ...] = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)

    def sample(self, key: PRNGKeyArray) -> Float[Array, "..."]:
        """A draw."""
        keys = jax.random.split(key, len(self.parts))
        return self.together([part.sample(k) for part, k in zip(self.parts, keys, strict=True)])

    def log_prob(self, value: Array) -> Float[Array, "..."]:
        """The log-density or log-mass in nats, elementwise."""
        return self.log_prob_observed(value, jnp.ones(jnp.shape(value), bool))

    def log_prob_observed(self, value: Array, observed: Bool[Array, "..."]) -> Float[Array, "..."]:
        """The same where an element was observed, and 0 elsewhere."""
        pieces = [log_prob_observed(*each) for each in self._each(value, observed)]
        return self.together(pieces)

    def given(self, value: Array, observed: Bool[Array, "..."]) -> "Columns":
        """The missing columns given the observed ones."""
        parts = tuple(given(*each) for each in self._each(value, observed))
        return Columns(parts, self.positions, self.shape)

    def _each(self, value: Array, observed: Array) -> list[tuple[Any, Array, Array]]:
        """Each family with its columns, and which of them were observed."""
        flat, seen = jnp.ravel(value), jnp.ravel(observed)
        return [
            (part, flat[jnp.asarray(where)], seen[jnp.asarray(where)])
            for part, where in zip(self.parts, self.positions, strict=True)
        ]

    @property
    def mean(self) -> Float[Array, "..."]:
        """The mean of each column."""
        return self.together([part.mean for part in self.parts])

    @property
    def variance(self) -> Float[Array, "..."]:
        """The variance of each column."""
        return self.together([part.variance for part in self.parts])

    @property
    def typical(self) -> Float[Array, "..."]:
        """The mean of each column of numbers, the most probable code of each other one."""
        return self.settled(self.expectations())

    def expectations(self) -> tuple[Array, ...]:
        """For each family the means, or of levels all masses: what averages over latents.

        With weights over z, the average over p(x|z) of these is that of the mixture.
        """
        return tuple(
            jnp.exp(part.log_masses) if isinstance(part, LevelMasses) else part.mean
            for part in self.parts
        )

    def settled(self, expectations: tuple[Array, ...]) -> Float[Array, "..."]:
        """From (averaged) `expectations` to one value a column, as in `typical`."""
        pieces = []
        for part, expected in zip(self.parts, expectations, strict=True):
            if isinstance(part, LevelMasses):
                pieces.append(jnp.argmax(expected, axis=0).astype(expected.dtype))
            elif isinstance(part, GreyBernoulli):
                pieces.append((expected > 0.5).astype(expected.dtype))
            else:
                pieces.append(expected)
        return self.together(pieces)

    def probability(self, expectations: tuple[Array, ...]) -> Float[Array, "..."]:
        """From (averaged) `expectations` the probability of `settled`; 1 of columns of numbers."""
        pieces = []
        for part, expected in zip(self.parts, expectations, strict=True):
            if isinstance(part, LevelMasses):
                pieces.append(jnp.max(expected, axis=0))
            elif isinstance(part, GreyBernoulli):
                pieces.append(jnp.maximum(expected, 1.0 - expected))
            else:
                pieces.append(jnp.ones_like(expected))
        return self.together(pieces)

    def together(self, pieces: list[Array]) -> Float[Array, "..."]:
        """One number a column, family by family, in the order of the table."""
        order = [position for where in self.positions for position in where]
        back = sorted(range(len(order)), key=order.__getitem__)
        return jnp.concatenate(pieces)[jnp.asarray(back)].reshape(self.shape)


def _family(kind: str, count: int, rank: int) -> AbstractLikelihood:
    if kind == "normal" and min(count - 1, rank) > 0:
        return LowRankNormal((count,), rank)
    if kind in _KINDS:
        return _KINDS[kind]((count,))
    name, _, levels = kind.rpartition("-")
    if name in _KINDS_WITH_LEVELS and levels.isdecimal():
        return _KINDS_WITH_LEVELS[name]((count,), int(levels))
    raise ValueError(f"a column is {kind!r}; it can be {_choices()}")


def _choices() -> str:
    return ", ".join([*_KINDS, *(f"{name}-K" for name in _KINDS_WITH_LEVELS)])
