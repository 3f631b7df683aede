"""The importance-weighted bound, with its plain gradient."""

import math
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray, PyTree, Scalar

from elbax.model.interfaces import AbstractObjective, Batch, Metrics
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.model.objectives.terms import ElboTerms, check_samples, draws, mean, metrics


class ImportanceWeightedELBO(AbstractObjective):
    """−E[log 1/k Σᵢ p(x, zᵢ) / q(zᵢ|x)], zᵢ ~ q(z|x), over the batch (Burda et al. 2015, eq. 8).

    The bound rises with k, from the evidence lower bound
    at k = 1 to log p(x). Its gradient is that of the draws as they move with the parameters of
    q(z|x) (eq. 13, each draw's term by its normalised weight).

    With `Batch.mask` it is the bound for missing data of Mattei & Frellsen 2019 (eq. 4, called
    `missing-iwae` here): on log p of the observed elements, when what is missing is missing at
    random. Nothing else is needed but that cells are filled before they meet the encoder.

    Attributes:
        samples: k, the draws z ~ q(z|x) of a datum.
    """

    name: ClassVar[str] = "importance-weighted"

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
        """The loss of a batch.

        Metrics: `loss`; `importance_weighted_bound`, its negative; and `elbo`, `reconstruction` and
        `kl`, averaged over the same draws, so that no `elbo` of a datum is above its bound.
        (`kl_per_latent` is in closed form, where there is one.)
        """
        del step

        def of_datum(
            x: Array, key: PRNGKeyArray, mask: Array | None, condition: Array | None
        ) -> tuple[Scalar, ElboTerms]:
            terms = draws(model, x, key, mask, condition, self.samples, "monte-carlo")
            bound = jax.nn.logsumexp(terms.elbo) - math.log(self.samples)
            return bound, mean(terms)

        keys = jax.random.split(key, batch.x.shape[0])
        bounds, terms = jax.vmap(of_datum)(batch.x, keys, batch.mask, batch.condition)
        bound = jnp.mean(bounds)
        found = {"loss": -bound, **metrics(mean(terms)), "importance_weighted_bound": bound}
        return -bound, (state, found)
