"""The evidence lower bound of one datum and of a batch, in its parts."""

from collections.abc import Callable
from typing import Any, Literal, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, Scalar, Shaped

from elbax.model.compatibility import has_density
from elbax.model.distributions.basic import sample, sample_and_log_prob
from elbax.model.distributions.divergences import has_closed_form, kl_divergence, kl_per_dimension
from elbax.model.interfaces import Batch, Latent, Metrics
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.util.keys import stream

KLEstimate = Literal["closed", "monte-carlo"]
T = TypeVar("T")


class ElboTerms(eqx.Module):
    """The evidence lower bound of one datum, in its parts, in nats.

    Attributes:
        reconstruction: log p(x|z) at one draw z ~ q(z|x): an unbiased estimate of E_q[log p(x|z)].
        kl: KL(q(z|x) ‖ p(z)): exact where the table of closed forms has the pair; otherwise, or
            where it was asked for, log q(z) − log p(z) at the same draw.
        kl_per_latent: The same for each dimension, where both factorise; else None.
        missingness: log p(s | x_observed, z) at the same draw, which cells were observed; None
            where that is at random.
    """

    reconstruction: Scalar
    kl: Scalar
    kl_per_latent: Float[Array, " latent"] | None
    missingness: Scalar | None = None

    @property
    def elbo(self) -> Shaped[Array | np.ndarray, "..."]:
        """The bound on log p of the observed cells: reconstruction − kl."""
        return self.reconstruction - self.kl

    @property
    def fit(self) -> Shaped[Array | np.ndarray, "..."]:
        """What training raises: the reconstruction, and where there is one the mechanism's term."""
        if self.missingness is None:
            return self.reconstruction
        return self.reconstruction + self.missingness

    @property
    def bound(self) -> Shaped[Array | np.ndarray, "..."]:
        """The bound on log p of the observed cells and of which they are: fit − kl."""
        return self.fit - self.kl


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
        ValueError: q(z|x) has no density, so there is no bound.
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
    if not has_density(model):
        raise ValueError(
            "the posterior has no density, so KL(q ‖ p) and the evidence lower bound do not exist; "
            "choose a posterior with a density, or an objective without a bound"
        )
    q = model.encode(x, condition)
    p = model.prior_distribution(condition)
    if kl == "closed" and has_closed_form(q, p):
        z = sample(q, key)
        divergence = kl_divergence(q, p)
    else:
        z, log_q = sample_and_log_prob(q, key)
        divergence = log_q - p.log_prob(z)
    reconstruction = model.log_likelihood(x, z, mask, condition)
    missingness = log_missingness(model, x, z, key, mask, condition)
    return q, z, ElboTerms(reconstruction, divergence, kl_per_dimension(q, p), missingness)


def log_missingness(
    model: LatentVariableModel,
    x: Array,
    z: Latent,
    key: PRNGKeyArray,
    mask: Array | None,
    condition: Array | None,
) -> Scalar | None:
    """`LatentVariableModel.log_missingness` at a draw z, by a key that follows from that draw's."""
    return model.log_missingness(x, z, stream(key, "missingness"), mask, condition)


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

    return mean(map_rows(of_datum, batch, key))


def batch_bound(
    model: LatentVariableModel,
    batch: Batch,
    key: PRNGKeyArray,
    samples: int,
    bound: Callable[[Float[Array, " samples"]], Scalar],
) -> tuple[Scalar, ElboTerms]:
    """A bound that is a function of each row's importance weights, averaged over the rows.

    Args:
        model: The model.
        batch: Preprocessed rows.
        key: The randomness of the draws.
        samples: Draws z ~ q(z|x) a row.
        bound: From log p(x, z) / q(z|x) of a row's draws, in nats.

    Returns:
        The bound, and the terms averaged over the same draws and the rows, so that their `elbo` is
        the average of the log-weights.
    """

    def of_datum(
        x: Array, key: PRNGKeyArray, mask: Array | None, condition: Array | None
    ) -> tuple[Scalar, ElboTerms]:
        terms = draws(model, x, key, mask, condition, samples, "monte-carlo")
        return bound(jnp.asarray(terms.bound)), mean(terms)

    bounds, terms = map_rows(of_datum, batch, key)
    return jnp.mean(bounds), mean(terms)


def batch_draws(
    model: LatentVariableModel, batch: Batch, key: PRNGKeyArray
) -> tuple[Latent, ElboTerms]:
    """One draw z ~ q(z|x) of each row, and the terms at these draws averaged over the rows."""

    def of_datum(
        x: Array, key: PRNGKeyArray, mask: Array | None, condition: Array | None
    ) -> tuple[Latent, ElboTerms]:
        return draw(model, x, key, mask, condition)[1:]

    z, terms = map_rows(of_datum, batch, key)
    return z, mean(terms)


def map_rows(of_datum: Callable[..., T], batch: Batch, key: PRNGKeyArray) -> T:
    """`of_datum(x, key, mask, condition)` for each row, every row with a key of its own.

    This is where objectives vectorise: all that they call sees one datum.
    """
    keys = jax.random.split(key, batch.x.shape[0])
    return jax.vmap(of_datum)(batch.x, keys, batch.mask, batch.condition)


def mean(terms: ElboTerms) -> ElboTerms:
    """The average over the leading axis."""
    return jax.tree.map(lambda term: jnp.mean(term, axis=0), terms)


def metrics(mean: ElboTerms) -> Metrics:
    """What is reported of an average: `elbo`, `reconstruction`, `kl`.

    And `kl_per_latent` and `missingness`, where there are such.
    """
    found = {"elbo": mean.elbo, "reconstruction": mean.reconstruction, "kl": mean.kl}
    if mean.kl_per_latent is not None:
        found["kl_per_latent"] = mean.kl_per_latent
    if mean.missingness is not None:
        found["missingness"] = mean.missingness
    return found


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
