"""A normal likelihood whose elements hang together given z: a low-rank covariance beside z.

What z leaves open is often shared: columns that nearly follow from others leave a narrow ridge,
which independent residuals cannot be. With a covariance B Bᵀ + diag(s²) missing elements are known
from the observed ones exactly, given z.
"""

import math
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from elbax.model.distributions.basic import AbstractLinked
from elbax.model.interfaces import AbstractLikelihood
from elbax.model.support import REAL

# Of the scales, in standardised columns. Below it float32 loses the smaller eigenvalues of
# I + Bᵀ diag(s⁻²) B, which are near 1, beside the larger ones.
MINIMUM_SCALE = 3e-3
_START = 0.1  # of the loadings: at 0 their gradient is 0


class LowRankNormal(AbstractLikelihood):
    """Normal elements, linked by a covariance of low rank (Ghahramani & Hinton 1996).

    p(x|z) = N(μ(z), B Bᵀ + diag(s²)) with learned B and s, the same at all z: a mixture of factor
    analysers of which z says which, with infinitely many components. With a decoder that ignores z
    it is factor analysis.

    Attributes:
        log_scale: The logarithms of s above its floor.
        loadings: B.
        minimum_scale: The floor of s.
    """

    name: ClassVar[str] = "low-rank-normal"
    discrete: ClassVar[bool] = False
    support = REAL

    shape: tuple[int, ...] = eqx.field(static=True)
    log_scale: Float[Array, " elements"]
    loadings: Float[Array, "elements rank"]
    minimum_scale: float = eqx.field(static=True)

    def __init__(
        self, shape: tuple[int, ...], rank: int = 10, minimum_scale: float = MINIMUM_SCALE
    ) -> None:
        """Makes the family.

        Args:
            shape: The shape of one datum.
            rank: The rank of B, at most the number of elements.
            minimum_scale: The floor of s.

        Raises:
            ValueError: The rank is below 1.
        """
        if rank < 1:
            raise ValueError(f"rank is {rank}: give at least 1, or the likelihood normal")
        size = math.prod(shape)
        self.shape = shape
        self.log_scale = jnp.zeros(size)
        # Cosines: orthogonal columns, the same in each run.
        phase = np.outer(np.arange(size) + 0.5, np.arange(min(rank, size)))
        self.loadings = jnp.asarray(_START * np.cos(np.pi / size * phase), jnp.float32)
        self.minimum_scale = minimum_scale

    @property
    def parameter_count(self) -> int:
        """A mean for each element."""
        return math.prod(self.shape)

    def __call__(self, parameters: Float[Array, " parameters"]) -> "LinkedNormal":
        """Linked normal variables from their means."""
        scale = self.minimum_scale + jnp.exp(self.log_scale)
        return LinkedNormal(parameters.reshape(self.shape), scale, self.loadings)


class LinkedNormal(AbstractLinked):
    """Normal variables μ + B u + s ε, with u and ε of independent standard normal numbers.

    Attributes:
        location: μ, in the shape of the datum.
        scale: s.
        loadings: B.
    """

    location: Float[Array, "..."]
    scale: Float[Array, " elements"]
    loadings: Float[Array, "elements rank"]

    def sample(self, key: PRNGKeyArray) -> Float[Array, "..."]:
        """A draw."""
        shared, own = jax.random.split(key)
        u = jax.random.normal(shared, self.loadings.shape[1:], self.location.dtype)
        noise = jax.random.normal(own, self.scale.shape, self.location.dtype)
        return self._around(self.loadings @ u + self.scale * noise)

    def log_prob(self, value: Array) -> Float[Array, "..."]:
        """As `log_prob_observed`, where all elements are."""
        return self.log_prob_observed(value, jnp.ones(jnp.shape(value), bool))

    def log_prob_observed(self, value: Array, observed: Bool[Array, "..."]) -> Float[Array, "..."]:
        """Terms that sum to the log-density of the observed elements in nats; 0 of the others.

        With the mode û of u given them it is Σ log N(x_j; μ_j + b_j û, s_j²) − ½ |û|² −
        ½ log |I + Bᵀ diag(s⁻²) B|. What is of no element is shared out evenly.
        """
        seen = observed.ravel()
        root, b, e = self._whitened(value, seen)
        u = jax.scipy.linalg.cho_solve((root, True), b.T @ e)
        own = -0.5 * jnp.square(e - b @ u) - jnp.log(self.scale) - 0.5 * math.log(2.0 * math.pi)
        rest = -0.5 * jnp.sum(jnp.square(u)) - jnp.sum(jnp.log(jnp.diagonal(root)))
        each = own + rest / jnp.maximum(jnp.sum(seen), 1)
        return jnp.where(seen, each, 0.0).reshape(self.location.shape)

    def given(self, value: Array, observed: Bool[Array, "..."]) -> "LinkedNormal":
        """The missing elements given the observed ones; of these it says nothing.

        u given them is normal with covariance (I + Bᵀ diag(s⁻²) B)⁻¹, B of the observed.
        """
        root, b, e = self._whitened(value, observed.ravel())
        u = jax.scipy.linalg.cho_solve((root, True), b.T @ e)
        loadings = jax.scipy.linalg.solve_triangular(root, self.loadings.T, lower=True).T
        return LinkedNormal(self._around(self.loadings @ u), self.scale, loadings)

    @property
    def mean(self) -> Float[Array, "..."]:
        """μ."""
        return self.location

    @property
    def variance(self) -> Float[Array, "..."]:
        """That of each element."""
        own = jnp.square(self.scale) + jnp.sum(jnp.square(self.loadings), axis=1)
        return jnp.broadcast_to(own.reshape(self.location.shape), self.location.shape)

    def _around(self, flat: Float[Array, " elements"]) -> Float[Array, "..."]:
        return self.location + flat.reshape(self.location.shape)

    def _whitened(self, value: Array, seen: Bool[Array, " elements"]) -> tuple[Array, Array, Array]:
        """The Cholesky factor of I + Bᵀ diag(s⁻²) B, diag(s⁻¹) B and the residuals over s.

        All of the observed elements. The factor does not depend on x or z: under `jax.vmap` over
        draws of z it is computed once.
        """
        b = jnp.where(seen[:, None], self.loadings / self.scale[:, None], 0.0)
        e = jnp.where(seen, (value - self.location).ravel() / self.scale, 0.0)
        return jnp.linalg.cholesky(jnp.eye(b.shape[1], dtype=b.dtype) + b.T @ b), b, e
