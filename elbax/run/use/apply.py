"""What a trained model gives users: samples, reconstructions, encodings, decodings."""

from __future__ import annotations

from typing import Literal

import numpy as np

from elbax import evaluate
from elbax.evaluate.latents.expost import FITTED, fitted
from elbax.evaluate.latents.expost import ROWS as FITTED_ROWS
from elbax.evaluate.tiles import Conditioned, Rows
from elbax.model.codes.families import UniformCodes
from elbax.model.compatibility import latent_kind
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.run import labels
from elbax.run.run import Run
from elbax.util.keys import of_seed


def sample(
    model: LatentVariableModel, count: int, *, seed: int, draw: bool, label: int | None = None
) -> dict[str, np.ndarray]:
    """New data from the prior.

    Args:
        model: The model.
        count: How many.
        seed: Of everything drawn; the first n of a larger count are those of a smaller one.
        draw: Whether to draw from p(x|z); otherwise its location.
        label: The condition of a model that has one; None takes one label after the other.

    Returns:
        `x` (count, *shape) and `z` (count, latent_dim); and its condition, `label`.

    Raises:
        ValueError: The model is not conditioned on labels, or has no such one.
    """
    condition = labels.to_generate(model, count, label)
    key = of_seed(seed, "sample")
    x, z = evaluate.generate(model, count, key, draw=draw, condition=condition)
    if condition is None:
        return {"x": x, "z": z}
    return {"x": x, "z": z, "label": condition.argmax(axis=1)}


def with_fitted_prior(
    run: Run,
    sampler: Literal["gaussian", "gaussian-mixture", "flow", "autoregressive"],
    components: int = 10,
    *,
    seed: int,
) -> LatentVariableModel:
    """A run's model with a density fitted to its latents in the place of its prior.

    The latents are one draw of q(z|x) for each of the run's training rows, the first 20,000.

    Args:
        run: The run.
        sampler: What is fitted (`elbax.evaluate.latents.expost`).
        components: Of the mixture.
        seed: Of the draws and of the fit.

    Raises:
        ValueError: The latents are of another kind than what is fitted, or too few; one line.
    """
    kind = latent_kind(run.model)
    if kind not in FITTED[sampler]:
        what = {"sphere": "on a sphere", "categorical": "one-hot", "codes": "codes"}
        wants = "a density of real vectors" if "real" in FITTED[sampler] else "over codes"
        other = "autoregressive" if kind == "codes" else "prior"
        raise ValueError(
            f"sampler (--sampler) is {sampler}, {wants}, and the latents of {run.path} are "
            f"{what.get(kind, 'real vectors')}: take --sampler {other}"
        )
    rows = labels.conditioned(run.model, run.dataset.train)[:FITTED_ROWS]
    return fitted(run.model, rows, sampler, components, seed=seed)


def prior_in_words(model: LatentVariableModel) -> str:
    """What is drawn from where nothing is fitted for it."""
    if isinstance(model.prior, UniformCodes):
        return "the prior, uniform over codes: none was fitted"
    return "the prior"


def decode(
    model: LatentVariableModel, z: np.ndarray, *, seed: int, draw: bool, label: int | None = None
) -> dict[str, np.ndarray]:
    """Data from latents: the location of p(x|z), or a draw from it.

    Args:
        model: The model.
        z: (n, latent_dim).
        seed: Of the draws.
        draw: Whether to draw.
        label: The condition of a model that has one.

    Raises:
        ValueError: Latents of another length, or not finite; or a label is missing, or too many.
    """
    condition = check_latents(model, z, label)
    rows: Rows = z.astype(np.float32)
    if condition is not None:
        rows = Conditioned(rows, condition)
    key = of_seed(seed, "decode") if draw else None
    return {"x": evaluate.decode(model, rows, key), "z": z}


def check_latents(
    model: LatentVariableModel, z: np.ndarray, label: int | None = None
) -> np.ndarray | None:
    """Refuses latents that a model does not decode; answers with the condition of each, if any.

    Args:
        model: The model.
        z: (n, latent_dim).
        label: The condition of a model that has one.

    Raises:
        ValueError: Latents of another length, or not finite; or a label is missing, or too many.
    """
    if z.ndim != 2 or z.shape[1] != model.latent_dim:
        raise ValueError(
            f"latents have the shape {z.shape}, and this model takes (n, {model.latent_dim})"
        )
    if len(z) == 0:
        raise ValueError("there are no latents to decode: give at least one row")
    if not np.isfinite(z).all():
        row = int(np.argwhere(~np.isfinite(z))[0][0])
        raise ValueError(f"the latent of row {row} (from 0) is not finite")
    if model.condition_dim and label is None:
        raise ValueError(
            f"this model is conditioned on one of {model.condition_dim} labels: give --label"
        )
    return labels.to_generate(model, len(z), label)


def reconstruct(model: LatentVariableModel, rows: Rows, *, seed: int) -> dict[str, np.ndarray]:
    """`original` and `reconstruction` (`elbax.evaluate.reconstruct`), (n, *shape) each."""
    original, reconstruction = evaluate.reconstruct(model, rows, of_seed(seed, "reconstruct"))
    return {"original": original, "reconstruction": reconstruction}


def encode(
    model: LatentVariableModel, rows: Rows, label: np.ndarray | None
) -> dict[str, np.ndarray]:
    """The posterior's `mean` and `scale` (where it has one), and `label` where known."""
    moments = evaluate.posterior_moments(model, rows)
    return moments if label is None else {**moments, "label": label}
