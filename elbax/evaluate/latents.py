"""What the latents hold."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from elbax.evaluate.tiles import map_rows
from elbax.model.latent_variable_model import LatentVariableModel

ACTIVE = 0.01  # the threshold of Burda et al. 2015, §5.2


def posterior_moments(
    model: LatentVariableModel, rows: np.ndarray
) -> dict[str, Float[np.ndarray, "rows latent"]]:
    """The mean and the standard deviation of q(z|x) for each row.

    Args:
        model: A model whose posterior has a `mean`, and perhaps a `variance`.
        rows: Data as stored, rows along the leading axis; grey levels are read as they are, not
            binarised.

    Returns:
        `mean`, and `scale` where the posterior has a variance.
    """
    return map_rows(_moments, model, rows, jax.random.key(0))  # nothing is drawn


def _moments(model: LatentVariableModel, row: Array, _: PRNGKeyArray) -> dict[str, Array]:
    q = model.encode(model.preprocessing(row))
    moments = {"mean": q.mean}
    if hasattr(q, "variance"):
        moments["scale"] = jnp.sqrt(q.variance)
    return moments


def active(means: Float[np.ndarray, "rows latent"]) -> Bool[np.ndarray, " latent"]:
    """Which latents are active: Var_x E_q[z] > 0.01 over the data (Burda et al. 2015, §5.2)."""
    return np.var(np.asarray(means, np.float64), axis=0) > ACTIVE
