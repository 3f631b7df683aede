"""Between the evidence lower bound and the importance-weighted one (Rainforth et al. 2018).

The more draws a bound weighs, the tighter it is, and the less the encoder learns from it: the
signal of its gradient falls with 1/k, and the noise with 1/√k only. These three keep some of the
encoder's signal.
"""

from typing import ClassVar, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, Scalar

from elbax.model.interfaces import Batch, Metrics
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.model.objectives.bounds.importance_weighted import importance_weighted
from elbax.model.objectives.stateless import AbstractStatelessObjective
from elbax.model.objectives.terms import batch_bound, check_samples, metrics

T = TypeVar("T")


class MultiplyImportanceWeighted(AbstractStatelessObjective):
    """−E[1/M Σₘ log 1/K Σₖ wₘₖ], w = p(x, z) / q(z|x): M bounds of K draws (Rainforth et al. 2018).

    Their MIWAE (§5.1): the importance-weighted bound of K draws, averaged over M independent ones.
    M = 1 is that bound of K draws, K = 1 the evidence lower bound of M draws. (Another MIWAE, of
    missing data, is `ImportanceWeightedELBO` on data with holes.)

    Attributes:
        samples: K, the draws that each bound weighs.
        repeats: M, the bounds that are averaged.
    """

    name: ClassVar[str] = "miwae"

    samples: int = eqx.field(static=True, default=8)
    repeats: int = eqx.field(static=True, default=8)

    def __check_init__(self) -> None:
        _check(self.samples, self.repeats)

    def loss(
        self, model: LatentVariableModel, batch: Batch, *, step: Int[Array, ""], key: PRNGKeyArray
    ) -> tuple[Scalar, Metrics]:
        """Metrics as `ImportanceWeightedELBO`'s, of the bound of K draws."""
        del step
        bound, terms = batch_bound(
            model, batch, key, self.repeats * self.samples, lambda w: _averaged(w, self.samples)
        )
        return -bound, {**metrics(terms), "importance_weighted_bound": bound}


class CombinedImportanceWeighted(AbstractStatelessObjective):
    """−β ELBO − (1 − β) importance-weighted bound, of the same draws (Rainforth et al. 2018).

    Their CIWAE (§5.2). β = 1 is the evidence lower bound of k draws, β = 0 the importance-weighted
    one.

    Attributes:
        samples: k, the draws z ~ q(z|x) of a datum.
        share: β, from 0 to 1; it is no weight of the KL.
    """

    name: ClassVar[str] = "ciwae"

    samples: int = eqx.field(static=True, default=64)
    share: float = eqx.field(static=True, default=0.5)

    def __check_init__(self) -> None:
        check_samples(self.samples)
        if not 0 <= self.share <= 1:
            raise ValueError(f"share is {self.share}; it must be from 0 to 1")

    def loss(
        self, model: LatentVariableModel, batch: Batch, *, step: Int[Array, ""], key: PRNGKeyArray
    ) -> tuple[Scalar, Metrics]:
        """Metrics as `ImportanceWeightedELBO`'s; the loss lies between the two bounds."""
        del step
        whole, terms = batch_bound(model, batch, key, self.samples, importance_weighted)
        bound = self.share * jnp.asarray(terms.bound) + (1.0 - self.share) * whole
        return -bound, {**metrics(terms), "importance_weighted_bound": whole}


class PartiallyImportanceWeighted(AbstractStatelessObjective):
    """One bound of M K draws for the decoder, M of K for the encoder (Rainforth et al. 2018).

    Their PIWAE (§5.3). The value is the importance-weighted bound of all M K draws, and so is the
    gradient of the decoder and the prior; the gradient of the encoder is `miwae`'s. It is the
    gradient of no one function.

    Where the prior is made of the encoder (a VampPrior), all that is the encoder's gets the
    encoder's gradient.

    Attributes:
        samples: K, the draws that each of the encoder's bounds weighs.
        repeats: M, how many of these there are.
    """

    name: ClassVar[str] = "piwae"
    true_gradient: ClassVar[bool] = False

    samples: int = eqx.field(static=True, default=8)
    repeats: int = eqx.field(static=True, default=8)

    def __check_init__(self) -> None:
        _check(self.samples, self.repeats)

    def loss(
        self, model: LatentVariableModel, batch: Batch, *, step: Int[Array, ""], key: PRNGKeyArray
    ) -> tuple[Scalar, Metrics]:
        """Metrics as `ImportanceWeightedELBO`'s, of all draws."""
        del step
        count = self.repeats * self.samples
        # The draws are the same in both, and so is all that is computed forwards.
        learning = eqx.tree_at(lambda m: m.encoder, model, _fixed(model.encoder))
        bound, terms = batch_bound(learning, batch, key, count, importance_weighted)
        inferring = eqx.tree_at(lambda m: m.encoder, _fixed(model), model.encoder)
        inferred, _ = batch_bound(
            inferring, batch, key, count, lambda w: _averaged(w, self.samples)
        )
        loss = -bound - (inferred - jax.lax.stop_gradient(inferred))
        return loss, {**metrics(terms), "importance_weighted_bound": bound}


def _averaged(log_weights: Float[Array, " draws"], samples: int) -> Scalar:
    """The importance-weighted bounds of so many draws each, averaged."""
    return jnp.mean(jax.vmap(importance_weighted)(log_weights.reshape(-1, samples)))


def _fixed(module: T) -> T:
    """The same, its parameters constants."""
    arrays, rest = eqx.partition(module, eqx.is_inexact_array)
    return eqx.combine(jax.lax.stop_gradient(arrays), rest)


def _check(samples: int, repeats: int) -> None:
    check_samples(samples)
    if repeats < 1:
        raise ValueError(f"repeats is {repeats}; give at least one")
