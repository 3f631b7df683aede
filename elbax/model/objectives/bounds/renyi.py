"""The variational Rényi bound."""

import math
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, Scalar

from elbax.model.interfaces import Batch, Metrics
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.model.objectives.stateless import AbstractStatelessObjective
from elbax.model.objectives.terms import batch_bound, check_samples, metrics


class RenyiBound(AbstractStatelessObjective):
    """−1/(1 − α) log E_q[(p(x, z) / q(z|x))^(1 − α)], by k draws (Li & Turner 2016, eq. 8).

    log p(x) less Rényi's divergence D_α(q ‖ p(z|x)). α → 1 is the evidence lower bound, α = 0 the
    importance-weighted bound, α from 0 to 1 what lies between them: q covers p(z|x) the more the
    smaller α is. Its limit at −∞ is the best of the k draws alone (their VR-max). The average over
    the k draws is inside the logarithm, so for a finite k the bound is lower (α < 1) or higher
    (α > 1) than its name says; at α ≥ 0 it is a lower bound on log p(x) on average whatever k is,
    below 0 it may be above.

    Attributes:
        alpha: α, any number.
        samples: k, the draws z ~ q(z|x) of a datum.
        best: Whether the best of the k draws counts alone: α = −∞, whatever alpha is.
    """

    name: ClassVar[str] = "renyi"

    alpha: float = eqx.field(static=True, default=0.5)
    samples: int = eqx.field(static=True, default=5)
    best: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        check_samples(self.samples)
        if not math.isfinite(self.alpha):
            raise ValueError(f"alpha is {self.alpha}; it must be a finite number (best: -inf)")

    def loss(
        self, model: LatentVariableModel, batch: Batch, *, step: Int[Array, ""], key: PRNGKeyArray
    ) -> tuple[Scalar, Metrics]:
        """Metrics as `NegativeELBO`'s, and `renyi_bound`."""
        del step
        bound, terms = batch_bound(model, batch, key, self.samples, self._of_weights)
        return -bound, {**metrics(terms), "renyi_bound": bound}

    def _of_weights(self, log_weights: Float[Array, " samples"]) -> Scalar:
        if self.best:
            return jnp.max(log_weights)
        if self.alpha == 1:
            return jnp.mean(log_weights)
        power = 1.0 - self.alpha
        total = jax.nn.logsumexp(power * log_weights)
        return (total - math.log(self.samples)) / power
