"""A density fitted to a model's latents, in the place of its prior."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal

import jax

from elbax.evaluate import map_rows
from elbax.evaluate.tiles import Rows
from elbax.model.distributions.basic import sample

if TYPE_CHECKING:
    from elbax.model.latent_variable_model import LatentVariableModel

ROWS = 20_000  # that a density is fitted to: the first so many
Kind = Literal["gaussian", "gaussian-mixture", "flow"]


def fitted(
    model: LatentVariableModel, rows: Rows, kind: Kind, components: int = 10, *, seed: int
) -> LatentVariableModel:
    """The model with a density fitted to one draw of q(z|x) for each row, for its prior.

    Args:
        model: A model whose latents are real vectors.
        rows: Data as stored.
        kind: What is fitted (`elbax.evaluate.expost`).
        components: Of the mixture.
        seed: Of the draws and of the fit.

    Raises:
        ValueError: There are too few rows, or a latent is not finite.
    """
    from elbax.evaluate import expost

    fit_key, key = jax.random.split(jax.random.key(seed))
    latents = map_rows(_latent_one, model, rows, key)
    if kind == "gaussian":
        prior = expost.gaussian(latents)
    elif kind == "gaussian-mixture":
        prior = expost.gaussian_mixture(latents, components, seed=seed)
    else:
        prior = expost.flow(latents, key=fit_key)
    return dataclasses.replace(model, prior=prior)


def _latent_one(model: LatentVariableModel, row: Any, key: jax.Array) -> Any:
    binarize, latent = jax.random.split(key)
    return sample(model.encode(model.preprocessing(row, binarize)), latent)
