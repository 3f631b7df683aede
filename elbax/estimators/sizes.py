"""From an estimator's parameters and the size of its data to the options of a training."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from elbax import recipes
from elbax.recipes import options as option_tools
from elbax.recipes import sizes
from elbax.recipes.options import Options
from elbax.run import labels

_STOPPING_ROWS = 100  # rows from which there is a validation split
_FEWEST_EPOCHS = 10  # without a better bound before training stops

# Options of a run that a parameter of the estimators says, and those that have no place here.
_SAID_BY = {
    "latent_dim": "n_components",
    "hidden": "hidden_layer_sizes",
    "iterations": "max_iter",
    "epochs": "max_iter",
    "learning_rate": "learning_rate_init",
    "patience": "n_iter_no_change",
    "validate_every": "n_iter_no_change",
    "validation": "validation_fraction",
    "seed": "random_state",
}
_ALSO = ("batch_size", "beta", "prior", "posterior", "network", "likelihood")

RULE = (
    f"{sizes.RULE} From {_STOPPING_ROWS} rows on some are kept for validation, and training stops "
    f"after {_FEWEST_EPOCHS} epochs without a better bound at the earliest."
)


@dataclass(frozen=True)
class Sizes:
    """A fit, settled.

    Attributes:
        options: Of the model and of its training.
        max_iter: Epochs at most.
        validation: Rows that are kept apart; 0 where nothing stops early.
        every: Epochs between two looks at them.
        patience: Looks without a better bound before training stops.
    """

    options: Options
    max_iter: int
    validation: int
    every: int
    patience: int

    @property
    def batch_size(self) -> int:
        """Rows a step."""
        return self.options.training.batch_size

    def in_words(self, rows: int) -> str:
        """What will be trained, in one line."""
        model, training = self.options.model, self.options.training
        steps = self.max_iter * (rows // training.batch_size)
        found = (
            f"n_components={model.latent_dim}, hidden_layer_sizes={model.hidden}, "
            f"batch_size={training.batch_size}, learning_rate_init={training.learning_rate:g}, "
            f"max_iter={self.max_iter} ({steps:,} steps)"
        )
        if model.links:
            found += f", links={model.links}"
        if not self.validation:
            return f"{found}, no early stopping"
        waits = self.patience * self.every
        return f"{found}, early stopping by {self.validation} rows after {waits} epochs"


def settle(params: dict[str, Any], rows: int, columns: int, *, linked: bool = False) -> Sizes:
    """From an estimator's parameters and the size of its data to what will be trained.

    Args:
        params: The estimator's parameters by name; None where the data decide (`RULE`).
        rows: Rows of X.
        columns: Columns of X.
        linked: Whether normal columns are linked beside z where nothing was said of it.

    Raises:
        ValueError: Parameters that don't go together, with the mend.
    """
    stops = params["early_stopping"]
    stops = rows >= _STOPPING_ROWS if stops is None else stops
    validation = max(1, round(params["validation_fraction"] * rows)) if stops else 0
    training_rows = rows - validation
    if training_rows < 2:
        raise ValueError(
            f"validation_fraction is {params['validation_fraction']} and leaves {training_rows} of "
            f"{rows} rows to train on: give a smaller one, or early_stopping=False"
        )
    options = _options(params, training_rows, columns, validated=validation > 0)
    if linked:
        options = option_tools.replace(options, sizes.links(options))
    per_epoch = training_rows // options.training.batch_size
    max_iter = params["max_iter"]
    if max_iter is None:
        max_iter = math.ceil(options.training.iterations / per_epoch)
    wait = params["n_iter_no_change"]
    # Where epochs are short, several stand between two looks; one, where their number was asked.
    every = 1 if wait is not None else math.ceil(sizes.LOOK_EVERY / per_epoch)
    if wait is None:
        wait = max(_FEWEST_EPOCHS, math.ceil(sizes.LOOKS * sizes.LOOK_EVERY / per_epoch))
    return Sizes(options, max_iter, validation, every, math.ceil(wait / every))


def _options(params: dict[str, Any], rows: int, columns: int, *, validated: bool) -> Options:
    """The recipe's options with what was asked for, and sizes by the data for the rest."""
    wanted = sizes.by_size(rows, columns, validated=validated)
    hidden = params["hidden_layer_sizes"]
    asked = {
        "latent_dim": params["n_components"],
        "hidden": None if hidden is None else _widths(hidden),
        "batch_size": None if params["batch_size"] is None else min(params["batch_size"], rows),
        "learning_rate": params["learning_rate_init"],
        **{name: params[name] for name in ("prior", "posterior", "network", "beta")},
    }
    base = recipes.find(params["recipe"]).options()
    changes = {**wanted, **{name: value for name, value in asked.items() if value is not None}}
    further = params["options"] or {}
    _check_further(further)
    options = option_tools.replace(base, {**changes, **further})
    options = option_tools.replace(options, sizes.of_tables(options))
    _check_fits(options)
    if options.model.likelihood is not None:
        options = dataclasses.replace(
            options, model=dataclasses.replace(options.model, likelihood=None)
        )
    return options


def _check_further(options: dict[str, Any]) -> None:
    """Refuses an option that a parameter says, or that is of files and folders.

    Raises:
        ValueError: One line with the mend.
    """
    for name in options:
        said = _SAID_BY.get(name, name if name in _ALSO else None)
        if said is not None:
            raise ValueError(f"options holds {name!r}: give the parameter {said} instead")
        if option_tools.section_of(name) in ("data", "run"):
            raise ValueError(f"options holds {name!r}, which is of runs on disk: leave it out")


def _check_fits(options: Options) -> None:
    """Refuses what takes more than X.

    Raises:
        ValueError: One line with the mend.
    """
    mend = "choose another recipe, or train with elbax.train"
    if labels.needed(options):
        raise ValueError(f"the recipe or options train on labels, and X has none: {mend}")
    if options.training.fit_prior != "none":
        raise ValueError(f"fit_prior is {options.training.fit_prior}, which is of runs: {mend}")


def _widths(hidden: Any) -> tuple[int, ...]:
    return (int(hidden),) if hasattr(hidden, "__index__") else tuple(int(width) for width in hidden)
