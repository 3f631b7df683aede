"""The objective of models whose latents are codes, which moves the codes as well."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree, Scalar

from elbax.model.codes.families import AbstractCodes, codes_of
from elbax.model.codes.point import ChosenCodes
from elbax.model.compatibility import check_objective
from elbax.model.interfaces import AbstractObjective, Batch, Metrics, PosteriorNeed
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.model.objectives.terms import (
    ElboTerms,
    check_not_negative,
    draw,
    map_rows,
    mean,
    metrics,
)
from elbax.util.keys import stream

_LEAST = 1e-6  # of a code's count: one that is not used stays where it is, and never divides 0 by 0


class CodebookState(eqx.Module):
    """Moving averages of what codes are chosen for (van den Oord et al. 2017, eq. 6 to 8).

    Attributes:
        counts: How often each code is chosen in a batch.
        sums: The sum of what it is chosen for; their quotient is the code.
    """

    counts: Float[Array, "depth count"]
    sums: Float[Array, "depth count width"]


class QuantisedELBO(AbstractObjective):
    """−ELBO + β ‖e − sg(code)‖², the codes by moving averages (van den Oord et al. 2017, eq. 3).

    The bound is log p(x|z) less log K for each code, under a uniform prior. What the encoder gives,
    e, is drawn to its codes by the commitment; the codes follow it by moving averages of what they
    are chosen for (their appendix A.1), outside of the gradient. A code that is chosen less than
    `restart` times as often as the average starts anew at one of the batch's e, drawn at random, as
    Zeghidour et al. 2021, §III.C do (below two a batch there). Codes that are fixed (fsq) know
    neither.

    Attributes:
        commitment: β; 0.25 is the authors'.
        decay: The weight of the past in the moving averages; 0.99 is the authors'.
        restart: Below which share of the average use a code starts anew; 0: never. 0.05 is ours.
    """

    name: ClassVar[str] = "vq"
    posterior: ClassVar[PosteriorNeed] = "codes"
    true_gradient: ClassVar[bool] = False

    commitment: float = 0.25
    decay: float = 0.99
    restart: float = 0.05

    def __check_init__(self) -> None:
        check_not_negative(commitment=self.commitment)
        for name, value in (("decay", self.decay), ("restart", self.restart)):
            if not 0 <= value < 1:
                raise ValueError(f"{name} is {value}; it must be from 0 to below 1")

    def init(self, model: LatentVariableModel) -> CodebookState | None:
        """Every code chosen once, for itself; None where there is no codebook."""
        check_objective(self, model)
        codebook = codes_of(model.encoder).codebook
        if codebook is None:
            return None
        return CodebookState(jnp.ones(codebook.vectors.shape[:2]), codebook.vectors)

    def __call__(
        self,
        model: LatentVariableModel,
        batch: Batch,
        *,
        state: CodebookState | None,
        step: Int[Array, ""],
        key: PRNGKeyArray,
    ) -> tuple[Scalar, tuple[PyTree, Metrics]]:
        """The loss of a batch.

        Metrics as `NegativeELBO`'s; `commitment`, ‖e − code‖² of a datum; and `perplexity`, that of
        the use of codes in the batch: exp of its entropy, as many codes as there would be if all
        were used alike (the mean over levels).

        Raises:
            ValueError: The model's latents are no codes.
        """
        del step
        check_objective(self, model)
        family = codes_of(model.encoder)

        def of_datum(
            x: Array, key: PRNGKeyArray, mask: Array | None, condition: Array | None
        ) -> tuple[ElboTerms, ChosenCodes]:
            q, _, terms = draw(model, x, key, mask, condition)
            return terms, q

        terms, chosen = map_rows(of_datum, batch, key)
        terms, distances = mean(terms), jax.vmap(lambda one: one.distances)(chosen)
        commitment = jnp.mean(jnp.sum(distances, axis=(1, 2)))
        loss = self.commitment * commitment - terms.bound
        use = use_of(family, chosen.indices)
        found = {**metrics(terms), "commitment": commitment, "perplexity": perplexity(use).mean()}
        moved = None
        if state is not None:
            moved = self._follow(state, jax.lax.stop_gradient(chosen), key)
        return loss, (moved, {"loss": loss, **found})

    def moved(self, model: LatentVariableModel, state: CodebookState | None) -> LatentVariableModel:
        """The model with the codes where the state has them."""
        if state is None:
            return model
        vectors = state.sums / state.counts[..., None]
        return eqx.tree_at(lambda m: m.encoder.posterior.codes.vectors, model, vectors)

    def _follow(
        self, state: CodebookState, chosen: ChosenCodes, key: PRNGKeyArray
    ) -> CodebookState:
        """The moving averages after a batch, each level by itself."""
        depth, count = state.counts.shape
        # Products of matrices: a scatter would add in another order at each call on a GPU.
        points = jnp.moveaxis(chosen.seen, 2, 0).reshape(depth, -1, state.sums.shape[2])
        which = jnp.moveaxis(chosen.indices, 2, 0).reshape(depth, -1)
        one_hot = jax.nn.one_hot(which, count, dtype=points.dtype)
        times = jnp.sum(one_hot, axis=1)
        sums = jnp.einsum("dpc,dpw->dcw", one_hot, points, precision="highest")

        left = jnp.where((times == 0) & (state.counts < _LEAST), 1.0, self.decay)
        counts = left * state.counts + (1.0 - left) * times
        sums = left[..., None] * state.sums + (1.0 - left)[..., None] * sums
        if self.restart == 0:
            return CodebookState(counts, sums)
        average = points.shape[1] / count
        keys = jax.random.split(stream(key, "restart"), depth)
        fresh = jax.vmap(lambda key, rows: jax.random.choice(key, rows, (count,)))(keys, points)
        dead = counts < self.restart * average
        counts = jnp.where(dead, average, counts)
        sums = jnp.where(dead[..., None], average * fresh, sums)
        return CodebookState(counts, sums)


def use_of(
    family: AbstractCodes, indices: Int[Array, "rows sites depth"]
) -> Float[Array, "depth count"]:
    """How often each code of each level was chosen, as shares that sum to one a level."""
    one_hot = jax.nn.one_hot(indices, family.count)
    return jnp.mean(one_hot, axis=(0, 1))


def perplexity(use: Float[Array, "*levels count"]) -> Float[Array, "*levels"]:
    """Exp of the entropy of shares: K where K codes are used alike, 1 where one is used alone."""
    return jnp.exp(-jnp.sum(jax.scipy.special.xlogy(use, use), axis=-1))
