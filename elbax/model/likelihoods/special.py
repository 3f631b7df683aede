"""Special functions that would lose their digits, or their gradients, if written as they read."""

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, Float

_LARGE = 30.0  # from here the fifth term of Stirling's series is below 2e-11


def log_sigmoid_difference(
    upper: Float[Array, "..."], lower: Float[Array, "..."], gap: Float[Array, "..."]
) -> Float[Array, "..."]:
    """log(σ(upper) − σ(lower)), where gap = upper − lower is positive.

    σ(a) − σ(b) = σ(a) σ(−b) (1 − e^(b − a)), in which nothing cancels: PixelCNN++ (Salimans et al.
    2017) approximates the far tails by the density instead. The caller knows the gap exactly.
    """
    difference = jnp.log(-jnp.expm1(-gap))
    return jax.nn.log_sigmoid(upper) + jax.nn.log_sigmoid(-lower) + difference


def log_rising_factorial(a: Float[Array, "..."], x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The difference log Γ(a + x) − log Γ(a) for a > 0 and x ≥ 0.

    For large `a` the difference of two large numbers loses its digits (all of them in float32 near
    10⁶): there it is taken term by term from Stirling's series.
    """
    small = jnp.minimum(a, _LARGE)
    large = jnp.maximum(a, _LARGE)
    direct = gammaln(small + x) - gammaln(small)
    series = x * jnp.log(large) + (large + x - 0.5) * jnp.log1p(x / large) - x
    series += _stirling(large + x) - _stirling(large)
    return jnp.where(a > _LARGE, series, direct)


def _stirling(a: Float[Array, "..."]) -> Float[Array, "..."]:
    inverse = 1.0 / a
    square = inverse * inverse
    return inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680)))


def log_sinhc(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """log(sinh(x) / x), by its Taylor series where |x| < 1/2."""
    near = jnp.abs(x) < 0.5
    square = jnp.square(jnp.where(near, x, 0.0))
    far = jnp.abs(jnp.where(near, 1.0, x))
    # Σ 2²ⁿ B₂ₙ x²ⁿ / (2n (2n)!), B the Bernoulli numbers; the first term left out is below 1e-15.
    series = _polynomial(
        square,
        (0.0, 1 / 6, -1 / 180, 1 / 2835, -1 / 37800, 1 / 467775, -691 / 3831077250, 2 / 127702575,
         -3617 / 2605132530000),
    )  # fmt: skip
    return jnp.where(near, series, far + jnp.log1p(-jnp.exp(-2.0 * far)) - jnp.log(2.0 * far))


def _polynomial(x: Float[Array, "..."], coefficients: tuple[float, ...]) -> Float[Array, "..."]:
    value = jnp.zeros_like(x)
    for coefficient in reversed(coefficients):
        value = value * x + coefficient
    return value
