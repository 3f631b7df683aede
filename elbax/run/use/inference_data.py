"""A run's posterior draws as ArviZ takes them: a DataTree of labelled arrays."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from elbax.data.source import Split
from elbax.evaluate.tiles import binary_datum, map_rows
from elbax.model.compatibility import has_density
from elbax.model.distributions.basic import sample_and_log_prob
from elbax.run import labels
from elbax.util.extras import need
from elbax.util.keys import of_seed, stream

if TYPE_CHECKING:
    from elbax.model.latent_variable_model import LatentVariableModel
    from elbax.run.run import Run

_MOST = 200_000_000  # numbers of log p(x_j|z)


def inference_data(run: Run, split: str, draws: int, limit: int | None, seed: int) -> Any:
    """What `Run.to_arviz` gives.

    Raises:
        ValueError: ArviZ is not installed, q(z|x) has no density, or there are too many numbers.
    """
    arviz = need("arviz_base", "arviz", "to_arviz")
    model = run.model
    if not has_density(model):
        raise ValueError(
            "to_arviz gives draws of q(z|x), and this model's encoder gives a point: encode it"
        )
    x, label = run.rows(split)
    x, label = x[:limit], None if label is None else label[:limit]
    if draws < 1 or len(x) < 1:
        raise ValueError(f"{draws} draws of {len(x)} rows; there has to be one of each at least")
    count = draws * math.prod(x.shape)
    if count > _MOST:
        raise ValueError(
            f"log p of {count:,} cells is too much for one table: give fewer draws, or a limit"
        )
    rows = labels.conditioned(model, Split(x, label))
    z, log_weight, log_likelihood = map_rows(
        _of_row(draws), model, rows, of_seed(seed, "arviz"), tile=8
    )
    chains = {name: _chained(value) for name, value in (("z", z), ("w", log_weight))}
    dims, coords = _axes(run, x)
    return arviz.from_dict(
        {
            "posterior": {"z": chains["z"]},
            "log_likelihood": {"x": _chained(log_likelihood)},
            "sample_stats": {"log_weight": chains["w"]},
            "observed_data": {"x": x},
        },
        dims={"z": ["row", "latent"], "x": ["row", *dims], "log_weight": ["row"]},
        coords={"row": np.arange(len(x)), "latent": np.arange(z.shape[-1]), **coords},
        attrs={"/": {"inference_library": f"elbax {version('elbax')}", "split": split}},
    )


def _chained(values: np.ndarray) -> np.ndarray:
    """(row, draw, …) as ArviZ has it, (chain, draw, row, …), of one chain."""
    return np.swapaxes(values, 0, 1)[None]


def _axes(run: Run, x: np.ndarray) -> tuple[list[str], dict[str, Any]]:
    """The names of the axes of a datum, and what stands along them."""
    columns = run.dataset.columns
    if columns and x.ndim == 2:
        return ["column"], {"column": [column.name for column in columns]}
    names = ["height", "width", "channel"] if x.ndim == 4 else []
    return names or [f"x_dim_{axis}" for axis in range(x.ndim - 1)], {}


@functools.cache
def _of_row(draws: int) -> Callable[..., Any]:
    """Draws of q(z|x) of one row, their log-weights, and log p(x_j|z) of each element."""

    def of_row(model: LatentVariableModel, row: jax.Array, key: Any) -> Any:
        x = model.preprocessing(row, binary_datum(key))
        q, prior = model.encode(x), model.prior_distribution()

        def once(key: Any) -> Any:
            z, log_q = sample_and_log_prob(q, key)
            each = model.log_likelihoods(x, z)
            return z, jnp.sum(each) + prior.log_prob(z) - log_q, each

        return jax.vmap(once)(jax.random.split(stream(key, "arviz"), draws))

    return of_row
