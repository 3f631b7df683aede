"""The thermodynamic variational objective."""

import dataclasses
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, Scalar

from elbax.model.distributions.basic import sample
from elbax.model.distributions.divergences import kl_per_dimension
from elbax.model.interfaces import Batch, Latent, Metrics, PosteriorNeed
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.model.objectives.stateless import AbstractStatelessObjective
from elbax.model.objectives.terms import ElboTerms, log_missingness, map_rows, mean, metrics


class ThermodynamicObjective(AbstractStatelessObjective):
    """−∫ E_πβ[log p(x, z) / q(z|x)] dβ over [0, 1], summed from below (Masrani et al. 2019, eq. 7).

    On the way from q(z|x) to p(z|x) lie the densities πβ ∝ q^(1 − β) p(x, z)^β, and the integral
    along it is log p(x). The integrand rises with β, so a left Riemann sum over a partition of
    [0, 1] is a lower bound; with a single part it is the evidence lower bound. The expectations are
    taken with k draws of q under normalised weights w^β, w = p(x, z) / q(z|x), which costs a bias
    that falls with 1/k.

    The gradient is their covariance estimator (eq. 12): ∇E_πβ[f] = E_πβ[∇f] + Cov_πβ[∇ log πβ, f],
    at draws held fixed. So nothing has to be reparameterised, and latents may be discrete; for real
    latents it is noisier than gradients of the draws. It is not the derivative of the value here.

    Attributes:
        samples: k, the draws z ~ q(z|x) of a datum; at least 2, for a covariance.
        partitions: The parts of [0, 1].
        first: The least β above 0; the others rise from it to 1, evenly in log β. They choose it by
            k: 0.01 for 5 draws, 0.02 for 10, 0.03 for 50 (their code).
    """

    name: ClassVar[str] = "tvo"
    posterior: ClassVar[PosteriorNeed] = "log-prob"
    true_gradient: ClassVar[bool] = False

    samples: int = eqx.field(static=True, default=10)
    partitions: int = eqx.field(static=True, default=5)
    first: float = eqx.field(static=True, default=0.02)

    def __check_init__(self) -> None:
        if self.samples < 2:
            raise ValueError(f"samples is {self.samples}; a covariance needs at least two draws")
        if self.partitions < 1:
            raise ValueError(f"partitions is {self.partitions}; give at least one")
        if not 0 < self.first < 1:
            raise ValueError(f"first is {self.first}; it must be between 0 and 1")

    def loss(
        self, model: LatentVariableModel, batch: Batch, *, step: Int[Array, ""], key: PRNGKeyArray
    ) -> tuple[Scalar, Metrics]:
        """Metrics as `NegativeELBO`'s, and `thermodynamic_bound`."""
        del step

        def of_datum(
            x: Array, key: PRNGKeyArray, mask: Array | None, condition: Array | None
        ) -> tuple[Scalar, ElboTerms]:
            q, p = model.encode(x, condition), model.prior_distribution(condition)

            def weigh(key: PRNGKeyArray) -> tuple[Scalar, ElboTerms]:
                z: Latent = jax.lax.stop_gradient(sample(q, key))
                log_q = q.log_prob(z)
                reconstruction = model.log_likelihood(x, z, mask, condition)
                missingness = log_missingness(model, x, z, key, mask, condition)
                terms = ElboTerms(reconstruction, log_q - p.log_prob(z), None, missingness)
                return log_q, terms

            log_q, terms = jax.vmap(weigh)(jax.random.split(key, self.samples))
            average = dataclasses.replace(mean(terms), kl_per_latent=kl_per_dimension(q, p))
            return self._bound(jnp.asarray(terms.bound), log_q), average

        bounds, terms = map_rows(of_datum, batch, key)
        bound = jnp.mean(bounds)
        return -bound, {**metrics(mean(terms)), "thermodynamic_bound": bound}

    @property
    def points(self) -> np.ndarray:
        """The ends of the parts, from 0 to 1."""
        return np.concatenate([[0.0], np.geomspace(1.0, self.first, self.partitions)[::-1]])

    def _bound(
        self, log_weights: Float[Array, " samples"], log_q: Float[Array, " samples"]
    ) -> Scalar:
        """The sum over the parts; its derivative is the estimate of the gradient."""
        points = jnp.asarray(self.points, log_weights.dtype)
        lower, width = points[:-1, None], jnp.diff(points)
        now = jax.lax.stop_gradient(log_weights)
        share = jax.nn.softmax(lower * now, axis=1)  # one row a part
        value = share @ now
        # log πβ up to its constant, which a covariance takes no notice of.
        path = lower * log_weights + log_q
        path = path - jnp.sum(share * path, axis=1, keepdims=True)
        covariance = jnp.sum(share * (now - value[:, None]) * path, axis=1)
        # The covariance of a sample is too small by 1 − 1/k, at β = 0 exactly.
        gradient = share @ log_weights + covariance * (self.samples / (self.samples - 1))
        return width @ (value + gradient - jax.lax.stop_gradient(gradient))
