"""``elbax reconstruct RUN``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from elbax.cli.parsing import POSITIONAL
from elbax.cli.runs import note, opened
from elbax.recipes.convert import Checked, Count, Seed

FORMATS = (".npz", ".npy", ".png")


@dataclass(frozen=True)
class Arguments(Checked):
    """Data through encoder and decoder, beside the originals: E[p(x|z)] at z = E[q(z|x)].

    .npz holds `original` and `reconstruction`, .npy the reconstructions; in .png the even columns
    (counted from 0)
    are reconstructions and the odd ones their originals. After training on a table, .csv and
    .parquet hold the reconstructed rows: the mean of numbers, the most probable category.
    """

    run: Annotated[Path, POSITIONAL]
    """The run's folder."""
    out: Path
    """The file to write: .npz, .npy or .png; of a table, .csv or .parquet."""
    data: str | None = None
    """Other data of the same shape: a name or a path. Without it: those of the run."""
    unseen: Literal["refuse", "missing"] = "refuse"
    """What to do about categories of other data that training did not see: refuse them, or take
    their cells as missing."""
    split: Literal["train", "validation", "test", "all"] = "test"
    """Which rows."""
    count: Count | None = None
    """The first so many rows. Without it: all, and 100 in a picture."""
    seed: Seed = 0
    """Seed of the binarisation, where the run binarises dynamically."""


def main(arguments: Arguments) -> None:
    """Runs the command."""
    run = opened(arguments.run)
    from elbax.data.source import Split
    from elbax.run import labels
    from elbax.run.use import apply, other_data, outputs, tables

    columns = tables.columns_of(run.config)
    formats = (*FORMATS, *tables.FORMATS) if columns else FORMATS
    outputs.check_target(arguments.out, formats, tuple(run.config["data"]["shape"]))
    run = other_data.on(run, arguments.data, unseen=arguments.unseen)
    if arguments.data is not None:
        note(run.dataset.notes)
    rows = labels.conditioned(run.model, Split(*run.rows(arguments.split)))
    picture = arguments.out.suffix.lower() == ".png"
    rows = rows[: arguments.count or (100 if picture else len(rows))]
    found = apply.reconstruct(run.model, rows, seed=arguments.seed)
    arrays = {name: tables.in_own_units(run, x) for name, x in found.items()}
    if picture:
        outputs.write_pairs(arguments.out, arrays["reconstruction"], arrays["original"])
    elif arguments.out.suffix.lower() in tables.FORMATS:
        tables.write(arguments.out, columns, found["reconstruction"])
    else:
        outputs.write_arrays(arguments.out, arrays, "reconstruction")
    print(f"{arguments.out}: {len(rows):,} reconstructions ({run.dataset.name}, {arguments.split})")
