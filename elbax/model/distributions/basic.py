"""Distributions that numpyro lacks, and drawing with a log-density from any."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, Bool, Float, PRNGKeyArray, Scalar
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


class OneHotCategorical(eqx.Module):
    """Independent categorical variables, each drawn as a one-hot vector, one after the other.

    With a temperature a draw can be differentiated, by the Gumbel-softmax relaxation (Jang et al.
    2017, eq. 2; Maddison et al. 2017, §3): its value is the one-hot vector where it is
    straight-through, and the relaxed one, inside the simplex, where it is not. `log_prob`, `mean`
    and `variance` are those of the exact categorical variables.

    Attributes:
        logits: Unnormalised log-probabilities, one row a variable.
        temperature: Of the relaxation; None draws without a derivative.
        straight_through: Whether the value of a draw is exact and only its derivative relaxed.
    """

    logits: Float[Array, "variables categories"]
    temperature: float | None = eqx.field(static=True, default=None)
    straight_through: bool = eqx.field(static=True, default=True)

    def sample(self, key: PRNGKeyArray) -> Float[Array, " latent"]:
        """One draw."""
        noisy = self.logits + jax.random.gumbel(key, self.logits.shape, self.logits.dtype)
        hard = jax.nn.one_hot(jnp.argmax(noisy, axis=-1), noisy.shape[-1], dtype=noisy.dtype)
        if self.temperature is None:
            return hard.ravel()
        soft = jax.nn.softmax(noisy / self.temperature)
        if self.straight_through:
            soft = hard + (soft - jax.lax.stop_gradient(soft))  # first the difference: exact zeros
        return soft.ravel()

    def log_prob(self, value: Float[Array, " latent"]) -> Scalar:
        """The log-mass in nats of one-hot vectors; linear in `value`."""
        return jnp.sum(value.reshape(self.logits.shape) * self.log_probabilities)

    @property
    def log_probabilities(self) -> Float[Array, "variables categories"]:
        """The logarithms of the probabilities."""
        return jax.nn.log_softmax(self.logits)

    @property
    def mean(self) -> Float[Array, " latent"]:
        """The probabilities."""
        return jax.nn.softmax(self.logits).ravel()

    @property
    def variance(self) -> Float[Array, " latent"]:
        """P (1 − p)."""
        return self.mean * (1.0 - self.mean)

    @property
    def location(self) -> Float[Array, " latent"]:
        """The most probable category of each variable, one-hot."""
        top = jnp.argmax(self.logits, axis=-1)
        return jax.nn.one_hot(top, self.logits.shape[-1], dtype=self.logits.dtype).ravel()


class Point(eqx.Module):
    """A single point. It can be drawn, over and over, but has no density.

    Attributes:
        mean: The point.
    """

    mean: Float[Array, " latent"]

    def sample(self, key: PRNGKeyArray) -> Float[Array, " latent"]:
        """The point."""
        del key
        return self.mean

    @property
    def variance(self) -> Float[Array, " latent"]:
        """Zeros."""
        return jnp.zeros_like(self.mean)


class AbstractLinked(eqx.Module):
    """A distribution over a datum whose elements hang together.

    Its `log_prob` has a term for each element, as independent ones have, but only their sum is a
    log-density; of some elements alone it is that of `log_prob_observed`.
    """

    @abc.abstractmethod
    def log_prob_observed(self, value: Array, observed: Bool[Array, "..."]) -> Float[Array, "..."]:
        """Terms that sum to the log-density of the observed elements in nats; 0 of the others.

        Args:
            value: A datum; what stands in a missing element is any number of its support.
            observed: Which elements were observed.
        """

    @abc.abstractmethod
    def given(self, value: Array, observed: Bool[Array, "..."]) -> "AbstractLinked":
        """The distribution of the missing elements given the observed ones.

        Args:
            value: As above.
            observed: As above; what it then says of these is not to be read.
        """


def log_prob_observed(p: Any, value: Array, observed: Bool[Array, "..."]) -> Float[Array, "..."]:
    """Terms that sum to the log-density of the observed elements of a datum; 0 of the others.

    Args:
        p: Elementwise, or an `AbstractLinked`.
        value: The datum, with numbers of the support where an element is missing.
        observed: Which elements were observed.
    """
    if isinstance(p, AbstractLinked):
        return p.log_prob_observed(value, observed)
    return jnp.where(observed, p.log_prob(value), 0.0)


def given(p: Any, value: Array, observed: Bool[Array, "..."]) -> Any:
    """The distribution of the missing elements given the observed ones.

    Of independent elements it is that of all.

    Args:
        p: As for `log_prob_observed`, and so are the others.
        value: The datum.
        observed: Which elements were observed.
    """
    return p.given(value, observed) if isinstance(p, AbstractLinked) else p


def base_of(distribution: Any) -> Any:
    """The distribution of one element, of independent ones; any other distribution itself."""
    return distribution.base_dist if isinstance(distribution, dist.Independent) else distribution


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


def location(distribution: Any) -> Any:
    """The point that stands for a distribution over the latent where a single one is asked for.

    The mean, where that is a latent itself. On the sphere it is the mean direction, of categorical
    variables the most probable values, and of a flow the image of the mean of what it starts from.
    """
    return distribution.location if hasattr(distribution, "location") else distribution.mean
