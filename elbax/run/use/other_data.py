"""A run's model applied to other data than those that it was trained on, or read in another way."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from elbax.model.latent_variable_model import (
    ClassifyingEncoder,
    Decoder,
    Encoder,
    LatentVariableModel,
)
from elbax.model.networks.columns import ColumnNetwork
from elbax.model.networks.holes import HoledNetwork
from elbax.model.preprocessing import Preprocessing
from elbax.model.support import REAL
from elbax.run import checks, settle
from elbax.run.run import Binarize, Run
from elbax.run.settle import shape_in_words
from elbax.run.use import tables

if TYPE_CHECKING:
    from elbax.data import Dataset


def on(
    run: Run,
    data: Any = None,
    binarize: Binarize | None = None,
    unseen: Literal["refuse", "missing"] = "refuse",
) -> Run:
    """The run with other data, and its model reading them as they are stored.

    Args:
        run: The run.
        data: A name, a path, an array, a table or an AnnData; None for the run's own.
        binarize: How to binarise the data; None does it as in training.
        unseen: Whether categories that training did not see are refused or taken as missing.

    Raises:
        ValueError: Changed data, another shape (both are named), values that the likelihood can't
            take, or data that can't be binarised.
    """
    chosen = run.binarize if binarize is None else binarize
    if data is None and chosen == run.binarize:
        return run
    dataset = _read(run, data, chosen, unseen)
    if data is not None:
        if dataset.shape != run.model.shape:
            raise ValueError(
                f"{called(data)} has data of {shape_in_words(dataset.shape)}, and {run.path} was "
                f"trained on {shape_in_words(run.model.shape)}: give data of that shape"
            )
        checks.check_values(dataset, run.likelihood, chosen)
        _check_holes(run, dataset, called(data))
    if chosen != run.binarize:
        grey = _read(run, data, "none") if chosen == "static" else dataset
        _check_binarize(run, chosen, grey)
    model = dataclasses.replace(run.model, preprocessing=_preprocessing(run, dataset, chosen))
    return run.replace(model=model, dataset=dataset, binarize=chosen)


def _read(
    run: Run, data: Any, how: Binarize, unseen: Literal["refuse", "missing"] = "refuse"
) -> Dataset:
    from elbax.data import load

    if data is not None and tables.columns_of(run.config):
        return tables.load_other(data, run.config, run.path, unseen)
    if data is not None:
        background = run.config["data"].get("background")
        # As a whole, whatever columns it has: so the run read its own.
        return load(data, binarize=how, check=False, likelihood="whole", background=background)
    reading = dataclasses.replace(run.options.data, binarize=how)
    options = dataclasses.replace(run.options, data=reading)
    return settle.load_again(run.config, options, changed=how != run.binarize)


def called(data: Any) -> str:
    """What messages call data: their name or path, or in memory their type."""
    return str(data) if isinstance(data, str | Path) else f"the {type(data).__name__}"


def _check_holes(run: Run, dataset: Dataset, data: str) -> None:
    """Refuses holes that the run's encoder does not know of.

    Raises:
        ValueError: One line with the mend.
    """
    if dataset.holes and not knows_holes(run.model):
        raise ValueError(
            f"{data} has missing values (NaN), and {run.path} was trained on data without any: "
            "train on data of which some are missing"
        )


def knows_holes(model: LatentVariableModel) -> bool:
    """Whether a model's encoder can be given data of which some are missing, NaN.

    A table's always can.
    """
    encoder: Any = model.encoder
    while isinstance(encoder, ClassifyingEncoder):
        encoder = encoder.encoder
    known = HoledNetwork | ColumnNetwork
    return not isinstance(encoder, Encoder) or isinstance(encoder.network, known)


def _check_binarize(run: Run, chosen: Binarize, grey: Dataset) -> None:
    if run.likelihood.name != "bernoulli":
        raise ValueError(
            f"binarize (--binarize) is {chosen}, and the likelihood is {run.likelihood.name}, "
            "which does not speak of 0 and 1: leave it out"
        )
    if not settle.is_grey(grey):
        raise ValueError(
            f"binarize (--binarize) is {chosen}, and {grey.name} has no grey levels, only 0 "
            "and 1: leave it out"
        )


def _preprocessing(run: Run, dataset: Dataset, chosen: Binarize) -> Preprocessing:
    from elbax.recipes.compose import reading

    decoder = run.model.decoder
    support = decoder.likelihood.support if isinstance(decoder, Decoder) else REAL
    own, found = run.model.preprocessing, reading(support, dataset, chosen)
    if dataset.train.x.dtype == np.uint8:
        return Preprocessing(found.scale, found.binarize)
    if run.config["data"]["dtype"] == "uint8":  # floats are then shares of the brightest level
        return Preprocessing(1.0 if found.shift else found.scale, found.binarize)
    # As the training rows were: other rows may tell of another scale.
    return dataclasses.replace(own, binarize=found.binarize)
