"""``elbax encode RUN``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from elbax.cli.parsing import POSITIONAL
from elbax.cli.runs import note, opened
from elbax.recipes.convert import Checked

FORMATS = (".npz", ".csv", ".parquet", ".h5ad")


@dataclass(frozen=True)
class Arguments(Checked):
    """The posterior q(z|x) of each datum: mean, scale (where it has one), label (if any).

    An .npz file holds the arrays mean, scale and label; .csv and .parquet have a column for each
    latent's mean and scale (mean_0, scale_0, and so on) and one for the label; an .h5ad file is a
    copy of the data, themselves such a file, with the means in obsm["X_elbax"].
    """

    run: Annotated[Path, POSITIONAL]
    """The run's folder."""
    out: Path
    """The file to write: .npz, .csv, .parquet or .h5ad."""
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
    from elbax.run.use import encodings, other_data, outputs

    out, data, split = arguments.out, arguments.data, arguments.split
    outputs.check_target(out, FORMATS)
    copied = out.suffix.lower() == ".h5ad"
    source = encodings.check_file(run, data, split) if copied else None
    run = other_data.on(run, data, unseen=arguments.unseen)
    if data is not None:
        note(run.dataset.notes)
    arrays = encodings.of(run, split=split)
    if source is not None:
        encodings.write(out, source, arrays["mean"])
    else:
        outputs.write_table(out, arrays)
    held = 'obsm["X_elbax"]' if copied else ", ".join(arrays)
    count = f"{len(arrays['mean']):,} rows"
    print(f"{out}: {held} of {count} ({run.dataset.name}, {split})")
