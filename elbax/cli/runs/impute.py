"""``elbax impute RUN``."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from elbax.cli.parsing import POSITIONAL
from elbax.cli.runs import note, opened
from elbax.cli.runs.together import ProcessesOptions, sharing_rows
from elbax.recipes.convert import Bounds, Checked, Count, Seed
from elbax.run.run import Run

if TYPE_CHECKING:
    from elbax.run.use.array_imputation import FilledArray
    from elbax.run.use.imputation import Filled


@dataclass(frozen=True)
class Arguments(Checked):
    """A table with its missing cells filled: same rows, columns and order; observed cells stay.

    Numbers get the posterior mean, the others the most probable category. Beside OUT stands
    OUT.intervals.csv: for each filled cell the central 90% interval of a number, or the
    probability of the category. Images with missing pixels, NaN in a .npy, are filled likewise;
    their intervals are the arrays lower and upper of OUT.intervals.npz.
    """

    run: Annotated[Path, POSITIONAL]
    """The run's folder; it was trained on a table, or on data with holes."""
    data: Path
    """The table to fill; of a run on an array (n, d) also .npy, of one on images that alone."""
    out: Path
    """The file to write: .csv, .tsv, .parquet or .feather; of an array also .npy, of images that
    alone."""
    draws: Count = 200
    """Importance draws of the latents for each row."""
    multiple: Annotated[int, Bounds(0, 400)] = 0
    """Write so many tables more, OUT.1, OUT.2, …, each with its missing cells drawn at random."""
    unseen: Literal["refuse", "missing"] = "refuse"
    """What to do about categories of other data that training did not see: refuse them, or take
    their cells as missing."""
    seed: Seed = 0
    """Seed of the draws."""
    devices: Count | None = None
    """Devices of each process that share the rows. Without it: one; of several processes all."""
    processes: ProcessesOptions = dataclasses.field(default_factory=ProcessesOptions)


def main(arguments: Arguments) -> None:
    """Runs the command."""
    run = opened(arguments.run)
    arguments.processes.join()
    from elbax.run.use import imputation, outputs, tables

    columns = tables.columns_of(run.config)
    if not columns:
        _fill_array(run, arguments)
        return
    matrix = run.config["data"]["kind"] == "vectors"
    outputs.check_target(arguments.out, (*tables.FORMATS, ".npy") if matrix else tables.FORMATS)
    table = imputation.read(arguments.data, run.config)
    with sharing_rows(
        run, arguments.devices, vars(arguments), lambda: _digest(arguments.data)
    ) as first:
        filled = imputation.fill(
            run.model,
            table,
            columns,
            draws=arguments.draws,
            multiple=arguments.multiple,
            seed=arguments.seed,
            unseen=arguments.unseen,
        )
        if not first:
            return
        note(filled.notes)
        written = imputation.write(
            filled, arguments.data, arguments.out, run.config["data"].get("header")
        )
        _say(arguments.out, filled, filled.rows, table.rows)
        for path in written:
            print(path)


def _fill_array(run: Run, arguments: Arguments) -> None:
    from elbax.run.use import array_imputation, outputs

    outputs.check_target(arguments.out, (".npy",))
    with sharing_rows(
        run, arguments.devices, vars(arguments), lambda: _digest(arguments.data)
    ) as first:
        filled = array_imputation.fill(
            run,
            arguments.data,
            draws=arguments.draws,
            multiple=arguments.multiple,
            seed=arguments.seed,
        )
        if not first:
            return
        written = array_imputation.write(filled, arguments.out)
        _say(arguments.out, filled, filled.filled, filled.rows)
        for path in written:
            print(path)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _say(out: Path, found: Filled | FilledArray, filled: int, rows: int) -> None:
    line = f"{out}: {found.cells:,} cells filled in {filled:,} of {rows:,} rows"
    few = found.doubtful - found.unweighted
    if few:
        line += f"; {few:,} rows with few effective draws: give more --draws"
    if found.unweighted:
        line += (
            f"; {found.unweighted:,} rows filled by draws without weights: the model gives what "
            "was observed of them no probability"
        )
    print(line)
