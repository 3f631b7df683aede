"""A rate that is prescribed: controlled capacity."""

from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray, Scalar

from elbax.model.interfaces import Batch, Metrics
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.model.objectives.stateless import AbstractStatelessObjective
from elbax.model.objectives.terms import batch_terms, check_not_negative, check_samples, metrics


class TargetRate(AbstractStatelessObjective):
    """−E_q[log p(x|z)] + γ |KL(q(z|x) ‖ p(z)) − C|, averaged over the batch (Burgess et al. 2018).

    Their eq. 8: a latent that may hold C nats, no more and no less, where C grows with the step.
    The absolute value is of the batch's average KL, as in their experiments. Above C it is the
    β-VAE's loss of β = γ, less γ C; below it the KL is driven up as hard.

    Attributes:
        rate: C in nats, a number or a function of the step (`elbax.train.schedules.target_rate`
            grows it from 0; they go to 25 within 100,000 steps).
        gamma: γ; 1,000 is theirs.
        samples: Draws z ~ q(z|x) a datum, averaged.
    """

    name: ClassVar[str] = "target-rate"

    rate: float | Callable[[Int[Array, ""]], Any] = 25.0
    gamma: float = 1000.0
    samples: int = eqx.field(static=True, default=1)

    def __check_init__(self) -> None:
        check_samples(self.samples)
        check_not_negative(gamma=self.gamma)
        if not callable(self.rate):
            check_not_negative(rate=self.rate)

    def loss(
        self, model: LatentVariableModel, batch: Batch, *, step: Int[Array, ""], key: PRNGKeyArray
    ) -> tuple[Scalar, Metrics]:
        """Metrics as `NegativeELBO`'s, and `target_rate`, which is C."""
        mean = batch_terms(model, batch, key, self.samples)
        rate = jnp.asarray(self.rate(step) if callable(self.rate) else self.rate, mean.kl.dtype)
        loss = self.gamma * jnp.abs(mean.kl - rate) - mean.fit
        return loss, {**metrics(mean), "target_rate": rate}
