"""Families of p(z)."""

from typing import ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, Float, PRNGKeyArray, Scalar

from elbax.model.distributions.basic import OneHotCategorical, sample
from elbax.model.distributions.flows import FlowKind, NeuralFlow, NormalisingFlow
from elbax.model.distributions.sphere import UniformSphere
from elbax.model.interfaces import AbstractEncoder, AbstractPrior, LatentKind
from elbax.model.networks.dense import MLP


class StandardNormal(AbstractPrior):
    """p(z) = N(0, I) (Kingma & Welling 2013, §3)."""

    name: ClassVar[str] = "standard-normal"

    latent_dim: int = eqx.field(static=True)

    def __call__(
        self, encoder: AbstractEncoder | None = None, condition: Array | None = None
    ) -> dist.Distribution:
        """N(0, I), whatever the encoder and the condition are."""
        del encoder, condition
        return dist.Normal(jnp.zeros(self.latent_dim), jnp.ones(self.latent_dim)).to_event(1)


class MixtureOfNormals(AbstractPrior):
    """p(z) = Σ πₖ N(μₖ, Σₖ): all of it learned (Tomczak & Welling 2018, §4).

    `elbax.evaluate.latents.expost` fits one to the latents of an encoder (Ghosh et al. 2020, §4).

    Attributes:
        logits: Unnormalised logarithms of the weights π.
        mean: The means, one row a component.
        log_variance: The logarithms of the squared diagonals of the covariances' Cholesky factors:
            of the variances, where `below` is None.
        below: The entries of the Cholesky factors below the diagonal, row by row; None where the
            covariances are diagonal.
    """

    name: ClassVar[str] = "mixture"

    latent_dim: int = eqx.field(static=True)
    logits: Float[Array, " components"]
    mean: Float[Array, "components latent"]
    log_variance: Float[Array, "components latent"]
    below: Float[Array, "components below"] | None

    def __init__(
        self,
        latent_dim: int,
        components: int = 10,
        covariance: Literal["diagonal", "full"] = "diagonal",
        *,
        key: PRNGKeyArray,
    ) -> None:
        """Makes the prior: equal weights, unit variances, means drawn from N(0, I).

        Args:
            latent_dim: The number of dimensions of z.
            components: How many normals.
            covariance: Whether the latents of a component are independent ("diagonal").
            key: The randomness of the means.

        Raises:
            ValueError: There is not a single component, or the covariance is neither.
        """
        _at_least_one("components", components)
        if covariance not in ("diagonal", "full"):
            raise ValueError(f"covariance is {covariance!r}; it can be 'diagonal' or 'full'")
        below = latent_dim * (latent_dim - 1) // 2
        self.latent_dim = latent_dim
        self.logits = jnp.zeros(components)
        self.mean = jax.random.normal(key, (components, latent_dim))
        self.log_variance = jnp.zeros((components, latent_dim))
        self.below = jnp.zeros((components, below)) if covariance == "full" else None

    def __call__(
        self, encoder: AbstractEncoder | None = None, condition: Array | None = None
    ) -> dist.Distribution:
        """The mixture, whatever the encoder and the condition are."""
        del encoder, condition
        scale = jnp.exp(0.5 * self.log_variance)
        if self.below is None:
            components = dist.Normal(self.mean, scale).to_event(1)
        else:
            rows, columns = np.tril_indices(self.latent_dim, -1)
            cholesky = jax.vmap(jnp.diag)(scale).at[:, rows, columns].set(self.below)
            components = dist.MultivariateNormal(self.mean, scale_tril=cholesky)
        return dist.MixtureSameFamily(dist.Categorical(logits=self.logits), components)


class VampPrior(AbstractPrior):
    """p(z): the mean of q(z|uₖ) over learned pseudo-inputs uₖ (Tomczak & Welling 2018, eq. 9).

    Pseudo-inputs live where the network's inputs do, after the preprocessing. With bounds they stay
    between them by a sigmoid; the authors' clipping (hardtanh) leaves an element that once crosses
    a bound without a gradient.

    Attributes:
        raw: The pseudo-inputs, before the sigmoid where there are bounds, one row each.
    """

    name: ClassVar[str] = "vamp"
    latent: ClassVar[LatentKind] = "any"

    latent_dim: int = eqx.field(static=True)
    bounds: tuple[float, float] | None = eqx.field(static=True)
    raw: Float[Array, "components ..."]

    def __init__(
        self,
        latent_dim: int,
        shape: tuple[int, ...],
        components: int = 100,
        *,
        data: Array | None = None,
        bounds: tuple[float, float] | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Makes the prior.

        Args:
            latent_dim: The number of dimensions of z.
            shape: The shape of one datum.
            components: How many pseudo-inputs.
            data: Rows of data after the preprocessing; the pseudo-inputs start at `components` of
                them, drawn at random (with bounds: moved inwards by at most a hundredth of their
                distance). Without data they start at normal numbers, or those through the sigmoid.
            bounds: The lowest and the highest value of an element of a pseudo-input: (0, 1) for
                images. None leaves them free.
            key: The randomness of the draw.

        Raises:
            ValueError: No pseudo-inputs, rows of another shape, or bounds in the wrong order.
        """
        _at_least_one("components", components)
        if bounds is not None and not bounds[0] < bounds[1]:
            raise ValueError(f"bounds are {bounds}; the first must be below the second")
        self.latent_dim = latent_dim
        self.bounds = bounds
        if data is None:
            self.raw = jax.random.normal(key, (components, *shape))
            return
        if len(data) < 1 or data.shape[1:] != tuple(shape):
            raise ValueError(
                f"data has shape {data.shape}; pseudo-inputs start at rows of shape {tuple(shape)}"
            )
        few = len(data) < components  # then some are taken more than once
        chosen = jax.random.choice(key, len(data), (components,), replace=few)
        start = jnp.asarray(data, jax.dtypes.canonicalize_dtype(float))[chosen]
        if bounds is not None:
            share = (start - bounds[0]) / (bounds[1] - bounds[0])
            start = jax.scipy.special.logit(jnp.clip(share, 0.01, 0.99))
        self.raw = start

    @property
    def pseudo_inputs(self) -> Float[Array, "components ..."]:
        """The pseudo-inputs, one row each."""
        if self.bounds is None:
            return self.raw
        low, high = self.bounds
        return low + (high - low) * jax.nn.sigmoid(self.raw)

    def __call__(
        self, encoder: AbstractEncoder, condition: Array | None = None
    ) -> "MixtureOfPosteriors":
        """The mixture of what the encoder says of the pseudo-inputs (under the same condition)."""
        return MixtureOfPosteriors(encoder, self.pseudo_inputs, condition)


class MixtureOfPosteriors(eqx.Module):
    """The mean over rows of q(z|row), one component a row, all of the same weight.

    Attributes:
        encoder: From a row to q(z|row).
        rows: The rows.
        condition: What the encoder is conditioned on, or None.
    """

    encoder: AbstractEncoder
    rows: Float[Array, "components ..."]
    condition: Array | None = None

    def sample(self, key: PRNGKeyArray) -> Array:
        """One draw."""
        which, latent = jax.random.split(key)
        row = self.rows[jax.random.randint(which, (), 0, len(self.rows))]
        return sample(self.encoder(row, self.condition), latent)

    def log_prob(self, value: Array) -> Scalar:
        """The log-density in nats.

        Raises:
            ValueError: The posterior can evaluate its own draws only.
        """

        def component(row: Array) -> Scalar:
            q = self.encoder(row, self.condition)
            if not hasattr(q, "log_prob"):
                raise ValueError(
                    f"a mixture of posteriors needs q(z|x) at any z, and {type(q).__name__} has "
                    "none; use a posterior that has: a normal, or an inverse-autoregressive or "
                    "coupling flow"
                )
            return q.log_prob(value)

        total = jax.scipy.special.logsumexp(jax.vmap(component)(self.rows))
        return total - jnp.log(len(self.rows))


class FlowPrior(AbstractPrior):
    """p(z): a standard normal seen through a learned invertible map (Chen et al. 2017, §3.2).

    z is shifted and scaled, then mapped to noise by autoregressive or coupling layers. Evaluating
    is one pass; drawing takes as many as there are latents where the layers are autoregressive.

    Attributes:
        flow: The map from z to noise.
        shift: Of z.
        log_scale: The logarithm of the scale of z.
    """

    name: ClassVar[str] = "flow"
    least_latent_dim: ClassVar[int] = 2

    latent_dim: int = eqx.field(static=True)
    flow: NeuralFlow
    shift: Float[Array, " latent"]
    log_scale: Float[Array, " latent"]

    def __init__(
        self,
        latent_dim: int,
        kind: FlowKind = "masked-autoregressive",
        layers: int = 4,
        width: int = 64,
        *,
        key: PRNGKeyArray,
    ) -> None:
        """Makes the prior.

        Args:
            latent_dim: The number of dimensions of z, at least two.
            kind: Autoregressive layers draw slowly and fit more; coupling is fast both ways.
            layers: How many layers.
            width: The units of the hidden layer in each layer's network.
            key: The randomness of the weights.

        Raises:
            ValueError: An unknown kind, no layers or units, or a single latent.
        """
        self.latent_dim = latent_dim
        self.flow = NeuralFlow(kind, latent_dim, layers=layers, width=width, key=key)
        self.shift = jnp.zeros(latent_dim)
        self.log_scale = jnp.zeros(latent_dim)

    def __call__(
        self, encoder: AbstractEncoder | None = None, condition: Array | None = None
    ) -> NormalisingFlow:
        """The flow, whatever the encoder and the condition are."""
        del encoder, condition
        return NormalisingFlow(self.flow, self.shift, jnp.exp(self.log_scale))


class UniformHypersphere(AbstractPrior):
    """p(z): uniform on the sphere of vectors of length one (Davidson et al. 2018, §3).

    Attributes:
        latent_dim: The number of dimensions of the ambient space, at least two: the numbers that
            the decoder gets. The sphere has one dimension fewer.
    """

    name: ClassVar[str] = "hypersphere"
    latent: ClassVar[LatentKind] = "sphere"
    least_latent_dim: ClassVar[int] = 2

    latent_dim: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        check_sphere(self.latent_dim)

    def __call__(
        self, encoder: AbstractEncoder | None = None, condition: Array | None = None
    ) -> UniformSphere:
        """The uniform distribution, whatever the encoder and the condition are."""
        del encoder, condition
        return UniformSphere(self.latent_dim)


class UniformCategorical(AbstractPrior):
    """p(z): independent categorical variables, uniform over their categories (Jang et al. 2017).

    Attributes:
        latent_dim: The length of z: variables × categories, for z holds one-hot vectors, one
            variable after the other.
        categories: How many categories each variable has.
    """

    name: ClassVar[str] = "categorical"
    latent: ClassVar[LatentKind] = "categorical"
    least_latent_dim: ClassVar[int] = 2

    latent_dim: int = eqx.field(static=True)
    categories: int = eqx.field(static=True, default=10)

    def __check_init__(self) -> None:
        check_categories(self.latent_dim, self.categories)

    def __call__(
        self, encoder: AbstractEncoder | None = None, condition: Array | None = None
    ) -> OneHotCategorical:
        """The variables, whatever the encoder and the condition are."""
        del encoder, condition
        return OneHotCategorical(jnp.zeros((self.latent_dim // self.categories, self.categories)))


class ConditionalNormal(AbstractPrior):
    """p(z|c) = N(μ(c), diag σ(c)²), by a small network of the condition (Sohn et al. 2015, §4.1).

    Attributes:
        network: From the condition to the means, then the log-variances.
    """

    name: ClassVar[str] = "conditional"
    conditional: ClassVar[bool] = True

    latent_dim: int = eqx.field(static=True)
    condition_dim: int = eqx.field(static=True)
    network: MLP

    def __init__(
        self, latent_dim: int, condition_dim: int, width: int = 64, *, key: PRNGKeyArray
    ) -> None:
        """Makes the prior.

        Args:
            latent_dim: The number of dimensions of z.
            condition_dim: The number of elements of the condition (classes, where a label is given
                as a one-hot vector).
            width: The units of the network's hidden layer.
            key: The randomness of the weights.

        Raises:
            ValueError: A size is not positive.
        """
        self.latent_dim = latent_dim
        self.condition_dim = condition_dim
        self.network = MLP(condition_dim, (width,), 2 * latent_dim, "tanh", key=key)

    def __call__(
        self, encoder: AbstractEncoder | None = None, condition: Array | None = None
    ) -> dist.Distribution:
        """N(μ(c), diag σ(c)²), whatever the encoder is.

        Raises:
            ValueError: There is no condition.
        """
        del encoder
        if condition is None:
            raise ValueError(
                "the conditional prior needs a condition: give the labels, or use another prior"
            )
        mean, log_variance = jnp.split(self.network(condition), 2)
        return dist.Normal(mean, jnp.exp(0.5 * log_variance)).to_event(1)


def check_sphere(latent_dim: int) -> None:
    """Refuses a sphere without a surface.

    Raises:
        ValueError: There are fewer than two latents.
    """
    if latent_dim < 2:
        raise ValueError(f"{latent_dim} latents on a sphere: give at least two, which is a circle")


def check_categories(latent_dim: int, categories: int) -> None:
    """Whether a latent of this length holds whole one-hot vectors.

    Raises:
        ValueError: It does not, or there are fewer than two categories.
    """
    if categories < 2 or latent_dim % categories:
        raise ValueError(
            f"{latent_dim} latents in variables of {categories} categories: give at least two "
            "categories, and latents that are a multiple of them (variables × categories)"
        )


def _at_least_one(name: str, number: int) -> None:
    if number < 1:
        raise ValueError(f"{name} is {number}; give at least one")
