"""A table in words: what its columns are, and the sizes that a run takes from its rows."""

from __future__ import annotations

from typing import Any

from elbax.data import Dataset, describe_columns
from elbax.recipes import sizes
from elbax.recipes.options import Options
from elbax.util.words import shown


def before_training(options: Options, dataset: Dataset) -> list[str]:
    """What a run on a table says of it before it trains."""
    lines = [
        f"table   sizes by its {dataset.training_rows:,} training rows: {sizes.in_words(options)}"
    ]
    if dataset.ignored:
        names = [shown(name) or "the nameless first column" for name in dataset.ignored]
        lines.append(f"        left out: {', '.join(names)}")
    return lines + [f"        {note}" for note in dataset.notes]


def shape(dataset: Dataset) -> str:
    """``9 columns (3.1% of cells missing)``."""
    missing = dataset.missing("all").mean()
    return f"{len(dataset.columns)} columns ({missing:.1%} of cells missing)"


def columns(dataset: Dataset) -> list[str]:
    """The columns, one a line."""
    described, rows = describe_columns(dataset), len(dataset.split("all"))
    wide = min(24, max(len(shown(column["name"])) for column in described))
    lines = []
    for column in described:
        name = (shown(column["name"]) or "(no name)").ljust(wide)
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
            values = f"{_end(column['minimum'])} to {_end(column['maximum'])}"
        missing = f"{column['missing']:,} missing ({column['missing'] / max(rows, 1):.1%})"
        what = f"{column['kind']:<11} {column['likelihood']:<17}"
        if column["constraint"]:
            missing += f"; {shown(column['constraint'])}"
        lines.append(f"  {name}  {what} {missing}; {values}")
    return lines


def _end(value: Any) -> str:
    return shown(value) if isinstance(value, str) else f"{value:.10g}"


def _category(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else shown(value)
