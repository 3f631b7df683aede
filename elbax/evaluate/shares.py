"""What each element of a datum has to do with its log p(x)."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from elbax.evaluate.tiles import map_rows
from elbax.model.distributions import sample_and_log_prob
from elbax.model.latent_variable_model import LatentVariableModel

_ROWS = 4  # in a tile, as in `elbax.evaluate.likelihoods`


def shares(
    model: LatentVariableModel,
    rows: np.ndarray,
    *,
    key: PRNGKeyArray,
    samples: int = 250,
    numbers: np.ndarray | None = None,
) -> Float[np.ndarray, "rows ..."]:
    """E[log p(x_j|z)] of each element j under the posterior p(z|x), in nats.

    The exact posterior has log p(x) = E[log p(x|z)] − KL(p(z|x) ‖ p(z)) (Kingma & Welling 2013,
    eq. 1, with q = p(z|x)), and the first term is a sum over the elements of x: these are its
    parts. What they sum to less log p(x) is what the latents cost. The expectation is taken by
    self-normalised importance sampling: draws z ~ q(z|x), weighted by p(x, z) / q(z|x).

    Args:
        model: A model whose posterior draws with a density.
        rows: Data as stored (the model's preprocessing is applied), rows along the leading axis.
        key: The randomness: of row i, so that a row's result depends on no other row.
        samples: Draws z ~ q(z|x) a row.
        numbers: What the rows' keys are made of (see `map_rows`); by default their places.

    Returns:
        The shape of `rows`; 0 where an element was not observed (NaN).

    Raises:
        ValueError: There are no rows or no samples.
    """
    if len(rows) < 1 or samples < 1:
        raise ValueError(
            f"{len(rows)} rows and {samples} samples; shares need at least one of each"
        )
    return map_rows(_of_row(samples), model, rows, key, tile=_ROWS, numbers=numbers)


@functools.cache  # the same function for the same number, so that it is compiled once
def _of_row(samples: int) -> Callable[..., Array]:
    def of_row(model: LatentVariableModel, row: Array, key: PRNGKeyArray) -> Array:
        binarize, latent = jax.random.split(key)
        x = model.preprocessing(row, binarize)
        observed = ~jnp.isnan(x)
        # With a number that every family is defined for, as in `LatentVariableModel`.
        filled = jnp.where(observed, x, 1.0)
        q, p = model.encode(x), model.prior_distribution()

        def draw(key: PRNGKeyArray) -> tuple[Any, Array]:
            z, log_q = sample_and_log_prob(q, key)
            elements = jnp.where(observed, model.decode(z).log_prob(filled), 0.0)
            return elements, jnp.sum(elements) + p.log_prob(z) - log_q

        elements, log_weights = jax.vmap(draw)(jax.random.split(latent, samples))
        return jnp.tensordot(jax.nn.softmax(log_weights), elements, axes=1)

    return of_row
