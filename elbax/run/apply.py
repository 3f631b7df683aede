"""A trained model applied: to a run's own data or to others, and to latents."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import jax
import numpy as np

from elbax import evaluate
from elbax.evaluate.fitted_prior import ROWS as FITTED_ROWS
from elbax.evaluate.fitted_prior import fitted, latent_kind
from elbax.evaluate.tiles import Conditioned, Rows
from elbax.model.latent_variable_model import Decoder, LatentVariableModel
from elbax.model.preprocessing import Preprocessing
from elbax.model.support import REAL
from elbax.run import labels, tables, trained
from elbax.run import settle as plans
from elbax.run.directory import RunDirectory, open_existing
from elbax.run.settle import shape_in_words

if TYPE_CHECKING:
    from elbax.data import Dataset

Binarize = Literal["none", "static", "dynamic"]


@dataclass(frozen=True)
class Applied:
    """A run's model, and the data that it is to be applied to.

    Attributes:
        directory: The run's folder.
        model: Its model, reading the data as they are stored.
        dataset: The data.
        name: What the data are called.
        binarize: How the data are binarised: "none", "static" (once, in the data) or "dynamic" (by
            the model's preprocessing).
    """

    directory: RunDirectory
    model: LatentVariableModel
    dataset: Dataset
    name: str
    binarize: Binarize = "none"

    def rows(self, split: str) -> tuple[np.ndarray, np.ndarray | None]:
        """The rows of a split as stored, and their labels; ``all`` comes in an own file's order."""
        part = self.dataset.split(split)
        if len(part) == 0:
            raise ValueError(
                f"the {split} split of {self.name} is empty: choose another with --split"
            )
        order = part.index if split == "all" else None
        if order is None:
            return part.x, part.label
        x = np.empty_like(part.x)
        x[order] = part.x
        if part.label is None:
            return x, None
        label = np.empty_like(part.label)
        label[order] = part.label
        return x, label


def open_for(run: Path, data: str | None, binarize: Binarize | None = None) -> Applied:
    """A run's model and the data to apply it to: its own, or others of the same shape.

    Args:
        run: The run's folder.
        data: A name or a path; None for the run's own.
        binarize: How to binarise the data; None does it as in training.

    Raises:
        ValueError: No run, changed data, another shape (both are named), values that the
            likelihood can't take, or data that can't be binarised.
    """
    from elbax.data import load as load_data
    from elbax.recipes.compose import reading_scale

    directory = open_existing(run)
    config = directory.config()
    options = plans.read_options(directory, config)
    model = trained.model_of(directory)
    own: Binarize = options.data.binarize
    chosen = own if binarize is None else binarize

    def read(how: Binarize) -> Dataset:
        if data is not None and tables.columns_of(config):
            return tables.load_other(data, config, directory.path)
        if data is not None:
            return load_data(data, binarize=how, check=False)
        asked = dataclasses.replace(options.data, binarize=how)
        changed = dataclasses.replace(options, data=asked)
        return plans.load_again(config, changed, changed=how != own)

    dataset = read(chosen)
    if data is not None and dataset.shape != model.shape:
        raise ValueError(
            f"{data} has data of {shape_in_words(dataset.shape)}, and {directory.path} was trained "
            f"on {shape_in_words(model.shape)}: give data of that shape"
        )
    likelihood = plans.likelihood_of(config)
    if data is not None:
        plans.check_values(dataset, likelihood, chosen)
    if chosen != own:
        if likelihood.name != "bernoulli":
            raise ValueError(
                f"binarize (--binarize) is {chosen}, and the likelihood is {likelihood.name}, "
                "which does not speak of 0 and 1: leave it out"
            )
        if not plans.is_grey(read("none") if chosen == "static" else dataset):
            raise ValueError(
                f"binarize (--binarize) is {chosen}, and {dataset.name} has no grey levels, only 0 "
                "and 1: leave it out"
            )
    if data is not None or chosen != own:
        support = model.decoder.likelihood.support if isinstance(model.decoder, Decoder) else REAL
        reading = Preprocessing(
            scale=reading_scale(support, dataset.scale, chosen),
            binarize="dynamic" if chosen == "dynamic" else "none",
        )
        model = dataclasses.replace(model, preprocessing=reading)
    return Applied(directory, model, dataset, dataset.name, chosen)


def sample(
    model: LatentVariableModel, count: int, *, seed: int, draw: bool, label: int | None = None
) -> dict[str, np.ndarray]:
    """New data from the prior.

    Args:
        model: The model.
        count: How many.
        seed: Of everything drawn; the first n of a larger count are those of a smaller one.
        draw: Whether to draw from p(x|z); otherwise its location.
        label: What a model that is told labels is told; None tells it one after the other.

    Returns:
        `x` (count, *shape) and `z` (count, latent_dim); and `label`, where the model is told one.

    Raises:
        ValueError: The model is told no label, or has no such one.
    """
    condition = labels.to_generate(model, count, label)
    key = jax.random.key(seed)
    x, z = evaluate.generate(model, count, key, draw=draw, condition=condition)
    if condition is None:
        return {"x": x, "z": z}
    return {"x": x, "z": z, "label": condition.argmax(axis=1)}


def with_fitted_prior(
    directory: RunDirectory,
    model: LatentVariableModel,
    sampler: Literal["gaussian", "gaussian-mixture", "flow"],
    components: int = 10,
    *,
    seed: int,
) -> LatentVariableModel:
    """The model with a density fitted to its latents in the place of its prior.

    The latents are one draw of q(z|x) for each of the run's training rows, the first 20,000.

    Args:
        directory: The run's folder.
        model: Its model.
        sampler: What is fitted (`elbax.evaluate.expost`).
        components: Of the mixture.
        seed: Of the draws and of the fit.

    Raises:
        ValueError: The latents are not real vectors, or too few; one line.
    """
    kind = latent_kind(model)
    if kind not in ("real", "point"):
        what = {"sphere": "on a sphere", "categorical": "one-hot"}.get(kind, kind)
        raise ValueError(
            f"sampler (--sampler) is {sampler}, a density of real vectors, and the latents of "
            f"{directory.path} are {what}: take --sampler prior"
        )
    config = directory.config()
    options = plans.read_options(directory, config)
    rows = labels.told(model, plans.load_again(config, options).train)[:FITTED_ROWS]
    return fitted(model, rows, sampler, components, seed=seed)


def decode(
    model: LatentVariableModel, z: np.ndarray, *, seed: int, draw: bool, label: int | None = None
) -> dict[str, np.ndarray]:
    """Data from latents: the location of p(x|z), or a draw from it.

    Args:
        model: The model.
        z: (n, latent_dim).
        seed: Of the draws.
        draw: Whether to draw.
        label: What a model that is told labels is told.

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
            f"this model is told one of {model.condition_dim} labels besides the latent: give "
            "--label"
        )
    condition = labels.to_generate(model, len(z), label)
    rows: Rows = z.astype(np.float32)
    if condition is not None:
        rows = Conditioned(rows, condition)
    key = jax.random.key(seed) if draw else None
    return {"x": evaluate.decode(model, rows, key), "z": z}


def reconstruct(model: LatentVariableModel, rows: Rows, *, seed: int) -> dict[str, np.ndarray]:
    """`original` and `reconstruction` (`elbax.evaluate.reconstruct`), (n, *shape) each."""
    original, reconstruction = evaluate.reconstruct(model, rows, jax.random.key(seed))
    return {"original": original, "reconstruction": reconstruction}


def encode(
    model: LatentVariableModel, rows: Rows, label: np.ndarray | None
) -> dict[str, np.ndarray]:
    """The posterior's `mean` and `scale` (where it has one), and `label` where known."""
    moments = evaluate.posterior_moments(model, rows)
    return moments if label is None else {**moments, "label": label}
