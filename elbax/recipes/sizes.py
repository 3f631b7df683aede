"""What the size of a table decides where nothing was asked for: network, batch, steps, stopping."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from elbax import recipes
from elbax.recipes import options as option_tools
from elbax.recipes.choice import Choice
from elbax.recipes.options import Options

if TYPE_CHECKING:
    from elbax.data import Dataset

RULE = (
    "Two hidden layers of 64 units up to 2,000 training rows, of 128 up to 20,000, of 256 beyond; "
    "half as many latents as columns, from 1 to 10; batches of a tenth of the rows, 100 at most. "
    "With validation rows at most 10,000 steps, and a stop after 1,000 without a better bound; "
    "without them 20 steps a row, at most 3,000, 6,000 or 10,000 by the same bounds. The bound is "
    "the importance-weighted one of five draws, and units are ELUs."
)

# Up to so many training rows: widths of the hidden layers, steps where nothing validates.
_BY_ROWS = ((2_000, (64, 64), 3_000), (20_000, (128, 128), 6_000), (None, (256, 256), 10_000))
# Nothing then stops a training of few rows, and thousands of steps overfit them.
_STEPS_A_ROW = 20
_MOST_STEPS = 10_000  # where validation rows stop the training
_MOST_LATENTS = 10
_BATCH_NUMBERS, _LEAST_BATCH = 5_000_000, 16  # in a batch of large images
LOOK_EVERY = 100  # steps between two looks at the validation rows
LOOKS = 10  # so many without a better bound stop the training

# Of few rows with many holes the evidence lower bound is often highest with latents that say
# nothing; the importance-weighted one is not, and it is the tighter (Mattei & Frellsen 2019).
_BOUND = {"objective": Choice("importance-weighted")}
_OF_THE_BOUND = {"objective", "posterior"}
# On diabetes smooth units fill cells with 2 to 5 % smaller errors than ReLUs, on iris and heart
# with 1 to 3 % larger ones (docs/imputers-benchmark.md).
_UNITS = {"activation": "elu"}

# Columns that nearly follow from others leave ridges, which independent residuals are not
# (docs/imputers-benchmark.md, docs/tables-benchmark.md).
_LINKS = {"links": 10}

_SETTLED = (
    "hidden", "latent_dim", "iterations", "batch_size", "validate_every", "patience",
    "objective", "activation",
)  # fmt: skip


def by_size(rows: int, columns: int, *, validated: bool) -> dict[str, Any]:
    """The options that a table's size decides, by name: `RULE`.

    Args:
        rows: Training rows.
        columns: Columns.
        validated: Whether there are validation rows.
    """
    hidden, steps = next((h, s) for most, h, s in _BY_ROWS if most is None or rows <= most)
    return {
        "hidden": hidden,
        "latent_dim": min(_MOST_LATENTS, max(1, columns // 2)),
        "batch_size": min(100, max(1, rows // 10)),
        "iterations": _MOST_STEPS if validated else min(steps, _STEPS_A_ROW * rows),
    }


def of_tables(options: Options) -> dict[str, Any]:
    """The bound and the units of a table, where no recipe was asked for and nothing said of them.

    Args:
        options: What was asked for.
    """
    if options.recipe != "vae":
        return {}
    bound = {} if options.asked & _OF_THE_BOUND else _BOUND
    return {**bound, **({} if "activation" in options.asked else _UNITS)}


def links(options: Options) -> dict[str, Any]:
    """Links of a table's columns, where no recipe was asked for and nothing said of them.

    For models that score rows or fill cells: what links say of a row its latents need not, and of
    columns that are normal together they then say nothing at all.

    Args:
        options: What was asked for.
    """
    plain = options.recipe == "vae" and options.model.missing.name == "at-random"
    return _LINKS if plain and "links" not in options.asked else {}


def settle(options: Options, dataset: Dataset) -> Options:
    """The options of a run, by the table's size (`RULE`) where they were not asked for.

    Where validation rows stop the training, the recipe's number of steps is the most. Without a
    recipe, and where nothing was said of them, bound and units are those of `of_tables`.

    Args:
        options: What was asked for.
        dataset: The data; of other data than tables only few rows or large images decide anything:
            the batch, and stopping by the validation rows.

    Raises:
        ValueError: A likelihood was asked for that is not of columns.
    """
    if not dataset.columns:
        return _of_few(options, dataset)
    asked = options.model.likelihood
    named = asked is not None and (asked.name != "mixed" or bool(asked.options))
    if named and dataset.kind == "table":
        raise ValueError(
            f"likelihood (--likelihood) is {asked}, and each column of a table has its own: leave "
            "it out, and say what columns are with --columns NAME=KIND"
        )
    validated = len(dataset.validation) > 0
    wanted = by_size(dataset.training_rows, len(dataset.columns), validated=validated)
    if validated or options.training.epochs is not None:
        del wanted["iterations"]
    if validated:
        wanted |= {"validate_every": LOOK_EVERY, "patience": LOOKS}
    wanted |= of_tables(options)
    base = recipes.find(options.recipe).options()
    changes = {
        name: value
        for name, value in wanted.items()
        if name not in options.asked and _of(options, name) == _of(base, name)
    }
    parts = {
        section: dataclasses.replace(
            getattr(options, section),
            **{k: v for k, v in changes.items() if option_tools.section_of(k) == section},
        )
        for section in ("model", "training")
    }
    return dataclasses.replace(options, **parts)


def _of_few(options: Options, dataset: Dataset) -> Options:
    """Few rows of a user's own: one batch at most, and validation stops what overfits them.

    Large images stand in smaller batches: more steps in the same time, and less memory.
    """
    training, rows = options.training, dataset.training_rows
    changes: dict[str, Any] = {}
    most = min(max(1, rows), max(_LEAST_BATCH, _BATCH_NUMBERS // math.prod(dataset.shape)))
    if "batch_size" not in options.asked and most < training.batch_size:
        changes["batch_size"] = most
    own, length = dataset.train.index is not None, {"iterations", "epochs", "patience"}
    few = own and rows <= _BY_ROWS[0][0] and len(dataset.validation) > 0
    if few and options.recipe == "vae" and not options.asked & length:
        changes |= {"validate_every": LOOK_EVERY, "patience": LOOKS}
    if not changes:
        return options
    return dataclasses.replace(options, training=dataclasses.replace(training, **changes))


def in_words(options: Options) -> str:
    """The options that a table settles, as flags."""
    words = []
    for name in _SETTLED:
        value = _of(options, name)
        if isinstance(value, Choice):
            words += value.words(name)
            continue
        shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
        words.append(f"--{name.replace('_', '-')} {shown}")
    return " ".join(words)


def _of(options: Options, name: str) -> Any:
    section = option_tools.section_of(name)
    assert section is not None
    return getattr(getattr(options, section), name)
