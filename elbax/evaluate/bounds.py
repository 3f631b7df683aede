"""The evidence lower bound of data that training did not see, with its uncertainty."""

import dataclasses
import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from elbax.evaluate.tiles import map_rows
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.model.objectives import ElboTerms, elbo_terms


@dataclasses.dataclass(frozen=True)
class Mean:
    """An average over data, and its standard error.

    Attributes:
        mean: The average, in nats per datum.
        standard_error: Its standard error over the data: how far the average would move with
            another sample of the same size. It covers neither the training's own randomness nor any
            bias. NaN for a single datum.
    """

    mean: float
    standard_error: float


@dataclasses.dataclass(frozen=True)
class ElboEstimate:
    """The evidence lower bound, datum by datum, in nats.

    Attributes:
        elbo: The bound: reconstruction − kl.
        reconstruction: The expected log-likelihood E_q[log p(x|z)].
        kl: KL(q(z|x) ‖ p(z)).
        kl_per_latent: The same by latent dimension, where both factorise; else None.
    """

    elbo: Float[np.ndarray, " rows"]
    reconstruction: Float[np.ndarray, " rows"]
    kl: Float[np.ndarray, " rows"]
    kl_per_latent: Float[np.ndarray, "rows latent"] | None

    def means(self) -> dict[str, Mean]:
        """The averages of elbo, reconstruction and kl, with standard errors."""
        return {name: mean(getattr(self, name)) for name in ("elbo", "reconstruction", "kl")}


def mean(values: Float[np.ndarray, " rows"]) -> Mean:
    """The average of values, in float64, and its standard error."""
    values = np.asarray(values, np.float64)
    error = values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return Mean(float(values.mean()), float(error))


def elbo(
    model: LatentVariableModel, rows: np.ndarray, *, key: PRNGKeyArray, samples: int = 10
) -> ElboEstimate:
    """The evidence lower bound of each row (Kingma & Welling 2013, eq. 3).

    Args:
        model: The model.
        rows: Data as stored (the model's preprocessing is applied), rows along the leading axis.
        key: The randomness: of row i and draw k, so that a row's result depends on no other row.
        samples: Draws z ~ q(z|x) a row, averaged. Data that the model binarises is drawn anew for
            each.

    Raises:
        ValueError: There are no rows, or no samples.
    """
    if len(rows) < 1 or samples < 1:
        raise ValueError(
            f"{len(rows)} rows and {samples} samples; the bound needs at least one of each"
        )

    terms = map_rows(_averaged_terms(samples), model, rows, key)
    return ElboEstimate(terms.elbo, terms.reconstruction, terms.kl, terms.kl_per_latent)


@functools.cache  # the same function for the same number, so that it is compiled once
def _averaged_terms(samples: int) -> Callable[..., ElboTerms]:
    def of_row(model: LatentVariableModel, row: Array, key: PRNGKeyArray) -> ElboTerms:
        def draw(number: Array) -> ElboTerms:
            binarize, latent = jax.random.split(jax.random.fold_in(key, number))
            return elbo_terms(model, model.preprocessing(row, binarize), latent)

        draws = jax.lax.map(draw, jnp.arange(samples))
        return jax.tree.map(lambda a: jnp.mean(a, axis=0), draws)

    return of_row
