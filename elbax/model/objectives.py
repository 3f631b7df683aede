"""What training minimises."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree, Scalar, Shaped

from elbax.model.distributions import sample, sample_and_log_prob
from elbax.model.divergences import has_closed_form, kl_divergence, kl_per_dimension
from elbax.model.interfaces import AbstractObjective, Batch, Metrics
from elbax.model.latent_variable_model import LatentVariableModel


class ElboTerms(eqx.Module):
    """The evidence lower bound of one datum, in its parts, in nats.

    Attributes:
        reconstruction: log p(x|z) at one draw z ~ q(z|x): an unbiased estimate of E_q[log p(x|z)].
        kl: KL(q(z|x) ‖ p(z)): exact where the table of closed forms has the pair, otherwise log
            q(z) − log p(z) at the same draw.
        kl_per_latent: The same for each dimension, where both factorise; else None.
    """

    reconstruction: Scalar
    kl: Scalar
    kl_per_latent: Float[Array, " latent"] | None

    @property
    def elbo(self) -> Shaped[Array | np.ndarray, "..."]:
        """The bound itself: reconstruction − kl."""
        return self.reconstruction - self.kl


def elbo_terms(
    model: LatentVariableModel,
    x: Array,
    key: PRNGKeyArray,
    mask: Array | None = None,
    condition: Array | None = None,
) -> ElboTerms:
    """One draw of the evidence lower bound of one datum.

    Kingma & Welling 2013, eq. 3; eq. 2 where the KL has no closed form.

    Args:
        model: The model.
        x: One datum, preprocessed.
        key: The randomness of the draw z ~ q(z|x).
        mask: True where x was observed.
        condition: What the model is conditioned on.
    """
    q = model.encode(x, condition)
    p = model.prior_distribution(condition)
    if has_closed_form(q, p):
        z = sample(q, key)
        kl = kl_divergence(q, p)
    else:
        z, log_q = sample_and_log_prob(q, key)
        kl = log_q - p.log_prob(z)
    return ElboTerms(model.log_likelihood(x, z, mask, condition), kl, kl_per_dimension(q, p))


class NegativeELBO(AbstractObjective):
    """−E_q[log p(x|z)] + β KL(q(z|x) ‖ p(z)), averaged over the batch.

    The summary's loss at β = 1; Higgins et al. 2017 for another β; a β that grows from 0 is the
    warm-up of Sønderby et al. 2016.

    Attributes:
        beta: The weight of the KL, a number or a function of the step (any `optax` schedule).
    """

    beta: float | Callable[[Int[Array, ""]], Any] = eqx.field(static=True, default=1.0)

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
        """The loss of a batch; metrics: `loss`, `elbo`, `reconstruction`, `kl`, `kl_per_latent`."""
        keys = jax.random.split(key, batch.x.shape[0])
        terms = jax.vmap(lambda x, k, mask: elbo_terms(model, x, k, mask))(
            batch.x, keys, batch.mask
        )
        mean = jax.tree.map(lambda term: jnp.mean(term, axis=0), terms)
        beta = self.beta(step) if callable(self.beta) else self.beta
        loss = beta * mean.kl - mean.reconstruction
        metrics = {
            "loss": loss,
            "elbo": mean.elbo,
            "reconstruction": mean.reconstruction,
            "kl": mean.kl,
        }
        if mean.kl_per_latent is not None:
            metrics["kl_per_latent"] = mean.kl_per_latent
        return loss, (state, metrics)
