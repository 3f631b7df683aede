"""Distributions that numpyro lacks, and drawing with a log-density from any."""

from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, Float, PRNGKeyArray, Scalar
from numpyro.distributions import constraints

from elbax.model.interfaces import SamplesWithLogProb


class GreyBernoulli(dist.Distribution):
    """Independent Bernoulli variables whose observed value may be any probability in [0, 1].

    `log_prob(x)` is the negative cross-entropy, x log p + (1 − x) log(1 − p), the summary's loss.
    It is linear in x. For binary x it is the log-mass. For a grey x it is the **expected log-mass
    of a binarised image**, each pixel drawn as 1 with probability x: so the evidence lower bound
    computed with it is a lower bound on E_b[log p(b)], not a density of the grey image (numpyro's
    own gives −∞ there under validation, since a grey value is outside the support of a Bernoulli
    variable; the continuous Bernoulli is the density).

    Attributes:
        logits: log p − log(1 − p), any shape.
    """

    # numpyro declares these as instance attributes and a property, and sets them on classes.
    arg_constraints = {"logits": constraints.real}  # noqa: RUF012
    support: Any = constraints.unit_interval  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]

    def __init__(self, logits: Float[Array, "..."], *, validate_args: bool | None = None) -> None:
        self.logits = logits
        super().__init__(batch_shape=jnp.shape(logits), validate_args=validate_args)

    def sample(
        self, key: PRNGKeyArray | None, sample_shape: tuple[int, ...] = ()
    ) -> Float[Array, "..."]:
        """A binary draw, as floats."""
        assert key is not None
        shape = sample_shape + self.batch_shape
        return jax.random.bernoulli(key, self.mean, shape).astype(self.logits.dtype)

    def log_prob(self, value: Any, intermediates: Any = None) -> Float[Array, "..."]:
        """X log p + (1 − x) log(1 − p), in nats, elementwise."""
        del intermediates
        # Flattened: a last axis of one channel keeps XLA's CPU loops from being vectorised, which
        # costs an eighth of a whole training step of the summary's network.
        shape = jnp.broadcast_shapes(jnp.shape(value), self.batch_shape)
        x, logits = (jnp.broadcast_to(a, shape).ravel() for a in (value, self.logits))
        return (x * logits - jax.nn.softplus(logits)).reshape(shape)

    @property
    def mean(self) -> Float[Array, "..."]:
        """The probabilities p."""
        return jax.nn.sigmoid(self.logits)

    @property
    def variance(self) -> Float[Array, "..."]:
        """P (1 − p)."""
        return self.mean * (1.0 - self.mean)


def sample_and_log_prob(distribution: Any, key: PRNGKeyArray) -> tuple[Any, Scalar]:
    """One draw and its log-density in nats, in one pass where the distribution offers that.

    Args:
        distribution: A `Distribution` or a `SamplesWithLogProb`.
        key: The randomness of the draw.
    """
    if isinstance(distribution, SamplesWithLogProb):
        return distribution.sample_and_log_prob(key)
    value = distribution.sample(key)
    return value, distribution.log_prob(value)


def sample(distribution: Any, key: PRNGKeyArray) -> Any:
    """One draw from a `Distribution` or a `SamplesWithLogProb`."""
    if isinstance(distribution, SamplesWithLogProb):
        return distribution.sample_and_log_prob(key)[0]
    return distribution.sample(key)
