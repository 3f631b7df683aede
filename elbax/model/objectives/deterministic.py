"""Objectives of deterministic autoencoders, which have no KL divergence and no bound."""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, Scalar

from elbax.model.interfaces import Batch, Metrics, PosteriorNeed
from elbax.model.latent_variable_model import Decoder, LatentVariableModel
from elbax.model.objectives.discrepancy import (
    Kernel,
    check_kernel,
    maximum_mean_discrepancy,
    prior_draws,
)
from elbax.model.objectives.stateless import AbstractStatelessObjective
from elbax.model.objectives.terms import (
    ElboTerms,
    check_not_negative,
    log_missingness,
    map_rows,
)


class WassersteinMMD(AbstractStatelessObjective):
    """−log p(x|f(x)) + λ MMD²(q(z), p(z)), averaged over the batch (Tolstikhin et al. 2018).

    Their WAE-MMD, algorithm 2: a transport cost between data and reconstructions, and a penalty
    where the latents of all data together do not look like the prior. The cost is the negative
    log-likelihood, in nats: with a normal likelihood of scale 1 it is ½‖x − x̂‖² and a constant.
    There is no bound on log p(x), and no KL.

    Attributes:
        scale: λ. The authors' code has 10 for MNIST beside a cost of 0.05 ‖x − x̂‖²: 100 here.
        kernel: Of the discrepancy; see `elbax.model.objectives.discrepancy`.
    """

    name: ClassVar[str] = "wae-mmd"
    posterior: ClassVar[PosteriorNeed] = "point"
    fixed_prior: ClassVar[bool] = True
    compares_rows: ClassVar[bool] = True
    has_bound: ClassVar[bool] = False

    scale: float = 100.0
    kernel: Kernel = eqx.field(static=True, default="inverse-multiquadratic")

    def __check_init__(self) -> None:
        check_kernel(self.kernel)
        check_not_negative(scale=self.scale)

    def loss(
        self, model: LatentVariableModel, batch: Batch, *, step: Int[Array, ""], key: PRNGKeyArray
    ) -> tuple[Scalar, Metrics]:
        """Metrics: `reconstruction` and `mmd` (MMD²)."""
        del step
        z, fit, reconstruction = _points(model, batch, key)
        mmd = maximum_mean_discrepancy(z, prior_draws(model, batch, key), self.kernel)
        return self.scale * mmd - fit, {"reconstruction": reconstruction, "mmd": mmd}


class RegularisedL2(AbstractStatelessObjective):
    """−log p(x|f(x)) + β ½‖f(x)‖² + λ ‖θ‖², averaged over the batch (Ghosh et al. 2020, eq. 11).

    Their RAE-L2: what the noise of a variational autoencoder does for the decoder is left to a
    penalty on its weights θ, and what the KL does to a penalty on the latent. There is no bound on
    log p(x) and no KL, and the prior is not used: fit one to the latents afterwards
    (`elbax.evaluate.latents.expost`).

    The defaults are those of the authors' code for MNIST, in nats of a normal likelihood of scale 1
    (theirs: 10⁻⁴ and 10⁻⁷, of a mean over pixels and a mean over 16 latents).

    Attributes:
        beta: The weight of half the squared length of z: 1 would be a standard normal's.
        decay: The weight of the squares of all of the decoder's network.
    """

    name: ClassVar[str] = "rae-l2"
    posterior: ClassVar[PosteriorNeed] = "point"
    has_bound: ClassVar[bool] = False

    beta: float = 0.005
    decay: float = 4e-5

    def __check_init__(self) -> None:
        check_not_negative(beta=self.beta, decay=self.decay)

    def loss(
        self, model: LatentVariableModel, batch: Batch, *, step: Int[Array, ""], key: PRNGKeyArray
    ) -> tuple[Scalar, Metrics]:
        """Metrics: `reconstruction`, `latent_square` (½‖z‖²) and `weight_square` (‖θ‖²)."""
        del step
        z, fit, reconstruction = _points(model, batch, key)
        latent = 0.5 * jnp.mean(jnp.sum(jnp.square(z), axis=-1))
        network = model.decoder.network if isinstance(model.decoder, Decoder) else model.decoder
        weights = _sum_of_squares(network)
        loss = self.beta * latent + self.decay * weights - fit
        found = {"reconstruction": reconstruction, "latent_square": latent}
        return loss, {**found, "weight_square": weights}


def _points(
    model: LatentVariableModel, batch: Batch, key: PRNGKeyArray
) -> tuple[Float[Array, "rows latent"], Scalar, Scalar]:
    """The latent of each row; what training raises; and the average of log p(x|z) in it."""

    def of_datum(
        x: Array, key: PRNGKeyArray, mask: Array | None, condition: Array | None
    ) -> tuple[Float[Array, " latent"], Scalar, Scalar]:
        z = model.encode(x, condition).mean
        reconstruction = model.log_likelihood(x, z, mask, condition)
        missingness = log_missingness(model, x, z, key, mask, condition)
        terms = ElboTerms(reconstruction, jnp.zeros(()), None, missingness)
        return z, jnp.asarray(terms.fit), reconstruction

    z, fit, reconstruction = map_rows(of_datum, batch, key)
    return z, jnp.mean(fit), jnp.mean(reconstruction)


def _sum_of_squares(module: Any) -> Scalar:
    arrays = jax.tree.leaves(eqx.filter(module, eqx.is_inexact_array))
    return jnp.sum(jnp.stack([jnp.sum(jnp.square(array)) for array in arrays]))
