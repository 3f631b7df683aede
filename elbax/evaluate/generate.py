"""From data to latents and back, for many rows: encode, decode, reconstruct, generate.

Where one value is to stand for p(x|z) it is its *location* (`likelihood_location`), the same for
files, figures and estimators.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from elbax.evaluate.tiles import Conditioned, Rows, binary_datum, map_rows
from elbax.model.distributions.basic import location
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.model.likelihoods.mixed import Columns
from elbax.util.keys import stream


def likelihood_location(p: Any) -> Array:
    """The value that stands for p(x|z) where a single one is asked for; the datum's shape.

    The mean, of numbers, counts and pixels (of a binary pixel: the probability of a 1). Of a
    table's categories, levels and yes/no columns, between which nothing lies: the most probable.

    Args:
        p: What `model.decode` gives.
    """
    return p.typical if isinstance(p, Columns) else p.mean


def preprocess(
    model: LatentVariableModel, rows: Rows, key: PRNGKeyArray | None = None
) -> Float[np.ndarray, "rows ..."]:
    """Stored rows as the encoder sees them.

    Args:
        model: The model.
        rows: Data as stored, rows along the leading axis.
        key: Of the draws, where the model binarises; None leaves grey levels as they are.
    """
    if key is None:
        return map_rows(_scaled, model, rows, jax.random.key(0))  # nothing is drawn
    return map_rows(_seen, model, rows, key)


def posterior_moments(
    model: LatentVariableModel, rows: Rows
) -> dict[str, Float[np.ndarray, "rows latent"]]:
    """The mean and the standard deviation of q(z|x) for each row.

    Args:
        model: A model whose posterior has a `mean`, and perhaps a `variance`; of one without a mean
            (a flow) its `location` stands there.
        rows: Data as stored, rows along the leading axis; grey levels are read as they are, not
            binarised.

    Returns:
        `mean`, and `scale` where the posterior has a variance.
    """
    return map_rows(_moments, model, rows, jax.random.key(0))  # nothing is drawn


def decode(
    model: LatentVariableModel,
    z: Rows,
    key: PRNGKeyArray | None = None,
    numbers: np.ndarray | None = None,
) -> Float[np.ndarray, "rows ..."]:
    """At each latent the location of p(x|z), or a draw from it.

    Args:
        model: The model.
        z: Latents, (rows, latent_dim).
        key: Of the draws; None gives locations.
        numbers: What the rows' keys are made of (see `map_rows`); by default their places.
    """
    if key is None:
        return map_rows(_location, model, z, jax.random.key(0))  # nothing is drawn
    return map_rows(_draw, model, z, key, numbers=numbers)


def decode_mean(model: LatentVariableModel, z: Rows) -> Float[np.ndarray, "rows ..."]:
    """At each latent the mean of p(x|z), also of a yes/no column: the probability of yes."""
    return map_rows(_mean, model, z, jax.random.key(0))  # nothing is drawn


def reconstruct(
    model: LatentVariableModel,
    rows: Rows,
    key: PRNGKeyArray,
    numbers: np.ndarray | None = None,
) -> tuple[Float[np.ndarray, "rows ..."], Float[np.ndarray, "rows ..."]]:
    """Each datum as the encoder saw it, and the location of p(x|z) at the location of q(z|x).

    Args:
        model: The model.
        rows: Data as stored, rows along the leading axis.
        key: Of the binarisation, where the model binarises.
        numbers: What the rows' keys are made of (see `map_rows`); by default their places.
    """
    return map_rows(_reconstruction, model, rows, key, numbers=numbers)


def generate(
    model: LatentVariableModel,
    count: int,
    key: PRNGKeyArray,
    *,
    draw: bool = False,
    condition: Float[np.ndarray, "count numbers"] | None = None,
    numbers: np.ndarray | None = None,
) -> tuple[Float[np.ndarray, "count ..."], Any]:
    """New data: z from the prior, and there the location of p(x|z), or a draw from it.

    Args:
        model: The model.
        count: How many; the first n of a larger count are those of a smaller one.
        key: The randomness; z is the same with and without `draw`.
        draw: Whether x is drawn from p(x|z).
        condition: What a conditioned model is given for each.
        numbers: What the keys of the data are made of (see `map_rows`); by default their places.

    Returns:
        x (count, *shape) and z.
    """
    blank: Rows = np.zeros(count, np.uint8)
    if condition is not None:
        blank = Conditioned(blank, condition)
    of_row = _generated_draw if draw else _generated_location
    return map_rows(of_row, model, blank, key, numbers=numbers)


# --- one row -----------------------------------------------------------------------------------


def _scaled(model: LatentVariableModel, row: Array, _: PRNGKeyArray) -> Array:
    return model.preprocessing(row)


def _seen(model: LatentVariableModel, row: Array, key: PRNGKeyArray) -> Array:
    return model.preprocessing(row, binary_datum(key))


def _moments(model: LatentVariableModel, row: Array, _: PRNGKeyArray) -> dict[str, Array]:
    q = model.encode(model.preprocessing(row))
    moments = {"mean": q.mean if hasattr(q, "mean") else location(q)}
    if hasattr(q, "variance"):
        moments["scale"] = jnp.sqrt(q.variance)
    return moments


def _location(model: LatentVariableModel, z: Any, _: PRNGKeyArray) -> Array:
    return likelihood_location(model.decode(z))


def _mean(model: LatentVariableModel, z: Any, _: PRNGKeyArray) -> Array:
    return model.decode(z).mean


def _draw(model: LatentVariableModel, z: Any, key: PRNGKeyArray) -> Array:
    return model.decode(z).sample(key)


def _reconstruction(
    model: LatentVariableModel, row: Array, key: PRNGKeyArray
) -> tuple[Array, Array]:
    x = model.preprocessing(row, binary_datum(key))
    return x, likelihood_location(model.decode(location(model.encode(x))))


def _generated_location(
    model: LatentVariableModel, _: Array, key: PRNGKeyArray
) -> tuple[Array, Any]:
    z = model.prior_distribution().sample(stream(key, "latent"))
    return likelihood_location(model.decode(z)), z


def _generated_draw(model: LatentVariableModel, _: Array, key: PRNGKeyArray) -> tuple[Array, Any]:
    z = model.prior_distribution().sample(stream(key, "latent"))
    return model.decode(z).sample(stream(key, "datum")), z
