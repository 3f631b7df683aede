"""What training minimises."""

import math
from collections.abc import Callable
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree, Scalar, Shaped

from elbax.model.distributions import Point, sample, sample_and_log_prob
from elbax.model.divergences import has_closed_form, kl_divergence, kl_per_dimension
from elbax.model.interfaces import AbstractObjective, Batch, Metrics
from elbax.model.latent_variable_model import LatentVariableModel

KLEstimate = Literal["closed", "monte-carlo"]


class ElboTerms(eqx.Module):
    """The evidence lower bound of one datum, in its parts, in nats.

    Attributes:
        reconstruction: log p(x|z) at one draw z ~ q(z|x): an unbiased estimate of E_q[log p(x|z)].
        kl: KL(q(z|x) ‖ p(z)): exact where the table of closed forms has the pair; otherwise, or
            where it was asked for, log q(z) − log p(z) at the same draw.
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
    kl: KLEstimate = "closed",
) -> ElboTerms:
    """One draw of the evidence lower bound of one datum.

    Kingma & Welling 2013, eq. 3; eq. 2 where the KL has no closed form, or is not to have one.

    Args:
        model: The model.
        x: One datum, preprocessed.
        key: The randomness of the draw z ~ q(z|x).
        mask: True where x was observed.
        condition: What the model is conditioned on.
        kl: "closed" takes the closed form where there is one. "monte-carlo" never does: the bound
            is then the logarithm of the importance weight p(x, z) / q(z|x) of the draw.

    Raises:
        ValueError: q(z|x) is a point: it has no density, so there is no bound.
    """
    q = model.encode(x, condition)
    if isinstance(q, Point):
        raise ValueError(
            "the posterior is a point, so KL(q ‖ p) and the evidence lower bound do not exist; "
            "choose a posterior with a density, or an objective without a bound"
        )
    p = model.prior_distribution(condition)
    if kl == "closed" and has_closed_form(q, p):
        z = sample(q, key)
        divergence = kl_divergence(q, p)
    else:
        z, log_q = sample_and_log_prob(q, key)
        divergence = log_q - p.log_prob(z)
    reconstruction = model.log_likelihood(x, z, mask, condition)
    return ElboTerms(reconstruction, divergence, kl_per_dimension(q, p))


class NegativeELBO(AbstractObjective):
    """−E_q[log p(x|z)] + β KL(q(z|x) ‖ p(z)), averaged over the batch.

    The summary's loss at β = 1; Higgins et al. 2017 for another β; a β that grows from 0 is the
    warm-up of Sønderby et al. 2016.

    Attributes:
        beta: The weight of the KL, a number or a function of the step (any `optax` schedule).
        samples: Draws z ~ q(z|x) a datum, averaged (Kingma & Welling 2013's L).
        kl: "closed" takes the KL's closed form where there is one; "monte-carlo" averages
            log q(z|x) − log p(z) over the same draws (the VAE with k > 1 of Burda et al. 2015).
        free_bits: λ nats that each latent may hold at no price: its KL, averaged over the batch, is
            charged as max(λ, KL) (Kingma et al. 2016, eq. 16), so that nothing drives it below. The
            reported KL is the whole one.
    """

    beta: float | Callable[[Int[Array, ""]], Any] = eqx.field(static=True, default=1.0)
    samples: int = eqx.field(static=True, default=1)
    kl: KLEstimate = eqx.field(static=True, default="closed")
    free_bits: float = eqx.field(static=True, default=0.0)

    def __check_init__(self) -> None:
        _check_samples(self.samples)
        if not self.free_bits >= 0:
            raise ValueError(f"free_bits is {self.free_bits}; it must be at least 0")
        if self.kl not in ("closed", "monte-carlo"):
            raise ValueError(f"kl is {self.kl!r}; it can be 'closed' or 'monte-carlo'")

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
        """The loss of a batch; metrics: `loss`, `elbo`, `reconstruction`, `kl`, `kl_per_latent`.

        Raises:
            ValueError: There are free bits, and prior or posterior do not factorise.
        """

        def of_datum(x: Array, key: PRNGKeyArray, mask: Array | None) -> ElboTerms:
            return _mean(_draws(model, x, key, mask, self.samples, self.kl))

        keys = jax.random.split(key, batch.x.shape[0])
        mean = _mean(jax.vmap(of_datum)(batch.x, keys, batch.mask))
        beta = self.beta(step) if callable(self.beta) else self.beta
        loss = beta * self._charged(mean) - mean.reconstruction
        return loss, (state, {"loss": loss, **_metrics(mean)})

    def _charged(self, mean: ElboTerms) -> Scalar:
        """The KL that is paid for."""
        if self.free_bits == 0:
            return mean.kl
        if mean.kl_per_latent is None:
            raise ValueError(
                "free bits need the KL of each latent, and prior and posterior do not both "
                "factorise; use a standard normal prior and a diagonal normal posterior"
            )
        return jnp.sum(jnp.maximum(mean.kl_per_latent, self.free_bits))


class ImportanceWeightedELBO(AbstractObjective):
    """−E[log 1/k Σᵢ p(x, zᵢ) / q(zᵢ|x)], z₁ … z_k ~ q(z|x), averaged over the batch.

    Burda, Grosse & Salakhutdinov 2015, eq. 8. The bound rises with k, from the evidence lower bound
    at k = 1 to log p(x). Its gradient is that of the draws as they move with the parameters of
    q(z|x) (eq. 13, each draw's term by its normalised weight).

    Attributes:
        samples: k.
    """

    samples: int = eqx.field(static=True, default=5)

    def __check_init__(self) -> None:
        _check_samples(self.samples)

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

        def of_datum(x: Array, key: PRNGKeyArray, mask: Array | None) -> tuple[Scalar, ElboTerms]:
            terms = _draws(model, x, key, mask, self.samples, "monte-carlo")
            bound = jax.nn.logsumexp(terms.elbo) - math.log(self.samples)
            return bound, _mean(terms)

        keys = jax.random.split(key, batch.x.shape[0])
        bounds, terms = jax.vmap(of_datum)(batch.x, keys, batch.mask)
        bound = jnp.mean(bounds)
        metrics = {"loss": -bound, **_metrics(_mean(terms)), "importance_weighted_bound": bound}
        return -bound, (state, metrics)


def _draws(
    model: LatentVariableModel,
    x: Array,
    key: PRNGKeyArray,
    mask: Array | None,
    samples: int,
    kl: KLEstimate,
) -> ElboTerms:
    """The terms of one datum at several draws z ~ q(z|x), one along the leading axis of each."""
    if samples == 1:  # the draw of `elbo_terms` at this key, and no axis of one in the products
        return jax.tree.map(lambda term: term[None], elbo_terms(model, x, key, mask, kl=kl))
    keys = jax.random.split(key, samples)
    # What does not depend on the draw, the encoder above all, stays outside the vmap by itself.
    return jax.vmap(lambda key: elbo_terms(model, x, key, mask, kl=kl))(keys)


def _mean(terms: ElboTerms) -> ElboTerms:
    return jax.tree.map(lambda term: jnp.mean(term, axis=0), terms)


def _metrics(mean: ElboTerms) -> Metrics:
    metrics = {"elbo": mean.elbo, "reconstruction": mean.reconstruction, "kl": mean.kl}
    if mean.kl_per_latent is not None:
        metrics["kl_per_latent"] = mean.kl_per_latent
    return metrics


def _check_samples(samples: int) -> None:
    if samples < 1:
        raise ValueError(f"samples is {samples}; a bound needs at least one draw a datum")
