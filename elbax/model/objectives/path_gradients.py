"""The importance-weighted bound, with gradients that follow the draws of q(z|x) alone.

The bound depends on the parameters of q(z|x) twice: the draws move with them, and so does the
density q that the draws are weighed by. The second part, a score function, is noise on average
zero where k = 1, and hides the signal where k is large (Rainforth et al. 2018).
"""

import math
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree, Scalar

from elbax.model.distributions.basic import sample
from elbax.model.distributions.divergences import kl_per_dimension
from elbax.model.interfaces import (
    AbstractObjective,
    Batch,
    Latent,
    Metrics,
    PosteriorNeed,
)
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.model.objectives.terms import (
    ElboTerms,
    check_follows_draws,
    check_log_prob,
    check_samples,
    mean,
    metrics,
)


class StickingTheLanding(AbstractObjective):
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
    follows_draws: ClassVar[bool] = True
    true_gradient: ClassVar[bool] = False

    samples: int = eqx.field(static=True, default=1)

    def __check_init__(self) -> None:
        check_samples(self.samples)

    def init(self, model: LatentVariableModel) -> None:
        """Nothing is carried."""

    def __call__(
        self,
        model: LatentVariableModel,
        batch: Batch,
        *,
        state: PyTree,
        step: Int[Array, ""],
        key: PRNGKeyArray,
    ) -> tuple[Scalar, tuple[PyTree, Metrics]]:
        """The loss of a batch; the metrics are those of `ImportanceWeightedELBO`.

        Raises:
            ValueError: q(z|x) cannot be evaluated at any z, or its draws are relaxed.
        """
        del step
        return _bound(model, batch, state, key, self.samples, self.name, doubly=False)


class DoublyReparameterised(AbstractObjective):
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
    follows_draws: ClassVar[bool] = True
    true_gradient: ClassVar[bool] = False

    samples: int = eqx.field(static=True, default=5)

    def __check_init__(self) -> None:
        check_samples(self.samples)

    def init(self, model: LatentVariableModel) -> None:
        """Nothing is carried."""

    def __call__(
        self,
        model: LatentVariableModel,
        batch: Batch,
        *,
        state: PyTree,
        step: Int[Array, ""],
        key: PRNGKeyArray,
    ) -> tuple[Scalar, tuple[PyTree, Metrics]]:
        """The loss of a batch; the metrics are those of `ImportanceWeightedELBO`.

        Raises:
            ValueError: q(z|x) cannot be evaluated at any z, or its draws are relaxed.
        """
        del step
        return _bound(model, batch, state, key, self.samples, self.name, doubly=True)


def _bound(
    model: LatentVariableModel,
    batch: Batch,
    state: PyTree,
    key: PRNGKeyArray,
    samples: int,
    who: str,
    *,
    doubly: bool,
) -> tuple[Scalar, tuple[PyTree, Metrics]]:
    """The loss and metrics; `doubly` asks for the second reparameterisation."""

    def of_datum(
        x: Array, key: PRNGKeyArray, mask: Array | None, condition: Array | None
    ) -> tuple[Scalar, ElboTerms]:
        q, p = model.encode(x, condition), model.prior_distribution(condition)
        check_log_prob(q, who)
        check_follows_draws(q, who)
        fixed = jax.lax.stop_gradient(q)

        def weigh(z: Latent) -> ElboTerms:
            reconstruction = model.log_likelihood(x, z, mask, condition)
            return ElboTerms(reconstruction, fixed.log_prob(z) - p.log_prob(z), None)

        # The same draws as the plain objective's.
        keys = key[None] if samples == 1 else jax.random.split(key, samples)
        z = jax.vmap(lambda key: sample(q, key))(keys)
        if doubly:
            z = _scale_gradient(z, jax.nn.softmax(jax.vmap(weigh)(z).elbo))
        terms = jax.vmap(weigh)(z)
        bound = jax.nn.logsumexp(terms.elbo) - math.log(samples)
        average = mean(terms)
        return bound, ElboTerms(average.reconstruction, average.kl, kl_per_dimension(q, p))

    keys = jax.random.split(key, batch.x.shape[0])
    bounds, terms = jax.vmap(of_datum)(batch.x, keys, batch.mask, batch.condition)
    bound = jnp.mean(bounds)
    found = {"loss": -bound, **metrics(mean(terms)), "importance_weighted_bound": bound}
    return -bound, (state, found)


def _scale_gradient(z: Latent, weights: Float[Array, " samples"]) -> Latent:
    """The same draws, one along the leading axis, whose gradients are scaled by weights."""
    weights = jax.lax.stop_gradient(weights)

    def scale(leaf: Array) -> Array:
        fixed = jax.lax.stop_gradient(leaf)
        return fixed + (leaf - fixed) * weights.reshape(-1, *(1,) * (leaf.ndim - 1))

    return jax.tree.map(scale, z)
