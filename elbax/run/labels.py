"""Labels as the condition of a model: of data, and of what is generated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from elbax.evaluate import map_rows
from elbax.evaluate.tiles import Conditioned, Rows
from elbax.model.latent_variable_model import ClassifyingEncoder
from elbax.util.orders import permutation
from elbax.util.words import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from elbax.data import Dataset, Split
    from elbax.model.latent_variable_model import LatentVariableModel
    from elbax.recipes.options import Options


def needed(options: Options) -> bool:
    """Whether training reads labels."""
    from elbax.recipes import parts

    goal = parts.find("objective", options.training.objective.name).constructor
    return options.model.condition == "label" or goal.needs_labels


def classes_of(dataset: Dataset) -> int:
    """How many labels there are: they are numbered from 0.

    Raises:
        ValueError: There are none, fewer than two, or one is negative; in one line.
    """
    if dataset.stream is not None and dataset.stream.classes > 1:
        return dataset.stream.classes  # some may have no row among those at hand
    parts = (dataset.train, dataset.validation, dataset.test)
    found = [np.asarray(part.label) for part in parts if part.label is not None and len(part)]
    if not found or dataset.train.label is None:
        columns = " (--labels COLUMN names a table's)" if dataset.columns else ""
        raise ValueError(
            f"training needs labels, and {dataset.name} has none{columns}: give data with "
            "labels, or leave out --condition label or the objective that needs them"
        )
    lowest, highest = (int(pick([pick(part) for part in found])) for pick in (min, max))
    if lowest < 0 or highest < 1:
        raise ValueError(
            f"labels of {dataset.name} are from {lowest} to {highest}: training needs two or more, "
            "from 0"
        )
    return highest + 1


def shown(label: np.ndarray, count: int | None, seed: int) -> np.ndarray:
    """The labels with all but `count` hidden as −1: as many of each class, drawn by a seed.

    Args:
        label: A label a row.
        count: How many stay; None shows all.
        seed: Of the draw.
    """
    label = np.asarray(label, np.int32)
    if count is None or count >= len(label):
        return label
    order = permutation(len(label), np.random.PCG64(seed))
    # The place of each row among those of its class, in this order: the lowest places first.
    place = np.empty(len(label), int)
    for value in np.unique(label):
        own = order[label[order] == value]
        place[own] = np.arange(len(own))
    kept = order[np.argsort(place[order], kind="stable")[:count]]
    hidden = np.full_like(label, -1)
    hidden[kept] = label[kept]
    return hidden


def one_hot(label: np.ndarray, classes: int) -> np.ndarray:
    """Labels as one-hot vectors, (rows, classes) float32.

    Raises:
        ValueError: One is out of range; in one line.
    """
    label = np.asarray(label)
    outside = label[(label < 0) | (label >= classes)]
    if len(outside):
        raise ValueError(
            f"the label {outside[0]} is not one of the {classes} of training: they are from 0 to "
            f"{classes - 1}"
        )
    return np.eye(classes, dtype=np.float32)[label]


def conditioned(model: LatentVariableModel, split: Split) -> Rows:
    """Rows with the condition of each: their label, or the one that the model thinks they have.

    Args:
        model: Any model; one without a condition gets the rows as they are.
        split: Rows, and their labels where the model is conditioned on them.

    Raises:
        ValueError: The model is conditioned on labels, and there are none.
    """
    if model.condition_dim == 0:
        return split.x
    if isinstance(model.encoder, ClassifyingEncoder):
        return Conditioned(split.x, one_hot(predicted(model, split.x), model.condition_dim))
    if split.label is None:
        raise ValueError(
            "this model is of data given their label, and these data have none: give some with "
            "labels"
        )
    return Conditioned(split.x, one_hot(split.label, model.condition_dim))


def refuse(model: LatentVariableModel, what: str) -> None:
    """Refuses a model that is conditioned on labels, where only the data alone are dealt with.

    Raises:
        ValueError: It is one; in one line.
    """
    if model.condition_dim:
        raise ValueError(
            f"this model is conditioned on labels, which {what} does not do yet: take a run "
            "without --condition label and without semi-supervised"
        )


def predicted(model: LatentVariableModel, x: np.ndarray) -> np.ndarray:
    """The most probable label by q(y|x) of each row, of a model that classifies."""
    return map_rows(_most_probable, model, x, jax.random.key(0))


def to_generate(
    model: LatentVariableModel, count: int, label: int | None = None
) -> np.ndarray | None:
    """The conditions of new data: one label for all, or one after the other; None of a plain model.

    Raises:
        ValueError: The model is not conditioned on labels, or has no such one.
    """
    if model.condition_dim == 0:
        if label is not None:
            raise ValueError(
                f"label (--label) is {label}, and this model is not conditioned on labels: leave "
                "it out"
            )
        return None
    labels = np.arange(count) % model.condition_dim if label is None else np.full(count, label)
    return one_hot(labels, model.condition_dim)


def number_of(word: str | None, config: Mapping[str, Any]) -> int | None:
    """A label as its number: a number, or a name of the data's.

    Raises:
        ValueError: There is no such label.
    """
    if word is None:
        return None
    names = list(config["data"].get("label_names") or ())
    if word in names:
        return names.index(word)
    if word.isdecimal():
        return int(word)
    mend = did_you_mean(word, names) if names else "give a number"
    raise ValueError(f"label (--label) is '{word}': {mend}")


def _most_probable(model: LatentVariableModel, row: Any, _: jax.Array) -> Any:
    encoder = model.encoder
    assert isinstance(encoder, ClassifyingEncoder)
    return encoder.classify(model.preprocessing(row)).argmax()
