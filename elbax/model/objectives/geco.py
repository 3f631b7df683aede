"""A distortion that is prescribed: constrained optimisation with a multiplier."""

import math
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, Scalar

from elbax.model.compatibility import check_objective
from elbax.model.interfaces import AbstractObjective, Batch, Metrics
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.model.objectives.terms import batch_terms, check_not_negative, check_samples, metrics

_MOST = math.log(1e6)  # of |log λ|: a constraint that cannot be met must not overflow


class GecoState(eqx.Module):
    """What is carried from step to step.

    Attributes:
        log_multiplier: log λ.
        average: The moving average of the constraint, in nats per element.
    """

    log_multiplier: Float[Array, ""]
    average: Float[Array, ""]


class GECO(AbstractObjective):
    """KL(q(z|x) ‖ p(z)) under a constraint on the distortion (Rezende & Viola 2018, algorithm 1).

    The loss is KL + λ (D − tolerance), D = −E_q[log p(x|z)]. λ is multiplied at every step by
    exp(speed · C), where C is the moving average of the constraint, D − tolerance: it grows until
    the distortion is met, and falls where the model does better. At the end λ is 1/β of the β-VAE
    that reaches this distortion. (Theirs is the squared error: for a normal likelihood the negative
    log-likelihood is that, in nats.)

    Losses of two steps are not comparable, for λ changes: early stopping is of no use.

    Attributes:
        tolerance: The distortion to be reached, in nats per observed element of the datum, so that
            it does not depend on the size of an image. 0.1 is a fair start for binary images.
        speed: How fast log λ changes, per step and nat per element.
        smoothing: The weight of the past in the moving average; 0.99 is theirs.
        samples: Draws z ~ q(z|x) a datum, averaged.
    """

    name: ClassVar[str] = "geco"

    tolerance: float = 0.1
    speed: float = 0.1
    smoothing: float = 0.99
    samples: int = eqx.field(static=True, default=1)

    def __check_init__(self) -> None:
        check_samples(self.samples)
        check_not_negative(speed=self.speed)
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"smoothing is {self.smoothing}; it must be from 0 to below 1")

    def init(self, model: LatentVariableModel) -> GecoState:
        """λ = 1, and no average yet."""
        del model
        return GecoState(jnp.zeros(()), jnp.zeros(()))

    def __call__(
        self,
        model: LatentVariableModel,
        batch: Batch,
        *,
        state: GecoState,
        step: Int[Array, ""],
        key: PRNGKeyArray,
    ) -> tuple[Scalar, tuple[GecoState, Metrics]]:
        """The loss of a batch.

        Metrics as `NegativeELBO`'s, and `multiplier`, the λ of this loss, and `constraint`, this
        batch's D − tolerance in nats per element.
        """
        check_objective(self, model)
        mean = batch_terms(model, batch, key, self.samples)
        # Per row, of those that the likelihood counts; of nothing observed there is no constraint.
        observed = ~jnp.isnan(batch.x) if batch.mask is None else batch.mask & ~jnp.isnan(batch.x)
        elements = jnp.maximum(jnp.sum(observed) / batch.x.shape[0], 1.0)
        constraint = -mean.reconstruction / elements - self.tolerance
        now = jax.lax.stop_gradient(constraint)
        average = self.smoothing * state.average + (1.0 - self.smoothing) * now
        average = jnp.where(step == 0, now, average)
        multiplier = jnp.exp(state.log_multiplier)
        loss = mean.kl + multiplier * elements * constraint
        loss = loss + (mean.reconstruction - mean.fit)  # the mechanism of missing cells, if any
        log_multiplier = jnp.clip(state.log_multiplier + self.speed * average, -_MOST, _MOST)
        found = {"multiplier": multiplier, "constraint": now}
        moved = GecoState(log_multiplier, average)
        return loss, (moved, {"loss": loss, **metrics(mean), **found})
