"""``elbax score RUN``."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from elbax.cli.parsing import POSITIONAL
from elbax.cli.runs import note, opened
from elbax.cli.runs.together import ProcessesOptions, sharing_rows
from elbax.recipes.convert import Checked, Count, Seed
from elbax.run.folder import SCHEMA
from elbax.run.run import Run

if TYPE_CHECKING:
    import numpy as np

    from elbax.run.use import scoring

FORMATS = (".csv", ".parquet", ".npz")


@dataclass(frozen=True)
class Arguments(Checked):
    """How likely each row is: log p(x) in nats, by importance sampling; lower is stranger.

    OUT has a line for each row: log_p; error, its standard deviation over the draws;
    effective_samples; kl, what telling the latent costs. Of a table, log p is that of the observed
    cells, in the table's own units; masses and densities are summed apart; and log_p[NAME] is each
    column's share, so that log_p = masses + densities - kl. In .npz, elements are the shares of all
    pixels.
    """

    run: Annotated[Path, POSITIONAL]
    """The run's folder."""
    out: Path
    """The file to write: .csv, .parquet or .npz."""
    data: str | None = None
    """The data to score: a name or a path. Without it: those of the run."""
    unseen: Literal["refuse", "missing"] = "refuse"
    """What to do about categories of other data that training did not see: refuse them, or take
    their cells as missing."""
    split: Literal["train", "validation", "test", "all"] = "all"
    """Which rows; all come in the order of the file."""
    samples: Count = 1000
    """Draws of the latents for each row."""
    seed: Seed = 0
    """Seed of the draws."""
    devices: Count | None = None
    """Devices of each process that share the rows. Without it: one; of several processes all."""
    processes: ProcessesOptions = dataclasses.field(default_factory=ProcessesOptions)
    json: bool = False
    """Print the means over the rows as one JSON object."""


def main(arguments: Arguments) -> None:
    """Runs the command."""
    run = opened(arguments.run)
    arguments.processes.join()
    from elbax.run import labels
    from elbax.run.use import other_data, outputs, scoring

    outputs.check_target(arguments.out, FORMATS)
    run = other_data.on(run, arguments.data, unseen=arguments.unseen)
    if arguments.data is not None:
        note(run.dataset.notes)
    labels.refuse(run.model, "score")
    rows, _ = run.rows(arguments.split)
    with sharing_rows(
        run, arguments.devices, vars(arguments), lambda: run.dataset.fingerprint
    ) as first:
        scored = scoring.score_rows(
            run.model,
            rows,
            run.dataset.columns,
            samples=arguments.samples,
            seed=arguments.seed,
        )
        if first:
            _tell(run, arguments, rows, scored)


def _tell(run: Run, arguments: Arguments, rows: np.ndarray, scored: scoring.Scored) -> None:
    from elbax.run.use import scoring

    scoring.write(scored, arguments.out)
    if arguments.json:
        what = {"run": str(arguments.run), "data": run.dataset.name, "split": arguments.split}
        print(json.dumps({"schema": SCHEMA, **what, **scoring.summary(scored)}))
        return
    print(f"{arguments.out}: {len(rows):,} rows of {run.dataset.name}")
    for line in scoring.in_words(scored):
        print(line)
