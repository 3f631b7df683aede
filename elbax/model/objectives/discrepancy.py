"""Maximum mean discrepancy: how far two samples are apart, without a density."""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, Scalar

from elbax.model.distributions.basic import sample
from elbax.model.interfaces import Batch
from elbax.model.latent_variable_model import LatentVariableModel

Kernel = Literal["gaussian", "inverse-multiquadratic"]
# Tolstikhin et al. 2018's code sums the kernel over these multiples of its width.
_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def maximum_mean_discrepancy(
    a: Float[Array, "m latent"], b: Float[Array, "n latent"], kernel: Kernel
) -> Scalar:
    """The squared maximum mean discrepancy between the distributions that two samples come from.

    E k(a, a') + E k(b, b') − 2 E k(a, b), estimated without bias (Gretton et al. 2012, eq. 3), so
    it may be below 0. Where a sample has one row there is no pair in it, and the answer is 0.

    * "gaussian": k = exp(−‖a − b‖² / 2d), of d latents: for draws of a standard normal the exponent
      is −1 on average. (Zhao et al.'s code divides by d²: flat where there are many latents.)
    * "inverse-multiquadratic": k = Σ_s C s / (C s + ‖a − b‖²), C = 2d, over seven scales s from 0.1
      to 10 (Tolstikhin et al. 2018, §4 and their code). Its tails are heavier, so that outliers are
      drawn in, too.

    Args:
        a: One sample.
        b: Another.
        kernel: k.
    """
    if min(len(a), len(b)) < 2:
        return jnp.zeros((), a.dtype)
    k = _kernel(kernel, a.shape[1])
    within = _off_diagonal_mean(k(_squares(a, a))) + _off_diagonal_mean(k(_squares(b, b)))
    return within - 2.0 * jnp.mean(k(_squares(a, b)))


def prior_draws(model: LatentVariableModel, batch: Batch, key: PRNGKeyArray) -> Any:
    """One draw of p(z) for each row (under the row's condition, where there is one)."""

    def of_row(key: PRNGKeyArray, condition: Array | None) -> Any:
        return sample(model.prior_distribution(condition), key)

    return jax.vmap(of_row)(jax.random.split(key, batch.x.shape[0]), batch.condition)


def check_kernel(kernel: str) -> None:
    """Whether there is such a kernel.

    Raises:
        ValueError: There is not.
    """
    if kernel not in ("gaussian", "inverse-multiquadratic"):
        raise ValueError(f"kernel is {kernel!r}; it can be 'gaussian' or 'inverse-multiquadratic'")


def _kernel(name: Kernel, latents: int) -> Callable[[Array], Array]:
    """K as a function of squared distances."""
    width = 2.0 * latents
    if name == "gaussian":
        return lambda squares: jnp.exp(-squares / width)
    return lambda squares: sum(
        (width * s / (width * s + squares) for s in _SCALES), start=jnp.zeros(())
    )


def _squares(a: Float[Array, "m latent"], b: Float[Array, "n latent"]) -> Float[Array, "m n"]:
    # Not by the product of matrices: that loses what near neighbours have left.
    return jnp.sum(jnp.square(a[:, None, :] - b[None, :, :]), axis=-1)


def _off_diagonal_mean(values: Float[Array, "m m"]) -> Scalar:
    rows = len(values)
    return (jnp.sum(values) - jnp.trace(values)) / (rows * (rows - 1))
