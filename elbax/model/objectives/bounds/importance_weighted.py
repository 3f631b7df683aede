"""The importance-weighted bound, and three gradients of it.

The bound depends on the parameters of q(z|x) twice: through the draws, and through the
density q that the draws are weighted by. The second part, a score function, is noise on average
zero where k = 1, and hides the signal where k is large (Rainforth et al. 2018). Two of the three
objectives here follow the draws alone.
"""

import dataclasses
import math
from typing import ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, Scalar

from elbax.model.distributions.basic import sample
from elbax.model.distributions.divergences import kl_per_dimension
from elbax.model.interfaces import Batch, Latent, Metrics, PosteriorNeed
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.model.objectives.stateless import AbstractStatelessObjective
from elbax.model.objectives.terms import (
    ElboTerms,
    batch_bound,
    check_samples,
    log_missingness,
    map_rows,
    mean,
    metrics,
)


class AbstractImportanceWeighted(AbstractStatelessObjective):
    """−E[log 1/k Σᵢ p(x, zᵢ) / q(zᵢ|x)], zᵢ ~ q(z|x), averaged over the batch.

    * `gradient`: "plain" is that of the bound; "path" leaves out the score of q; "doubly" has it
      reparameterised.
    """

    gradient: ClassVar[Literal["plain", "path", "doubly"]] = "plain"

    samples: eqx.AbstractVar[int]

    def __check_init__(self) -> None:
        check_samples(self.samples)

    def loss(
        self, model: LatentVariableModel, batch: Batch, *, step: Int[Array, ""], key: PRNGKeyArray
    ) -> tuple[Scalar, Metrics]:
        """The negative bound.

        Metrics: `importance_weighted_bound`; and `elbo`, `reconstruction` and `kl`, averaged over
        the same draws, so that no `elbo` of a datum is above its bound. (`kl_per_latent` is in
        closed form, where there is one.)
        """
        del step

        def of_datum(
            x: Array, key: PRNGKeyArray, mask: Array | None, condition: Array | None
        ) -> tuple[Scalar, ElboTerms]:
            terms, kl_per_latent = self._along_paths(model, x, key, mask, condition)
            average = dataclasses.replace(mean(terms), kl_per_latent=kl_per_latent)
            return importance_weighted(jnp.asarray(terms.bound)), average

        if self.gradient == "plain":
            bound, average = batch_bound(model, batch, key, self.samples, importance_weighted)
        else:
            bounds, terms = map_rows(of_datum, batch, key)
            bound, average = jnp.mean(bounds), mean(terms)
        return -bound, {**metrics(average), "importance_weighted_bound": bound}

    def _along_paths(
        self,
        model: LatentVariableModel,
        x: Array,
        key: PRNGKeyArray,
        mask: Array | None,
        condition: Array | None,
    ) -> tuple[ElboTerms, Float[Array, " latent"] | None]:
        """The terms at the draws of `draws`, q held fixed but for the draws; the KL per latent."""
        q, p = model.encode(x, condition), model.prior_distribution(condition)
        fixed = jax.lax.stop_gradient(q)

        def weigh(z: Latent, key: PRNGKeyArray) -> ElboTerms:
            reconstruction = model.log_likelihood(x, z, mask, condition)
            missingness = log_missingness(model, x, z, key, mask, condition)
            return ElboTerms(reconstruction, fixed.log_prob(z) - p.log_prob(z), None, missingness)

        keys = key[None] if self.samples == 1 else jax.random.split(key, self.samples)
        z = jax.vmap(lambda key: sample(q, key))(keys)
        if self.gradient == "doubly":
            z = _scale_gradient(z, jax.nn.softmax(jax.vmap(weigh)(z, keys).bound))
        return jax.vmap(weigh)(z, keys), kl_per_dimension(q, p)


class ImportanceWeightedELBO(AbstractImportanceWeighted):
    """−E[log 1/k Σᵢ p(x, zᵢ) / q(zᵢ|x)], zᵢ ~ q(z|x), over the batch (Burda et al. 2015, eq. 8).

    The bound rises with k, from the evidence lower bound at k = 1 to log p(x). Its gradient is that
    of the reparameterised draws (eq. 13, each draw's term by its normalised weight).

    With `Batch.mask` it is the bound for missing data of Mattei & Frellsen 2019 (eq. 4, called
    `missing-iwae` here): on log p of the observed elements, when what is missing is missing at
    random. Nothing else is needed but that cells are filled before they meet the encoder.

    Attributes:
        samples: k, the draws z ~ q(z|x) of a datum.
    """

    name: ClassVar[str] = "importance-weighted"

    samples: int = eqx.field(static=True, default=5)


class StickingTheLanding(AbstractImportanceWeighted):
    """The importance-weighted bound, the score of q left out (Roeder et al. 2017, §4).

    The value is that of `ImportanceWeightedELBO` at the same draws. The gradient of the encoder is
    without bias at k = 1 only, where it has no variance left once q(z|x) is the exact posterior;
    **at k > 1 it is biased** (Tucker et al. 2019, §3: use `DoublyReparameterised`). That of the
    decoder is the plain one.

    Attributes:
        samples: k, the draws z ~ q(z|x) of a datum.
    """

    name: ClassVar[str] = "sticking-the-landing"
    posterior: ClassVar[PosteriorNeed] = "log-prob"
    pathwise: ClassVar[bool] = True
    true_gradient: ClassVar[bool] = False
    gradient = "path"

    samples: int = eqx.field(static=True, default=1)


class DoublyReparameterised(AbstractImportanceWeighted):
    """The importance-weighted bound, the score of q reparameterised (Tucker et al. 2019, eq. 8).

    The value is that of `ImportanceWeightedELBO` at the same draws, and so is the gradient on
    average, with less noise in the encoder's part. With weights wᵢ that sum to one, the decoder and
    the prior get Σ wᵢ ∂ log p(x, zᵢ), as in the plain gradient, and the encoder Σ wᵢ² ∂zᵢ times the
    derivative of log p(x, zᵢ) − log q(zᵢ|x) by zᵢ.

    Where the prior is made of the encoder (a VampPrior), the encoder's parameters inside log p(z)
    are the prior's: they get their plain part, wᵢ ∂ log p(zᵢ) at fixed zᵢ, besides. That is without
    bias, for the identity above concerns q alone. (Bauer & Mnih 2021, §4, reparameterise the score
    of such a prior too, for less noise: not done here.)

    Attributes:
        samples: k, the draws z ~ q(z|x) of a datum.
    """

    name: ClassVar[str] = "doubly-reparameterised"
    posterior: ClassVar[PosteriorNeed] = "log-prob"
    pathwise: ClassVar[bool] = True
    true_gradient: ClassVar[bool] = False
    gradient = "doubly"

    samples: int = eqx.field(static=True, default=5)


def importance_weighted(log_weights: Float[Array, " samples"]) -> Scalar:
    """Log 1/k Σᵢ wᵢ, in nats."""
    return jax.nn.logsumexp(log_weights) - math.log(len(log_weights))


def _scale_gradient(z: Latent, weights: Float[Array, " samples"]) -> Latent:
    """The same draws, one along the leading axis, whose gradients are scaled by weights."""
    weights = jax.lax.stop_gradient(weights)

    def scale(leaf: Array) -> Array:
        fixed = jax.lax.stop_gradient(leaf)
        return fixed + (leaf - fixed) * weights.reshape(-1, *(1,) * (leaf.ndim - 1))

    return jax.tree.map(scale, z)
