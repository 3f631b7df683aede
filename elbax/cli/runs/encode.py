"""``elbax encode RUN``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from elbax.cli.parsing import POSITIONAL
from elbax.cli.runs import note, opened
from elbax.recipes.convert import Checked

FORMATS = (".npz", ".csv", ".parquet")


@dataclass(frozen=True)
class Arguments(Checked):
    """The posterior q(z|x) of each datum: mean, scale (where it has one), label (if any).

    An .npz file holds the arrays mean, scale and label; .csv and .parquet have a column for each
    latent's mean and scale (mean_0, scale_0, and so on) and one for the label.
    """

    run: Annotated[Path, POSITIONAL]
    """The run's folder."""
    out: Path
    """The file to write: .npz, .csv or .parquet."""
    data: str | None = None
    """Other data of the same shape: a name or a path. Without it: those of the run."""
    unseen: Literal["refuse", "missing"] = "refuse"
    """What to do about categories of other data that training did not see: refuse them, or take
    their cells as missing."""
    split: Literal["train", "validation", "test", "all"] = "all"
    """Which rows; `all` keeps your own file's order, else train, validation, test in turn."""


def main(arguments: Arguments) -> None:
    """Runs the command."""
    run = opened(arguments.run)
    from elbax.data.source import Split
    from elbax.run import labels
    from elbax.run.use import apply, other_data, outputs

    outputs.check_target(arguments.out, FORMATS)
    run = other_data.on(run, arguments.data, unseen=arguments.unseen)
    if arguments.data is not None:
        note(run.dataset.notes)
    rows, label = run.rows(arguments.split)
    arrays = apply.encode(run.model, labels.conditioned(run.model, Split(rows, label)), label)
    outputs.write_table(arguments.out, arrays)
    held = ", ".join(arrays)
    print(f"{arguments.out}: {held} of {len(rows):,} rows ({run.dataset.name}, {arguments.split})")
