"""What a run on a table has beside others: sizes by its rows, what its columns are, tables out."""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from elbax import recipes
from elbax.data.errors import shown
from elbax.recipes import options as option_tools
from elbax.recipes.choice import Choice
from elbax.recipes.options import Options

if TYPE_CHECKING:
    from elbax.data import Column, Dataset
    from elbax.model import ColumnFeatures
    from elbax.recipes import Recipe

FORMATS = (".csv", ".parquet")

# Up to so many training rows: widths of the hidden layers, steps where nothing validates.
_SIZES = ((2_000, (64, 64), 3_000), (20_000, (128, 128), 6_000), (None, (256, 256), 10_000))
_MOST_LATENTS = 10
_SETTLED = (
    "hidden", "latent_dim", "iterations", "batch_size", "validate_every", "patience",
    "objective",
)  # fmt: skip
# Of few rows with many holes the evidence lower bound is often highest with latents that say
# nothing; the importance-weighted one is not, and it is the tighter (Mattei & Frellsen 2019).
_BOUND = {"objective": Choice("importance-weighted")}
_OF_THE_BOUND = {"objective", "posterior"}


def settle(options: Options, dataset: Dataset) -> Options:
    """The options, with small sizes for a table (`sizes`) where none were asked for.

    Where there are validation rows, a validation every 100 steps and a stop after 10 without a
    better one, in the place of a number of steps. Without a recipe, and where nothing was said of
    the bound, it is the importance-weighted one.

    Args:
        options: What was asked for.
        dataset: The data; other data than tables leave the options as they are.

    Raises:
        ValueError: A likelihood was asked for that is not of columns.
    """
    if not dataset.columns:
        return options
    asked = options.model.likelihood
    if asked is not None and (asked.name != "mixed" or asked.options):
        raise ValueError(
            f"likelihood (--likelihood) is {asked}, and each column of a table has its own: leave "
            "it out, and say what columns are with --columns NAME=KIND"
        )
    wanted = sizes(len(dataset.train), len(dataset.columns))
    if len(dataset.validation) or options.training.epochs is not None:
        del wanted["iterations"]
    if len(dataset.validation):
        wanted |= {"validate_every": 100, "patience": 10}
    base = recipes.find(options.recipe).options()
    if options.recipe == "vae" and not options.asked & _OF_THE_BOUND:
        wanted |= _BOUND
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


def sizes(rows: int, columns: int) -> dict[str, Any]:
    """The options that a table's size decides.

    Two hidden layers of 64 up to 2,000 training rows, of 128 up to 20,000, of 256 beyond; half as
    many latents as columns, from 1 to 10; 3,000, 6,000 or 10,000 steps of a tenth of the rows, 100
    at most.

    Args:
        rows: Training rows.
        columns: Columns.
    """
    hidden, steps = next((h, s) for most, h, s in _SIZES if most is None or rows <= most)
    return {
        "hidden": hidden,
        "latent_dim": min(_MOST_LATENTS, max(1, columns // 2)),
        "batch_size": min(100, max(1, rows // 10)),
        "iterations": steps,
    }


def _of(options: Options, name: str) -> Any:
    section = option_tools.section_of(name)
    assert section is not None
    return getattr(getattr(options, section), name)


def in_words(options: Options, dataset: Dataset) -> list[str]:
    """What a run on a table says of it before it trains."""
    lines = [
        f"table   sizes by its {len(dataset.train):,} training rows: {sizes_in_words(options)}"
    ]
    if dataset.ignored:
        lines.append(f"        left out: {', '.join(dataset.ignored)}")
    return lines


def sizes_in_words(options: Options) -> str:
    """The sizes that a table settles, as flags."""
    words = []
    for name in _SETTLED:
        value = _of(options, name)
        if isinstance(value, Choice):
            words += value.words(name)
            continue
        shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
        words.append(f"--{name.replace('_', '-')} {shown}")
    return " ".join(words)


def values_in_words(dataset: Dataset) -> str:
    """``9 columns (3.1% of cells missing)``."""
    x = dataset.split("all").x
    return f"{len(dataset.columns)} columns ({np.isnan(x).mean():.1%} of cells missing)"


def likelihood_in_words(dataset: Dataset) -> str:
    """``3 normal, 1 binary, 2 categorical``."""
    counts = collections.Counter(
        column.likelihood.removesuffix(f"-{len(column.categories)}") for column in dataset.columns
    )
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def features(dataset: Dataset) -> ColumnFeatures | None:
    """What the encoder sees of the columns, and what the decoder's families are; None elsewhere."""
    if not dataset.columns:
        return None
    from elbax.model import ColumnFeatures

    return ColumnFeatures([column.likelihood for column in dataset.columns], dataset.train.x)


def settled_recipe(recipe: Recipe, dataset: Dataset) -> Recipe:
    """The recipe with the sizes that a run on this table would have; unchanged for other data."""
    options = settle(recipe.options(), dataset)
    return dataclasses.replace(recipe, model=options.model, training=options.training)


def describe(dataset: Dataset) -> list[dict[str, Any]]:
    """Each column: name, kind, likelihood, range (in its own units) or categories, missing cells.

    Columns that are left out have a `reason` instead.
    """
    x = dataset.split("all").x
    found: list[dict[str, Any]] = []
    for i, column in enumerate(dataset.columns):
        cells = np.asarray(x[:, i], np.float64) * column.scale + column.shift
        seen = cells[~np.isnan(cells)]
        numbers = not column.categories and len(seen) > 0
        # The rows are float32: beyond six digits of the spread they say nothing.
        digits = 5 - math.floor(math.log10(column.scale))
        found.append(
            {
                "name": column.name,
                "kind": column.kind,
                "likelihood": column.likelihood,
                "minimum": round(float(seen.min()), digits) if numbers else None,
                "maximum": round(float(seen.max()), digits) if numbers else None,
                "categories": list(column.categories),
                "missing": len(cells) - len(seen),
            }
        )
    return found + [{"name": name, "reason": why} for name, why in dataset.ignored.items()]


def description_in_words(dataset: Dataset) -> list[str]:
    """The columns, one a line."""
    described, rows = describe(dataset), len(dataset.split("all"))
    wide = min(24, max(len(shown(column["name"])) for column in described))
    lines = []
    for column in described:
        name = shown(column["name"]).ljust(wide)
        if "reason" in column:
            lines.append(f"  {name}  left out: {column['reason']}")
            continue
        if column["categories"]:
            listed = [_category(value) for value in column["categories"][:6]]
            more = len(column["categories"]) - len(listed)
            values = ", ".join(listed) + (f" and {more} more" if more else "")
        elif column["minimum"] is None:
            values = "nothing"
        else:
            values = f"{column['minimum']:g} to {column['maximum']:g}"
        missing = f"{column['missing']:,} missing ({column['missing'] / max(rows, 1):.1%})"
        what = f"{column['kind']:<11} {column['likelihood']:<17}"
        lines.append(f"  {name}  {what} {missing}; {values}")
    return lines


def _category(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else shown(value)


def to_config(dataset: Dataset) -> dict[str, Any] | None:
    """What ``config.json`` says of a table; None of other data."""
    if not dataset.columns:
        return None
    columns = [column.to_json() for column in dataset.columns]
    return {"columns": columns, "ignored": dict(dataset.ignored)}


def columns_of(config: Mapping[str, Any]) -> tuple[Column, ...]:
    """The columns of the table that a run was trained on; none where it was no table.

    Raises:
        ValueError: The description is damaged.
    """
    table = config["data"].get("table")
    if table is None:
        return ()
    from elbax.data import Column

    return tuple(Column.from_json(values) for values in table["columns"])


def load_other(data: str, config: Mapping[str, Any], run: Path) -> Dataset:
    """Other rows of the columns that a run was trained on.

    Raises:
        ValueError: It is no table, lacks a column, or holds what training did not see.
    """
    from elbax.data import load, tables

    if not tables.is_table(data):
        if Path(data).exists():
            raise ValueError(
                f"{run} was trained on a table, and {data} is none: give a .csv or .parquet file"
            )
        raise FileNotFoundError(f"there is no file {data}")
    return load(data, columns=columns_of(config), check=False)


def own_units(dataset: Dataset, rows: np.ndarray) -> float | None:
    """What turns mean nats per datum into the table's own units: the mean log-Jacobian.

    The likelihood speaks of (number − shift) / scale; None where nothing is scaled.
    """
    from elbax.data import tables

    if not dataset.columns or len(rows) == 0:
        return None
    return float(np.mean(tables.log_jacobian(dataset.columns, rows)))


def write(out: Path, columns: tuple[Column, ...], x: np.ndarray) -> None:
    """Rows as a table with the training columns' names, types and categories."""
    from elbax.data import tables

    write_table(out, tables.decode(columns, x))


def write_table(out: Path, table: Any) -> None:
    """A pyarrow table to .csv or .parquet, whole or not at all."""
    from elbax.data import tables
    from elbax.util.files import atomic

    with atomic(out) as temporary:
        tables.write(Path(temporary), table, out.suffix.lower())
