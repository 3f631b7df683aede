"""A prior over codes, one after the other: a small causal transformer with exact probabilities.

It reads the codes of a latent place by place, and of a place level by level, and says of each how
likely every choice is given those before. (van den Oord et al. 2017, §3.3 take a PixelCNN, for
grids; this serves sequences, tables and several codes a place alike.)
"""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Scalar

from elbax.model.codes.families import codes_of
from elbax.model.interfaces import AbstractEncoder, AbstractPrior, LatentKind
from elbax.model.networks.dense import MLP

_START = 0.02  # the standard deviation of weights at the start (Radford et al. 2019, §2.3)

# What a block has computed of each position so far: keys and values.
Cache = tuple[Float[Array, "length heads part"], Float[Array, "length heads part"]]


class Block(eqx.Module):
    """Attention to what came before, then a perceptron, each after a normalisation.

    The decoder of Vaswani et al. 2017, §3.1, normalised first (Radford et al. 2019, §2.3).

    Attributes:
        inner: From a position to its query, key and value, side by side.
        outer: From what was attended to.
        norms: Of the input of either part.
        perceptron: Of each position by itself.
        heads: How many attentions stand side by side.
    """

    inner: Float[Array, "width three_widths"]
    outer: Float[Array, "width width"]
    norms: tuple[eqx.nn.LayerNorm, eqx.nn.LayerNorm]
    perceptron: MLP
    heads: int = eqx.field(static=True)

    def __init__(self, width: int, heads: int, *, key: PRNGKeyArray) -> None:
        """Makes the block."""
        first, second, third = jax.random.split(key, 3)
        self.inner = _START * jax.random.normal(first, (width, 3 * width))
        self.outer = _START * jax.random.normal(second, (width, width))
        self.norms = (eqx.nn.LayerNorm(width), eqx.nn.LayerNorm(width))
        self.perceptron = MLP(width, (4 * width,), width, "gelu", key=third)
        self.heads = heads

    def __call__(self, x: Float[Array, "length width"]) -> Float[Array, "length width"]:
        """All positions at once."""
        query, keys, values = self._projected(x)
        return self._after(x, query, (keys, values), jnp.tri(len(x), dtype=bool))

    def step(
        self, x: Float[Array, " width"], cache: Cache, place: Int[Array, ""]
    ) -> tuple[Float[Array, " width"], Cache]:
        """One position after those in the cache, and the cache with it."""
        query, key, value = self._projected(x[None])
        keys, values = (
            jax.lax.dynamic_update_slice_in_dim(old, new, place, 0)
            for old, new in zip(cache, (key, value), strict=True)
        )
        seen = jnp.arange(len(keys)) <= place
        return self._after(x[None], query, (keys, values), seen[None])[0], (keys, values)

    def empty(self, length: int) -> Cache:
        """A cache of nothing."""
        width = len(self.outer)
        zeros = jnp.zeros((length, self.heads, width // self.heads), self.outer.dtype)
        return zeros, zeros

    def _projected(self, x: Float[Array, "length width"]) -> tuple[Array, Array, Array]:
        joined = (jax.vmap(self.norms[0])(x) @ self.inner).reshape(len(x), 3, self.heads, -1)
        return joined[:, 0], joined[:, 1], joined[:, 2]

    def _after(
        self,
        x: Float[Array, "queries width"],
        query: Float[Array, "queries heads part"],
        cache: Cache,
        seen: Bool[Array, "queries length"],
    ) -> Float[Array, "queries width"]:
        keys, values = cache
        scores = jnp.einsum("qhp,khp->hqk", query, keys) / jnp.sqrt(query.shape[-1])
        weights = jax.nn.softmax(jnp.where(seen, scores, -jnp.inf))
        attended = jnp.einsum("hqk,khp->qhp", weights, values).reshape(len(x), -1)
        x = x + attended @ self.outer
        return x + jax.vmap(lambda one: self.perceptron(self.norms[1](one)))(x)


class AutoregressiveCodes(AbstractPrior):
    """p(z) = ∏ p(code | those before it), by a causal transformer.

    At the start every code is as likely as any other. It is fitted to the codes of training rows
    after training (`elbax.evaluate.latents.expost`); `--fit-prior autoregressive` does.

    Attributes:
        latent_dim: The length of z.
        embedding: A vector for each code of each level.
        position: One for each place of the sequence; the first is of what stands before all.
        blocks: The transformer's.
        norm: After them.
        head: From there to the logits.
    """

    latent: ClassVar[LatentKind] = "codes"

    latent_dim: int = eqx.field(static=True)
    embedding: Float[Array, "depth count width"]
    position: Float[Array, "length width"]
    blocks: tuple[Block, ...]
    norm: eqx.nn.LayerNorm
    head: Float[Array, "depth width count"]

    def __init__(
        self,
        latent_dim: int,
        sites: int,
        depth: int,
        count: int,
        width: int = 64,
        heads: int = 4,
        layers: int = 2,
        *,
        key: PRNGKeyArray,
    ) -> None:
        """Makes the prior.

        Args:
            latent_dim: The length of z.
            sites: How many places have codes.
            depth: How many codes each place has.
            count: How many codes there are to choose from.
            width: The length of the vectors that stand for a position.
            heads: Attentions side by side; they share the width.
            layers: How many blocks.
            key: The randomness of the weights.

        Raises:
            ValueError: A size is not positive, or the heads cannot share the width.
        """
        if min(sites, depth, heads, layers) < 1 or count < 2 or width % heads:
            raise ValueError(
                f"{sites} places of {depth} codes out of {count}, width {width}, {heads} heads and "
                f"{layers} layers: give positive numbers, and a width that the heads can share"
            )
        codes, places, rest = jax.random.split(key, 3)
        self.latent_dim = latent_dim
        self.embedding = _START * jax.random.normal(codes, (depth, count, width))
        self.position = _START * jax.random.normal(places, (sites * depth, width))
        self.blocks = tuple(Block(width, heads, key=k) for k in jax.random.split(rest, layers))
        self.norm = eqx.nn.LayerNorm(width)
        self.head = jnp.zeros((depth, width, count))

    def __call__(
        self, encoder: AbstractEncoder, condition: Array | None = None
    ) -> "SequenceOfCodes":
        """The distribution over the encoder's codes, whatever the condition is."""
        del condition
        return SequenceOfCodes(self, codes_of(encoder))

    def logits(self, indices: Int[Array, "sites depth"]) -> Float[Array, "length count"]:
        """Unnormalised log-probabilities of every choice at each position, given those before."""
        levels = jnp.arange(self.depth)
        embedded = self.embedding[levels, indices].reshape(len(self.position), -1)
        before = jnp.concatenate([jnp.zeros_like(embedded[:1]), embedded[:-1]])
        return self.of_embedded(before)

    def of_embedded(self, before: Float[Array, "length width"]) -> Float[Array, "length count"]:
        """The same, given what stands for the code before each position."""
        x = before + self.position
        for block in self.blocks:
            x = block(x)
        x = jax.vmap(self.norm)(x).reshape(-1, self.depth, x.shape[1])
        return jnp.einsum("sdw,dwc->sdc", x, self.head).reshape(len(self.position), -1)

    def draw(self, key: PRNGKeyArray) -> Int[Array, "sites depth"]:
        """One draw, code by code; of what came before only keys and values are kept."""
        length = len(self.position)

        def step(carry: Any, place: Int[Array, ""]) -> Any:
            before, caches = carry
            x, kept = before + self.position[place], []
            for block, cache in zip(self.blocks, caches, strict=True):
                x, after = block.step(x, cache, place)
                kept.append(after)
            level = place % self.depth
            logits = self.norm(x) @ self.head[level]
            code = jax.random.categorical(jax.random.fold_in(key, place), logits)
            return (self.embedding[level, code], kept), code

        start = jnp.zeros_like(self.position[0]), [block.empty(length) for block in self.blocks]
        _, codes = jax.lax.scan(step, start, jnp.arange(length))
        return codes.reshape(-1, self.depth)

    @property
    def depth(self) -> int:
        """How many codes each place has."""
        return self.embedding.shape[0]


class SequenceOfCodes(eqx.Module):
    """Codes one after the other, each with probabilities that follow from those before.

    Attributes:
        prior: What says how likely.
        codes: What they stand for (an `elbax.model.codes.families.AbstractCodes`).
    """

    prior: AutoregressiveCodes
    codes: Any

    def sample(self, key: PRNGKeyArray) -> Float[Array, " latent"]:
        """One draw."""
        return self.codes.vectors(self.prior.draw(key))

    def log_prob(self, value: Float[Array, " latent"]) -> Scalar:
        """The log-mass in nats of a latent that is made of codes."""
        return self.log_prob_of(self.codes.nearest(value))

    def log_prob_of(self, indices: Int[Array, "sites depth"]) -> Scalar:
        """The log-mass in nats of chosen codes."""
        log_probabilities = jax.nn.log_softmax(self.prior.logits(indices))
        chosen = indices.ravel()[:, None]
        return jnp.sum(jnp.take_along_axis(log_probabilities, chosen, axis=1))
