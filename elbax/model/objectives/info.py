"""A bound whose KL makes way for a discrepancy between q(z) and p(z)."""

from typing import ClassVar

import equinox as eqx
import jax
from jaxtyping import Array, Int, PRNGKeyArray, Scalar

from elbax.model.interfaces import Batch, Metrics
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.model.objectives.discrepancy import (
    Kernel,
    check_kernel,
    maximum_mean_discrepancy,
    prior_draws,
)
from elbax.model.objectives.stateless import AbstractStatelessObjective
from elbax.model.objectives.terms import batch_draws, metrics


class InfoVAE(AbstractStatelessObjective):
    """−E_q[log p(x|z)] + (1 − α) KL + (α + λ − 1) MMD²(q(z), p(z)) (Zhao et al. 2017, eq. 6).

    Maximum mean discrepancy is the divergence of the aggregate posterior. The KL of each datum
    makes the latent say less of x than it could (α adds mutual information); the discrepancy asks
    only that all data together look like the prior. α = 1 is their MMD-VAE; α = 0 and λ = 1 is the
    evidence lower bound.

    Attributes:
        alpha: α, at most 1; 1 leaves the KL out.
        scale: λ, at least 1 − α; images need hundreds, for the discrepancy is small beside nats.
        kernel: Of the discrepancy; see `elbax.model.objectives.discrepancy`.
    """

    name: ClassVar[str] = "info"
    fixed_prior: ClassVar[bool] = True
    compares_rows: ClassVar[bool] = True

    alpha: float = 0.0
    scale: float = 1000.0
    kernel: Kernel = eqx.field(static=True, default="gaussian")

    def __check_init__(self) -> None:
        check_kernel(self.kernel)
        if not self.alpha <= 1:
            raise ValueError(f"alpha is {self.alpha}; it must be at most 1")
        if not self.alpha + self.scale - 1 >= 0:
            raise ValueError(
                f"scale is {self.scale}; with this alpha give {1 - self.alpha} or more"
            )

    def loss(
        self, model: LatentVariableModel, batch: Batch, *, step: Int[Array, ""], key: PRNGKeyArray
    ) -> tuple[Scalar, Metrics]:
        """Metrics as `NegativeELBO`'s, and `mmd`, which is MMD²."""
        del step
        posterior_key, prior_key = jax.random.split(key)
        z, mean = batch_draws(model, batch, posterior_key)
        mmd = maximum_mean_discrepancy(z, prior_draws(model, batch, prior_key), self.kernel)
        loss = (1.0 - self.alpha) * mean.kl - mean.fit
        loss = loss + (self.alpha + self.scale - 1.0) * mmd
        return loss, {**metrics(mean), "mmd": mmd}
