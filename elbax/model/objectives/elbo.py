"""The evidence lower bound, with a weight on the KL and free bits."""

from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray, Scalar

from elbax.model.interfaces import Batch, Metrics
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.model.objectives.stateless import AbstractStatelessObjective
from elbax.model.objectives.terms import (
    ElboTerms,
    KLEstimate,
    batch_terms,
    check_not_negative,
    check_samples,
    metrics,
)


class NegativeELBO(AbstractStatelessObjective):
    """−E_q[log p(x|z)] + β KL(q(z|x) ‖ p(z)), over the batch (Kingma & Welling 2013, eq. 3).

    The summary's loss at β = 1; Higgins et al. 2017 for another β; a β that grows from 0 is the
    warm-up of Sønderby et al. 2016, and one that grows again and again is Fu et al. 2019's.

    With `Batch.mask` the first term is of the observed elements alone: a lower bound on log p of
    these (Mattei & Frellsen 2019, at one draw).

    Attributes:
        beta: The weight of the KL, a number or a function of the step (any `optax` schedule).
        samples: Draws z ~ q(z|x) a datum, averaged (Kingma & Welling 2013's L).
        kl: "closed" takes the KL's closed form where there is one; "monte-carlo" averages
            log q(z|x) − log p(z) over the same draws (the VAE with k > 1 of Burda et al. 2015).
        free_bits: λ nats that each latent may hold at no cost: its KL, averaged over the batch, is
            charged as max(λ, KL) (Kingma et al. 2016, eq. 16), so that nothing drives it below. The
            reported KL is the whole one.
    """

    name: ClassVar[str] = "elbo"

    beta: float | Callable[[Int[Array, ""]], Any] = 1.0
    samples: int = eqx.field(static=True, default=1)
    kl: KLEstimate = eqx.field(static=True, default="closed")
    free_bits: float = eqx.field(static=True, default=0.0)

    def __check_init__(self) -> None:
        check_samples(self.samples)
        check_not_negative(free_bits=self.free_bits)
        if not callable(self.beta):
            check_not_negative(beta=self.beta)
        if self.kl not in ("closed", "monte-carlo"):
            raise ValueError(f"kl is {self.kl!r}; it can be 'closed' or 'monte-carlo'")

    def loss(
        self, model: LatentVariableModel, batch: Batch, *, step: Int[Array, ""], key: PRNGKeyArray
    ) -> tuple[Scalar, Metrics]:
        """Metrics: `elbo`, `reconstruction`, `kl`, `kl_per_latent`.

        Raises:
            ValueError: There are free bits, and prior or posterior do not factorise.
        """
        mean = batch_terms(model, batch, key, self.samples, self.kl)
        beta = self.beta(step) if callable(self.beta) else self.beta
        loss = beta * self._charged(mean) - mean.fit
        return loss, metrics(mean)

    def _charged(self, mean: ElboTerms) -> Scalar:
        """The KL that the loss charges."""
        if self.free_bits == 0:
            return mean.kl
        if mean.kl_per_latent is None:
            raise ValueError(
                "free bits need the KL of each latent, and prior and posterior do not both "
                "factorise; use a standard normal prior and a diagonal normal posterior"
            )
        return jnp.sum(jnp.maximum(mean.kl_per_latent, self.free_bits))
