"""What a run must not be asked for: options and data that do not go together, in one line each."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np

from elbax import recipes
from elbax.recipes import options as option_tools
from elbax.recipes.choice import Choice
from elbax.recipes.options import Options

if TYPE_CHECKING:
    from elbax.data import Dataset


def check_fit(dataset: Dataset, options: Options, likelihood: Choice) -> None:
    """Refuses parts that do not fit together, or not these data.

    Raises:
        ValueError: One line: what does not fit, why, and what would; where the recipe itself does
            not suit the data, its name.
    """
    try:
        _check_fit(dataset, options, likelihood)
    except ValueError as error:
        recipe = recipes.find(options.recipe)
        if options.recipe == recipes.DEFAULT or not _is_of_recipe(options, recipe):
            raise
        raise ValueError(
            f"the recipe {recipe.name} does not suit {dataset.name}: {error}"
        ) from None


def _is_of_recipe(options: Options, recipe: recipes.Recipe) -> bool:
    """Whether all that can fail to suit the data is the recipe's own."""
    from elbax.recipes import parts

    own = parts.settled(recipe.model), parts.settled(recipe.training)
    names = (*option_tools.MODEL_PARTS, "missing", "condition")
    same = all(getattr(options.model, name) == getattr(own[0], name) for name in names)
    labelled = options.data.labelled == recipe.data.labelled
    return same and labelled and options.training.objective == own[1].objective


def _check_fit(dataset: Dataset, options: Options, likelihood: Choice) -> None:
    from elbax.recipes import compatibility, parts

    objective = parts.find("objective", options.training.objective.name).constructor
    compatibility.check(options.model, dataset.shape, likelihood, objective)
    _check_labels(dataset, options)
    _check_holes(dataset, options)
    posterior = parts.find("posterior", options.model.posterior.name)
    kind = posterior.constructor.latent
    _check_fitted_prior(options.training.fit_prior, posterior.name, kind)
    check_values(dataset, likelihood, options.data.binarize)


def _check_fitted_prior(asked: str, posterior: str, kind: str) -> None:
    """Refuses a density of other latents than a posterior's.

    Raises:
        ValueError: One line with the mend.
    """
    from elbax.evaluate.latents.expost import FITTED

    if asked == "none" or kind in FITTED[asked]:
        return
    wants = "a density of real vectors" if "real" in FITTED[asked] else "over codes"
    mend = "give autoregressive, or leave it out" if kind == "codes" else "leave it out"
    raise ValueError(
        f"fit_prior (--fit-prior) is {asked}, {wants}, and the posterior {posterior} is over "
        f"others: {mend}"
    )


def _check_holes(dataset: Dataset, options: Options) -> None:
    """Refuses a model of missing cells where there are none.

    Raises:
        ValueError: One line with the mend.
    """
    name = options.model.missing.name
    if not _models_holes(options):
        return
    if not dataset.columns or not np.isnan(dataset.train.x).any():
        what = "no training cell is missing" if dataset.columns else "that is of columns of a table"
        raise ValueError(
            f"missing (--missing) is {name}, and of {dataset.name} {what}: leave it out"
        )
    if options.data.constraint:
        raise ValueError(
            f"missing (--missing) is {name}, of columns as they are, and --constraint has "
            "others modelled in their place: leave one of them out"
        )


def without_ends(dataset: Dataset, options: Options) -> Dataset:
    """The data, their columns without the ends of the range where missing cells may lie beyond.

    What is drawn or filled is otherwise kept within the range of the observed cells: a mechanism
    says that these are not all there is.
    """
    if not dataset.columns or not _models_holes(options):
        return dataset
    holed = np.asarray(np.isnan(dataset.train.x).any(axis=0))
    columns = tuple(
        dataclasses.replace(column, lower=None, upper=None) if holes else column
        for column, holes in zip(dataset.columns, holed, strict=True)
    )
    return dataclasses.replace(dataset, columns=columns)


def _models_holes(options: Options) -> bool:
    from elbax.model.interfaces import AbstractMechanism
    from elbax.recipes import parts

    return issubclass(
        parts.find("missing", options.model.missing.name).constructor, AbstractMechanism
    )


def _check_labels(dataset: Dataset, options: Options) -> None:
    """Refuses training on labels which are not there.

    Raises:
        ValueError: One line with the mend.
    """
    from elbax.recipes import parts
    from elbax.run import labels

    objective = parts.find("objective", options.training.objective.name).constructor
    asked = options.data.labelled
    if asked is not None and not objective.needs_labels:
        raise ValueError(
            f"labelled (--labelled) is {asked}, and the objective {objective.name} does not learn "
            "from labels of some rows: leave it out, or choose --objective semi-supervised"
        )
    if objective.needs_labels and options.model.condition == "label":
        raise ValueError(
            f"condition (--condition) is label, and the objective {objective.name} gives the "
            "model labels itself: leave it out"
        )
    if not labels.needed(options):
        return
    classes = labels.classes_of(dataset)
    if asked is not None and dataset.stream is not None:
        raise ValueError(
            f"labelled (--labelled) is {asked}, a draw among all rows, and {dataset.name} is read "
            "in pieces: leave it out, or give more --memory"
        )
    if asked is not None and not classes <= asked <= len(dataset.train):
        raise ValueError(
            f"labelled (--labelled) is {asked}: give from {classes}, one of each class, to "
            f"{len(dataset.train):,}, the rows to train on"
        )


def check_values(dataset: Dataset, likelihood: Choice, binarize: str = "none") -> None:
    """Refuses data that the likelihood is not defined for.

    Raises:
        ValueError: One line with the first value outside, its place and the mend.
    """
    from elbax.data import check_support as check_readable
    from elbax.model.support import REAL, check_support
    from elbax.recipes.compose import likelihood_family, reading

    check_readable(dataset, likelihood.name)
    support = likelihood_family(likelihood, dataset.shape).support
    if support == REAL:  # what is finite is real
        return
    if binarize == "dynamic":
        drawn = np.broadcast_to(np.eye(2)[:, :1], (2, math.prod(dataset.shape)))
        check_support(support, drawn, likelihood.name, where="the binarised data")
        return
    scale = reading(support, dataset, binarize).scale
    for name in ("train", "validation", "test"):
        part = dataset.split(name)
        where = dataset.name if part.index is not None else f"{dataset.name} ({name} split)"
        check_support(
            support, part.x, likelihood.name, scale=scale, where=where, numbers=part.index
        )


def check_rows(dataset: Dataset, options: Options) -> None:
    """Refuses batches and patience that need more rows than there are.

    Raises:
        ValueError: One line with the mend.
    """
    rows, batch = dataset.training_rows, options.training.batch_size
    if batch > rows:
        raise ValueError(
            f"batch_size (--batch-size) is {batch}, and there are {rows} rows to train on: "
            f"give at most {rows}"
        )
    if options.training.patience is not None and len(dataset.validation) == 0:
        raise ValueError("patience (--patience) needs validation rows: give --validation N, N > 0")


def check_hidden(options: Options) -> None:
    """Refuses widths that were asked for and that the network would ignore.

    Raises:
        ValueError: One line with the mend.
    """
    from elbax.recipes import parts

    network = parts.find("network", options.model.network.name)
    same = options.model.hidden == recipes.find(options.recipe).model.hidden
    if not (same or network.wants("hidden")):
        widths = ",".join(map(str, options.model.hidden))
        flags = ", ".join(f"--network.{name}" for name in network.options)
        raise ValueError(
            f"hidden (--hidden) is {widths}, and the network {network.name} has no such widths: "
            f"leave it out (its own options are {flags})"
        )


def check_horizon(training: option_tools.TrainingOptions, planned: int, asked: int) -> None:
    """Refuses another length for a run whose schedules say nothing of it.

    Schedules stay laid out for the length that the run was begun with: else those steps that are
    taken would no longer be those of the run.

    Args:
        training: The run's options.
        planned: That length.
        asked: The other one.

    Raises:
        ValueError: One line with the mend.
    """
    schedule = training.learning_rate_schedule
    if asked > planned and schedule == "cosine":
        raise ValueError(
            f"iterations (--iterations) is {asked}, and this run's learning rate is 0 from step "
            f"{planned} on (the schedule cosine): train a new run of {asked} steps"
        )
    if asked < planned and training.cycles > 1:
        raise ValueError(
            f"iterations (--iterations) is {asked}, in the midst of the {training.cycles} cycles "
            f"of {planned} steps that this run has: leave it out, or train a new run"
        )
