"""KL divergences: a small table of closed forms, and Monte Carlo for everything else.

numpyro has a registry of its own; it lacks several of these pairs, and for a point mass it answers
−log p(z), which is no divergence. So the table is here, it is short, and every entry is tested
against quadrature.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float, Scalar

from elbax.model.codes.autoregressive import SequenceOfCodes
from elbax.model.codes.point import ChosenCodes, UniformOverCodes
from elbax.model.distributions.basic import OneHotCategorical, base_of
from elbax.model.distributions.sphere import PowerSphericalDistribution, UniformSphere


def has_closed_form(q: Any, p: Any) -> bool:
    """Whether `kl_divergence(q, p)` has an entry in the table."""
    return _pair(q, p) in _CLOSED_FORMS


def kl_divergence(q: Any, p: Any) -> Scalar:
    """KL(q ‖ p) in nats, in closed form.

    Args:
        q: A distribution over a vector: independent normals, a multivariate normal, categorical
            variables, or a power spherical one.
        p: Another, of the same length (the uniform one on the sphere, for a power spherical q).

    Raises:
        NotImplementedError: There is no closed form here for the pair; log q(z) − log p(z) at draws
            z ~ q estimates it.
    """
    form = _CLOSED_FORMS.get(_pair(q, p))
    if form is None:
        names = " and ".join(kind.__name__ for kind in _pair(q, p))
        raise NotImplementedError(
            f"no closed-form KL divergence between {names}; "
            "average log q(z) − log p(z) over draws z ~ q instead"
        )
    return form(base_of(q), base_of(p))


def kl_per_dimension(q: Any, p: Any) -> Float[Array, " latent"] | None:
    """The KL divergence of each latent dimension in nats; None unless q and p factorise."""
    if _pair(q, p) != (dist.Normal, dist.Normal):
        return None
    return _normal_elementwise(base_of(q), base_of(p))


def _normal_elementwise(q: Any, p: Any) -> Float[Array, " latent"]:
    # ½ (σ² + μ² − 1 − log σ²), the summary's formula, for any normal prior.
    ratio = q.scale / p.scale
    shift = (q.loc - p.loc) / p.scale
    return 0.5 * (jnp.square(ratio) + jnp.square(shift) - 1.0) - jnp.log(ratio)


def _normal_normal(q: Any, p: Any) -> Scalar:
    return jnp.sum(_normal_elementwise(q, p))


def _full_full(q: Any, p: Any) -> Scalar:
    # ½ (tr Σp⁻¹Σq + (μp − μq)ᵀ Σp⁻¹ (μp − μq) − k + log det Σp − log det Σq), all by Cholesky
    # factors.
    q_factor, p_factor = _cholesky(q), _cholesky(p)
    whitened = solve_triangular(p_factor, q_factor, lower=True)
    shift = solve_triangular(p_factor, q.loc - p.loc, lower=True)
    log_determinants = jnp.sum(jnp.log(jnp.diagonal(p_factor)) - jnp.log(jnp.diagonal(q_factor)))
    return 0.5 * (jnp.sum(whitened**2) + jnp.sum(shift**2) - q.loc.shape[-1]) + log_determinants


def _full_normal(q: Any, p: Any) -> Scalar:
    # Against independent normals Σp is diagonal, so no triangular solve is needed.
    factor = q.scale_tril / p.scale[:, None]
    shift = (q.loc - p.loc) / p.scale
    log_determinant = jnp.sum(jnp.log(jnp.diagonal(factor)))
    return 0.5 * (jnp.sum(factor**2) + jnp.sum(shift**2) - q.loc.shape[-1]) - log_determinant


def _categorical_categorical(q: OneHotCategorical, p: OneHotCategorical) -> Scalar:
    # Of the exact variables, also where draws are relaxed, as Jang et al. 2017 do.
    ratio = q.log_probabilities - p.log_probabilities
    return jnp.sum(jnp.exp(q.log_probabilities) * ratio)


def _power_uniform(q: PowerSphericalDistribution, p: UniformSphere) -> Scalar:
    del p
    return q.kl_to_uniform()


def _chosen(q: ChosenCodes, p: Any) -> Scalar:
    return -p.log_prob_of(q.indices).astype(q.z.dtype)


def _cholesky(distribution: Any) -> Any:
    full = type(distribution) is dist.MultivariateNormal
    return distribution.scale_tril if full else jnp.diag(distribution.scale)


_CLOSED_FORMS: dict[tuple[type, type], Callable[[Any, Any], Scalar]] = {
    (dist.Normal, dist.Normal): _normal_normal,
    (dist.MultivariateNormal, dist.Normal): _full_normal,
    (dist.MultivariateNormal, dist.MultivariateNormal): _full_full,
    (dist.Normal, dist.MultivariateNormal): _full_full,
    (OneHotCategorical, OneHotCategorical): _categorical_categorical,
    (PowerSphericalDistribution, UniformSphere): _power_uniform,
    (ChosenCodes, UniformOverCodes): _chosen,
    (ChosenCodes, SequenceOfCodes): _chosen,
}


def _pair(q: Any, p: Any) -> tuple[type, type]:
    return type(base_of(q)), type(base_of(p))
