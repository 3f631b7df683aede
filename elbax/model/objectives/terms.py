"""The evidence lower bound of one datum and of a batch, in its parts, and what can refuse one."""

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, Float, PRNGKeyArray, Scalar, Shaped

from elbax.model.distributions.basic import (
    OneHotCategorical,
    Point,
    sample,
    sample_and_log_prob,
)
from elbax.model.distributions.divergences import has_closed_form, kl_divergence, kl_per_dimension
from elbax.model.interfaces import Batch, Latent, Metrics
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
    return draw(model, x, key, mask, condition, kl)[-1]


def draw(
    model: LatentVariableModel,
    x: Array,
    key: PRNGKeyArray,
    mask: Array | None = None,
    condition: Array | None = None,
    kl: KLEstimate = "closed",
) -> tuple[Any, Latent, ElboTerms]:
    """`elbo_terms`, together with q(z|x) and the draw z itself, which come first."""
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
    return q, z, ElboTerms(reconstruction, divergence, kl_per_dimension(q, p))


def draws(
    model: LatentVariableModel,
    x: Array,
    key: PRNGKeyArray,
    mask: Array | None,
    condition: Array | None,
    samples: int,
    kl: KLEstimate,
) -> ElboTerms:
    """The terms of one datum at several draws z ~ q(z|x), one along the leading axis of each."""
    if samples == 1:  # the draw of `elbo_terms` at this key, and no axis of one in the products
        return jax.tree.map(
            lambda term: term[None], elbo_terms(model, x, key, mask, condition, kl=kl)
        )
    keys = jax.random.split(key, samples)
    # What does not depend on the draw, the encoder above all, stays outside the vmap by itself.
    return jax.vmap(lambda key: elbo_terms(model, x, key, mask, condition, kl=kl))(keys)


def batch_terms(
    model: LatentVariableModel,
    batch: Batch,
    key: PRNGKeyArray,
    samples: int = 1,
    kl: KLEstimate = "closed",
) -> ElboTerms:
    """The terms averaged over the draws of each row, and over the rows."""

    def of_datum(
        x: Array, key: PRNGKeyArray, mask: Array | None, condition: Array | None
    ) -> ElboTerms:
        return mean(draws(model, x, key, mask, condition, samples, kl))

    keys = jax.random.split(key, batch.x.shape[0])
    return mean(jax.vmap(of_datum)(batch.x, keys, batch.mask, batch.condition))


def mean(terms: ElboTerms) -> ElboTerms:
    """The average over the leading axis."""
    return jax.tree.map(lambda term: jnp.mean(term, axis=0), terms)


def metrics(mean: ElboTerms) -> Metrics:
    """What is reported of an average: `elbo`, `reconstruction`, `kl`, perhaps `kl_per_latent`."""
    found = {"elbo": mean.elbo, "reconstruction": mean.reconstruction, "kl": mean.kl}
    if mean.kl_per_latent is not None:
        found["kl_per_latent"] = mean.kl_per_latent
    return found


# --- what an objective refuses ------------------------------------------------------------------


def check_samples(samples: int) -> None:
    """Whether there is a draw at all.

    Raises:
        ValueError: There is none.
    """
    if samples < 1:
        raise ValueError(f"samples is {samples}; a bound needs at least one draw a datum")


def check_not_negative(**numbers: float) -> None:
    """Whether weights are weights.

    Raises:
        ValueError: One is negative or NaN.
    """
    for name, number in numbers.items():
        if not number >= 0:
            raise ValueError(f"{name} is {number}; it must be at least 0")


def check_log_prob(q: Any, who: str) -> None:
    """Whether q(z|x) has a log-density at any z.

    Raises:
        ValueError: It has not.
    """
    if not hasattr(q, "log_prob"):
        raise ValueError(
            f"{who} needs q(z|x) at any z, and {type(q).__name__} has no log_prob; use a normal "
            "posterior, or an inverse-autoregressive or coupling flow"
        )


def check_follows_draws(q: Any, who: str) -> None:
    """Whether draws move with the parameters of q(z|x) themselves.

    Raises:
        ValueError: They are relaxed.
    """
    if isinstance(q, OneHotCategorical):
        raise ValueError(
            f"{who} follows the draws of q(z|x) as they move, and categorical draws move by a "
            "relaxation only; use a continuous posterior, or the importance-weighted objective"
        )


def check_independent(q: Any, who: str) -> None:
    """Whether q(z|x) is a product of one density a latent.

    Raises:
        ValueError: It is not, or it is not known to be.
    """
    if not (isinstance(q, dist.Independent) and q.base_dist.event_shape == ()):
        raise ValueError(
            f"{who} needs the density of each latent, and {type(q).__name__} does not give it; "
            "use a diagonal normal or a Student-t posterior"
        )


def check_point(q: Any, who: str) -> None:
    """Whether q(z|x) is a single point.

    Raises:
        ValueError: It is not.
    """
    if not isinstance(q, Point):
        raise ValueError(
            f"{who} has no KL divergence that would keep noise in the latent, so its posterior is "
            f"a point, not {type(q).__name__}; use the deterministic posterior"
        )


def check_fixed_prior(model: LatentVariableModel, who: str) -> None:
    """Whether the prior has no parameters.

    Raises:
        ValueError: It has some.
    """
    if jax.tree.leaves(eqx.filter(model.prior, eqx.is_inexact_array)):
        raise ValueError(
            f"{who} compares draws with draws of the prior, whose gradient does not reach all of "
            f"the parameters of {type(model.prior).__name__}; use a standard normal prior"
        )
