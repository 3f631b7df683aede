"""Families of q(z|x)."""

from typing import ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, Float, PRNGKeyArray

from elbax.model.distributions.basic import OneHotCategorical, Point
from elbax.model.distributions.flows import (
    ContextFlow,
    FlowKind,
    ForwardFlow,
    NeuralFlow,
    PlanarLayer,
    SylvesterLayer,
)
from elbax.model.distributions.sphere import PowerSphericalDistribution, unit
from elbax.model.interfaces import AbstractPosterior, LatentKind
from elbax.model.priors import check_categories, check_sphere


class DiagonalNormal(AbstractPosterior):
    """q(z|x) = N(μ, diag σ²) (Kingma & Welling 2013, eq. 9).

    The network gives the means, then the log-variances (the summary's `log_sigma` is a log-variance
    too).
    """

    name: ClassVar[str] = "diagonal-normal"
    independent: ClassVar[bool] = True

    latent_dim: int = eqx.field(static=True)

    @property
    def parameter_count(self) -> int:
        """Two numbers a latent."""
        return 2 * self.latent_dim

    def __call__(self, parameters: Float[Array, " parameters"]) -> dist.Distribution:
        """N(μ, diag exp(log-variance)) from `(2 · latent_dim,)` numbers."""
        return _normal(parameters).to_event(1)


class FullNormal(AbstractPosterior):
    """q(z|x) = N(μ, Σ), Σ = L Lᵀ any covariance (Kingma & Welling 2019, §2.5.1).

    The network gives the means, then the logarithms of the squared diagonal of L (the
    log-variances, when the rest is zero), then the entries of L below the diagonal, row by row.
    """

    name: ClassVar[str] = "full-normal"

    latent_dim: int = eqx.field(static=True)

    @property
    def parameter_count(self) -> int:
        """D means, d for the diagonal of L, d (d − 1) / 2 below it."""
        return 2 * self.latent_dim + self.latent_dim * (self.latent_dim - 1) // 2

    def __call__(self, parameters: Float[Array, " parameters"]) -> dist.Distribution:
        """N(μ, L Lᵀ) from `(parameter_count,)` numbers."""
        d = self.latent_dim
        mean, log_variance, below = jnp.split(parameters, (d, 2 * d))
        cholesky = jnp.diag(jnp.exp(0.5 * log_variance)).at[np.tril_indices(d, -1)].set(below)
        return dist.MultivariateNormal(mean, scale_tril=cholesky)


class DiagonalStudentT(AbstractPosterior):
    """q(z|x): independent Student-t variables, with heavier tails (Domke & Sheldon 2018).

    The degrees of freedom are fixed: a draw is then a smooth function of the parameters at a given
    noise. The network gives the locations, then the logarithms of the squared scales.

    Attributes:
        degrees: The degrees of freedom; above 2, so that the variance exists.
    """

    name: ClassVar[str] = "student-t"
    independent: ClassVar[bool] = True

    latent_dim: int = eqx.field(static=True)
    degrees: float = eqx.field(static=True, default=5.0)

    def __check_init__(self) -> None:
        if not self.degrees > 2:
            raise ValueError(f"degrees is {self.degrees}; give more than 2")

    @property
    def parameter_count(self) -> int:
        """Two numbers a latent."""
        return 2 * self.latent_dim

    def __call__(self, parameters: Float[Array, " parameters"]) -> dist.Distribution:
        """Student-t variables from `(2 · latent_dim,)` numbers."""
        location, log_square = jnp.split(parameters, 2)
        return dist.StudentT(self.degrees, location, jnp.exp(0.5 * log_square)).to_event(1)


class PlanarFlow(AbstractPosterior):
    """q(z|x): a normal through maps across one plane each (Rezende & Mohamed 2015, eq. 10).

    The network gives all of it, the coefficients of the maps too, as the authors do: what is shared
    between data would have to fit all posteriors with one map. There is no analytic inverse: only
    its own draws have a density.

    Attributes:
        layers: How many maps.
    """

    name: ClassVar[str] = "planar"
    has_log_prob: ClassVar[bool] = False

    latent_dim: int = eqx.field(static=True)
    layers: int = eqx.field(static=True, default=8)

    def __check_init__(self) -> None:
        _check_layers(self.layers)

    @property
    def parameter_count(self) -> int:
        """Two numbers a latent, and 2 d + 1 a map."""
        return 2 * self.latent_dim + self.layers * (2 * self.latent_dim + 1)

    def __call__(self, parameters: Float[Array, " parameters"]) -> ForwardFlow:
        """The flow from means, log-variances, and (w, u, b) for each map."""
        d = self.latent_dim
        start, rows = parameters[: 2 * d], parameters[2 * d :].reshape(self.layers, -1)
        layers = tuple(PlanarLayer(row[:d], row[d:-1], row[-1]) for row in rows)
        return ForwardFlow(_normal(start), layers)


class SylvesterFlow(AbstractPosterior):
    """q(z|x): a normal through planar maps of many directions (van den Berg et al. 2018, §3).

    The orthogonal matrices are products of Householder reflections (the authors' H-SNF): orthogonal
    exactly, with no iteration. The network gives all of it, the coefficients of the maps too, as
    the authors do. There is no analytic inverse: only its own draws have a density.

    Attributes:
        latent_dim: The number of dimensions of z, at least two.
        layers: How many maps.
        reflections: How many reflections make an orthogonal matrix; as many as latents make any.
    """

    name: ClassVar[str] = "sylvester"
    has_log_prob: ClassVar[bool] = False
    least_latent_dim: ClassVar[int] = 2

    latent_dim: int = eqx.field(static=True)
    layers: int = eqx.field(static=True, default=4)
    reflections: int = eqx.field(static=True, default=8)

    def __check_init__(self) -> None:
        _check_layers(self.layers)
        if self.latent_dim < 2:
            raise ValueError("a Sylvester flow of one latent is a planar one: use that")
        if self.reflections < 1:
            raise ValueError(f"reflections is {self.reflections}; give at least one")

    @property
    def parameter_count(self) -> int:
        """Two numbers a latent; and (reflections + d + 2) d a map."""
        return 2 * self.latent_dim + self.layers * sum(self._sizes)

    def __call__(self, parameters: Float[Array, " parameters"]) -> ForwardFlow:
        """The flow from `(parameter_count,)` numbers.

        Means, log-variances; then for each map the reflections, the triangles R and R̃ row by row,
        and the bias.
        """
        d = self.latent_dim
        start, rows = parameters[: 2 * d], parameters[2 * d :].reshape(self.layers, -1)
        return ForwardFlow(_normal(start), tuple(self._layer(row) for row in rows))

    @property
    def _sizes(self) -> tuple[int, int, int, int]:
        d = self.latent_dim
        triangle = d * (d + 1) // 2
        return self.reflections * d, triangle, triangle, d

    def _layer(self, row: Float[Array, " parameters"]) -> SylvesterLayer:
        d = self.latent_dim
        reflections, outer, inner, bias = jnp.split(row, np.cumsum(self._sizes)[:-1])
        upper = np.triu_indices(d)
        zeros = jnp.zeros((d, d), row.dtype)
        return SylvesterLayer(
            reflections.reshape(self.reflections, d),
            zeros.at[upper].set(outer),
            zeros.at[upper].set(inner),
            bias,
        )


class AbstractContextFlow(AbstractPosterior):
    """q(z|x): a normal through invertible maps that see a context.

    The network gives the means and log-variances of the normal and the context; the maps' own
    networks, which are shared between data, see the context.

    * `kind`: which maps.

    Attributes:
        flow: The maps.
    """

    kind: ClassVar[FlowKind]

    latent_dim: int = eqx.field(static=True)
    context: int = eqx.field(static=True)
    flow: NeuralFlow

    def __init__(
        self,
        latent_dim: int,
        layers: int = 4,
        width: int = 64,
        context: int = 32,
        *,
        key: PRNGKeyArray,
    ) -> None:
        """Makes the family.

        Args:
            latent_dim: The number of dimensions of z.
            layers: How many maps.
            width: The units of the hidden layer in each map's network.
            context: How many numbers of context the encoder's network gives.
            key: The randomness of the weights.

        Raises:
            ValueError: There are no layers, units or context.
        """
        if context < 1:
            raise ValueError(f"context is {context}; give at least one number")
        self.latent_dim = latent_dim
        self.context = context
        self.flow = NeuralFlow(
            self.kind, latent_dim, context_dim=context, layers=layers, width=width, key=key
        )

    @property
    def parameter_count(self) -> int:
        """Two numbers a latent, and the context."""
        return 2 * self.latent_dim + self.context

    def __call__(self, parameters: Float[Array, " parameters"]) -> ContextFlow:
        """The flow from means, log-variances and the context."""
        d = self.latent_dim
        return ContextFlow(_normal(parameters[: 2 * d]), self.flow, parameters[2 * d :])


class InverseAutoregressiveFlow(AbstractContextFlow):
    """q(z|x): a normal through inverse autoregressive maps (Kingma et al. 2016, algorithm 1).

    A draw is one pass; evaluating another point inverts the maps, one latent after the other.
    """

    name: ClassVar[str] = "iaf"
    kind: ClassVar[FlowKind] = "masked-autoregressive"

    __init__ = AbstractContextFlow.__init__


class CouplingFlow(AbstractContextFlow):
    """q(z|x): a normal through coupling maps, one pass both ways (Dinh et al. 2017, §3.2)."""

    name: ClassVar[str] = "coupling"
    kind: ClassVar[FlowKind] = "coupling"

    __init__ = AbstractContextFlow.__init__


class PowerSpherical(AbstractPosterior):
    """q(z|x) on the sphere, round a direction, more or less concentrated (De Cao & Aziz 2020).

    It stands where the von Mises–Fisher distribution usually does, whose normaliser is a Bessel
    function that JAX lacks. The network gives the direction, which is normalised (zeros: the first
    axis), and a number s for the concentration 1 + softplus(s).

    Attributes:
        latent_dim: The number of dimensions of the ambient space, at least two: the numbers that
            the decoder gets. The sphere has one dimension fewer.
    """

    name: ClassVar[str] = "power-spherical"
    latent: ClassVar[LatentKind] = "sphere"
    gradient: ClassVar[Literal["pathwise", "implicit", "relaxed"]] = "implicit"
    least_latent_dim: ClassVar[int] = 2

    latent_dim: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        check_sphere(self.latent_dim)

    @property
    def parameter_count(self) -> int:
        """A direction and a concentration."""
        return self.latent_dim + 1

    def __call__(self, parameters: Float[Array, " parameters"]) -> PowerSphericalDistribution:
        """The distribution from `(latent_dim + 1,)` numbers."""
        raw = parameters[:-1]
        first = jnp.zeros_like(raw).at[0].set(1.0)
        direction = jnp.where(jnp.any(raw != 0), unit(raw), first)
        return PowerSphericalDistribution(direction, 1.0 + jax.nn.softplus(parameters[-1]))


class GumbelSoftmax(AbstractPosterior):
    """q(z|x): categorical variables, by Gumbel-softmax (Jang et al. 2017; Maddison et al. 2017).

    The KL divergence is that of the exact categorical variables. Straight-through draws are exact
    one-hot vectors, so every bound is one; their gradients are those of the relaxation, and biased.
    Without straight-through the decoder sees relaxed draws in training and in evaluation: gradients
    are exact for what is then no bound of the categorical model.

    Attributes:
        latent_dim: The length of z: variables × categories, for z holds one-hot vectors, one
            variable after the other.
        categories: How many categories each variable has.
        temperature: Of the relaxation: lower is nearer to one-hot, with wilder gradients (2/3 is
            Maddison et al.'s for small problems).
        straight_through: Whether draws are one-hot and only their gradients relaxed.
    """

    name: ClassVar[str] = "categorical"
    latent: ClassVar[LatentKind] = "categorical"
    gradient: ClassVar[Literal["pathwise", "implicit", "relaxed"]] = "relaxed"
    least_latent_dim: ClassVar[int] = 2

    latent_dim: int = eqx.field(static=True)
    categories: int = eqx.field(static=True, default=10)
    temperature: float = eqx.field(static=True, default=2 / 3)
    straight_through: bool = eqx.field(static=True, default=True)

    def __check_init__(self) -> None:
        check_categories(self.latent_dim, self.categories)
        if not self.temperature > 0:
            raise ValueError(f"temperature is {self.temperature}; it must be positive")

    @property
    def parameter_count(self) -> int:
        """One logit a category of each variable."""
        return self.latent_dim

    def __call__(self, parameters: Float[Array, " parameters"]) -> OneHotCategorical:
        """The variables from their logits."""
        logits = parameters.reshape(-1, self.categories)
        return OneHotCategorical(logits, self.temperature, self.straight_through)


class Deterministic(AbstractPosterior):
    """z = f(x), a point: for regularised and Wasserstein autoencoders (Ghosh et al. 2020, §3).

    It has no density, so no KL divergence and no evidence lower bound.
    """

    name: ClassVar[str] = "deterministic"
    latent: ClassVar[LatentKind] = "point"
    has_density: ClassVar[bool] = False
    has_log_prob: ClassVar[bool] = False

    latent_dim: int = eqx.field(static=True)

    @property
    def parameter_count(self) -> int:
        """One number a latent."""
        return self.latent_dim

    def __call__(self, parameters: Float[Array, " parameters"]) -> Point:
        """The point itself."""
        return Point(parameters)


def _normal(parameters: Float[Array, " parameters"]) -> dist.Normal:
    """Independent normals from means, then log-variances."""
    mean, log_variance = jnp.split(parameters, 2)
    return dist.Normal(mean, jnp.exp(0.5 * log_variance))


def _check_layers(layers: int) -> None:
    if layers < 1:
        raise ValueError(f"layers is {layers}; give at least one")
