"""Families of q(z|x) that choose codes, and the prior that takes each as likely as any other."""

import abc
import math
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from elbax.model.codes.point import ChosenCodes, UniformOverCodes
from elbax.model.interfaces import AbstractEncoder, AbstractPosterior, AbstractPrior, LatentKind

_EDGE = 1e-3  # ε of Mentzer et al. 2023, appendix A: no rounding beyond the outer levels


class Codebook(eqx.Module):
    """The vectors that codes stand for, a set for each code of a place.

    No gradient reaches them: the objective moves them (`elbax.model.objectives.quantised`).

    Attributes:
        vectors: The codes.
    """

    vectors: Float[Array, "depth count width"]

    def nearest(
        self, level: int, points: Float[Array, "points width"]
    ) -> tuple[Int[Array, " points"], Float[Array, "points width"]]:
        """Which code of a set lies nearest to each point by Euclidean distance, and its vector."""
        codes = jax.lax.stop_gradient(self.vectors[level])
        inner = jnp.matmul(points, codes.T, precision="highest")
        found = jnp.argmin(jnp.sum(jnp.square(codes), axis=1) - 2.0 * inner, axis=1)
        return found, codes[found]


class AbstractCodes(AbstractPosterior):
    """q(z|x) is a point: the vectors of the codes nearest to what the encoder's network gives.

    z holds them place by place, and of a place code by code. What the decoder's network reads of a
    place is the sum of its codes.

    Attributes:
        latent_dim: The length of z: places × codes of a place × length of a code.
    """

    latent: ClassVar[LatentKind] = "codes"
    has_log_prob: ClassVar[bool] = False

    latent_dim: eqx.AbstractVar[int]

    @property
    @abc.abstractmethod
    def count(self) -> int:
        """How many codes there are to choose from, K."""

    @property
    @abc.abstractmethod
    def depth(self) -> int:
        """How many codes each place has."""

    @property
    @abc.abstractmethod
    def width(self) -> int:
        """The length of a code."""

    @property
    @abc.abstractmethod
    def codebook(self) -> Codebook | None:
        """The vectors that the objective moves; None where the codes are fixed."""

    @abc.abstractmethod
    def __call__(self, parameters: Float[Array, " parameters"]) -> ChosenCodes:
        """The codes from `(sites · width,)` numbers."""

    @abc.abstractmethod
    def vectors(self, indices: Int[Array, "sites depth"]) -> Float[Array, " latent"]:
        """The latent of chosen codes."""

    @abc.abstractmethod
    def nearest(self, z: Float[Array, " latent"]) -> Int[Array, "sites depth"]:
        """The codes that a latent is made of (the nearest to it, of one that is made of none)."""

    @property
    def sites(self) -> int:
        """How many places z has codes for."""
        return self.latent_dim // (self.depth * self.width)

    @property
    def parameter_count(self) -> int:
        """As many numbers a place as a code is long."""
        return self.sites * self.width

    @property
    def read_dim(self) -> int:
        """How many numbers of z the decoder's network reads: the codes of a place are summed."""
        return self.sites * self.width


class AbstractCodebook(AbstractCodes):
    """Codes that are learned: moved towards what they are chosen for."""

    codes: eqx.AbstractVar[Codebook]

    @property
    def count(self) -> int:
        """As many as the codebook has."""
        return self.codes.vectors.shape[1]

    @property
    def depth(self) -> int:
        """As many as there are sets."""
        return self.codes.vectors.shape[0]

    @property
    def width(self) -> int:
        """The codes' own."""
        return self.codes.vectors.shape[2]

    @property
    def codebook(self) -> Codebook:
        """The codes."""
        return self.codes

    def __call__(self, parameters: Float[Array, " parameters"]) -> ChosenCodes:
        """The nearest code of each place; of several the first, then of what it leaves, and so on.

        The derivative of z by the numbers is 1, all of it by way of the first code.
        """
        points = parameters.reshape(self.sites, self.width)
        left, indices, vectors, seen = points, [], [], []
        for level in range(self.depth):
            found, chosen = self.codes.nearest(level, left)
            indices.append(found)
            vectors.append(chosen)
            seen.append(left)
            left = left - chosen
        # First the difference: its value is an exact 0, so that z is made of codes bit for bit.
        vectors[0] = vectors[0] + (points - jax.lax.stop_gradient(points))
        z = jnp.stack(vectors, axis=1).ravel()
        return ChosenCodes(z, jnp.stack(indices, axis=1), jnp.stack(seen, axis=1))

    def vectors(self, indices: Int[Array, "sites depth"]) -> Float[Array, " latent"]:
        """The latent of chosen codes."""
        codes = jax.lax.stop_gradient(self.codes.vectors)
        return codes[jnp.arange(self.depth), indices].ravel()

    def nearest(self, z: Float[Array, " latent"]) -> Int[Array, "sites depth"]:
        """The codes nearest to each part of z."""
        parts = z.reshape(self.sites, self.depth, self.width)
        levels = range(self.depth)
        return jnp.stack([self.codes.nearest(k, parts[:, k])[0] for k in levels], axis=1)


class VectorQuantised(AbstractCodebook):
    """q(z|x): for each place the nearest vector of a learned codebook (van den Oord et al. 2017).

    Attributes:
        latent_dim: The length of z: places × `width`.
        codes: The codebook, one set.
    """

    name: ClassVar[str] = "vq"

    latent_dim: int = eqx.field(static=True)
    codes: Codebook

    def __init__(
        self, latent_dim: int, count: int = 512, width: int = 8, *, key: PRNGKeyArray
    ) -> None:
        """Makes the family; codes start as the authors' do, uniformly within ±1 / count.

        Args:
            latent_dim: The length of z.
            count: How many codes there are.
            width: The length of a code.
            key: The randomness of the codes.

        Raises:
            ValueError: A size is not positive, or z does not hold whole codes.
        """
        _check_codes(latent_dim, count, width, 1)
        self.latent_dim = latent_dim
        self.codes = _start(1, count, width, key)

    __call__ = AbstractCodebook.__call__


class ResidualQuantised(AbstractCodebook):
    """q(z|x): a code of each place, one of what that leaves, and so on (Zeghidour et al. 2021).

    Each has a codebook of its own; the decoder reads their sum (algorithm 1).

    Attributes:
        latent_dim: The length of z: places × `depth` × `width`.
        codes: The codebooks, one a level.
    """

    name: ClassVar[str] = "residual-vq"

    latent_dim: int = eqx.field(static=True)
    codes: Codebook

    def __init__(
        self,
        latent_dim: int,
        count: int = 64,
        width: int = 8,
        depth: int = 4,
        *,
        key: PRNGKeyArray,
    ) -> None:
        """Makes the family; codes start uniformly within ±1 / count.

        Args:
            latent_dim: The length of z.
            count: How many codes each codebook has.
            width: The length of a code.
            depth: How many codebooks: codes of each place.
            key: The randomness of the codes.

        Raises:
            ValueError: A size is not positive, or z does not hold whole codes.
        """
        _check_codes(latent_dim, count, width, depth)
        self.latent_dim = latent_dim
        self.codes = _start(depth, count, width, key)

    __call__ = AbstractCodebook.__call__


class FiniteScalar(AbstractCodes):
    """q(z|x): each number bounded, then rounded to one of a few levels (Mentzer et al. 2023).

    Their FSQ: a code is the levels of as many numbers as `levels` has entries, so there are
    ∏ levels of them, and no codebook. Levels lie at whole numbers over ⌊levels / 2⌋, within ±1.

    Attributes:
        latent_dim: The length of z: places × entries of `levels`.
        levels: How many levels each number of a code has; 8,5,5,5 makes 1,000 codes (their table
            4 gives others).
    """

    name: ClassVar[str] = "fsq"

    latent_dim: int = eqx.field(static=True)
    levels: tuple[int, ...] = eqx.field(static=True, default=(8, 5, 5, 5))

    def __check_init__(self) -> None:
        if not self.levels or min(self.levels) < 2:
            raise ValueError(f"levels are {self.levels}; give at least one number, each 2 or more")
        _check_codes(self.latent_dim, self.count, self.width, 1)

    @property
    def count(self) -> int:
        """The product of the levels."""
        return math.prod(self.levels)

    @property
    def depth(self) -> int:
        """One code a place."""
        return 1

    @property
    def width(self) -> int:
        """One number for each entry of `levels`."""
        return len(self.levels)

    @property
    def codebook(self) -> None:
        """There is none."""

    def __call__(self, parameters: Float[Array, " parameters"]) -> ChosenCodes:
        """The levels nearest to the bounded numbers; their derivative is that of the bound."""
        bounded = self.bound(parameters.reshape(self.sites, self.width))
        steps = jnp.round(jax.lax.stop_gradient(bounded))
        z = steps / self._half + (bounded - jax.lax.stop_gradient(bounded)) / self._half
        # Not `bounded` itself: there is nothing that the codes should come nearer to.
        seen = (steps / self._half)[:, None]
        return ChosenCodes(z.ravel(), self._numbers(steps)[:, None], seen)

    def bound(self, points: Float[Array, "sites width"]) -> Float[Array, "sites width"]:
        """Numbers whose nearest whole ones are as many as there are levels (appendix A, eq. 2)."""
        levels = np.asarray(self.levels)
        half = (levels - 1) * (1 - _EDGE) / 2
        offset = np.where(levels % 2 == 1, 0.0, 0.5)
        shift = np.tan(offset / half)
        return jnp.tanh(points + shift.astype(points.dtype)) * half.astype(
            points.dtype
        ) - offset.astype(points.dtype)

    def vectors(self, indices: Int[Array, "sites depth"]) -> Float[Array, " latent"]:
        """The latent of chosen codes."""
        digits = indices // self._places % np.asarray(self.levels)
        half = np.asarray(self.levels) // 2
        return ((digits - half) / self._half).ravel()

    def nearest(self, z: Float[Array, " latent"]) -> Int[Array, "sites depth"]:
        """The codes nearest to each part of z."""
        steps = jnp.round(z.reshape(self.sites, self.width) * self._half)
        half = np.asarray(self.levels) // 2
        steps = jnp.clip(steps, -half, np.asarray(self.levels) - 1 - half)
        return self._numbers(steps)[:, None]

    @property
    def _half(self) -> Any:
        """What a step is divided by."""
        dtype = jax.dtypes.canonicalize_dtype(float)
        return (np.asarray(self.levels) // 2).astype(dtype)

    @property
    def _places(self) -> Any:
        """What each digit of a code's number counts for: the first changes fastest."""
        return np.cumprod((1, *self.levels[:-1]))

    def _numbers(self, steps: Float[Array, "sites width"]) -> Int[Array, " sites"]:
        digits = steps.astype(int) + np.asarray(self.levels) // 2
        return jnp.sum(digits * self._places, axis=-1)


class UniformCodes(AbstractPrior):
    """p(z): every code of every place as likely as any other (van den Oord et al. 2017, §3.1).

    Which codes there are the encoder's posterior says. `--fit-prior autoregressive` puts a prior
    that is learned in its place after training.
    """

    name: ClassVar[str] = "codes"
    latent: ClassVar[LatentKind] = "codes"

    latent_dim: int = eqx.field(static=True)

    def __call__(
        self, encoder: AbstractEncoder, condition: Array | None = None
    ) -> UniformOverCodes:
        """The uniform distribution, whatever the condition is.

        Raises:
            ValueError: The encoder has no codes.
        """
        del condition
        return UniformOverCodes(codes_of(encoder))


class SummedCodes(eqx.Module):
    """The decoder's network, given for each place the sum of its codes.

    Attributes:
        network: From the sums, and a condition behind them.
        sites: How many places there are.
        depth: How many codes each has.
        width: The length of a code.
    """

    network: Any
    sites: int = eqx.field(static=True)
    depth: int = eqx.field(static=True)
    width: int = eqx.field(static=True)

    def __call__(self, z: Float[Array, " latent"]) -> Float[Array, " out"]:
        """A latent, and a condition behind it, to the network's output."""
        held = self.sites * self.depth * self.width
        parts = z[:held].reshape(self.sites, self.depth, self.width)
        return self.network(jnp.concatenate([jnp.sum(parts, axis=1).ravel(), z[held:]]))


def codes_of(encoder: Any) -> AbstractCodes:
    """The family of an encoder that gives codes.

    Raises:
        ValueError: It gives none.
    """
    family = getattr(encoder, "posterior", None)
    if not isinstance(family, AbstractCodes):
        raise ValueError(
            "a prior over codes needs an encoder that gives some: one whose posterior is vq, "
            "residual-vq or fsq"
        )
    return family


def _start(depth: int, count: int, width: int, key: PRNGKeyArray) -> Codebook:
    shape, most = (depth, count, width), 1.0 / count
    return Codebook(jax.random.uniform(key, shape, minval=-most, maxval=most))


def _check_codes(latent_dim: int, count: int, width: int, depth: int) -> None:
    for name, number, least in (("count", count, 2), ("width", width, 1), ("depth", depth, 1)):
        if number < least:
            raise ValueError(f"{name} is {number}; give at least {least}")
    if latent_dim < 1 or latent_dim % (width * depth):
        of = f"{depth} codes of {width} numbers each" if depth > 1 else f"codes of {width} numbers"
        raise ValueError(
            f"latent_dim (--latent-dim) is {latent_dim}, and a place has {of}: give a multiple "
            f"of {width * depth}"
        )
