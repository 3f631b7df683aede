"""``elbax compare RUN RUN …``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from elbax.cli.parsing import POSITIONAL
from elbax.cli.runs import say
from elbax.recipes.convert import Checked, Count, Seed
from elbax.run.run import Run
from elbax.util import environment, files


@dataclass(frozen=True)
class Arguments(Checked):
    """Runs side by side: one table, paired differences to the first run, and a page of figures.

    All are measured on the same rows with the same noise. Runs whose numbers do not compare (other
    data or splits, other binarisation, a mass against a density) are refused by name. Runs that
    differ by their seed alone are also averaged over seeds.
    """

    runs: Annotated[tuple[Path, ...], POSITIONAL]
    """The runs' folders, two or more."""
    out: Path = Path("compare.html")
    """The page to write, self-contained. Without it: compare.html in the folder you are in."""
    split: Literal["train", "validation", "test", "all"] = "test"
    """Which rows."""
    limit: Count = 1000
    """The first so many of them."""
    samples: Count = 500
    """Importance samples per row."""
    binarize: Literal["as-trained", "dynamic", "static", "none"] = "as-trained"
    """Grey data to 0/1, for all runs alike."""
    seed: Seed = 0
    """Seed of the draws, the same for all runs."""
    json: bool = False
    """Print one JSON object."""


def main(arguments: Arguments) -> None:
    """Runs the command."""
    devices = {Run(run).config["run"]["device"] for run in arguments.runs}
    environment.prepare(devices.pop() if len(devices) == 1 else None)
    from elbax.report import comparison, comparison_page
    from elbax.run.use import outputs

    outputs.check_target(arguments.out, (".html",))
    binarize = None if arguments.binarize == "as-trained" else arguments.binarize
    found = comparison.compare(
        comparison.open_runs(arguments.runs, binarize),
        arguments.split,
        limit=arguments.limit,
        samples=arguments.samples,
        seed=arguments.seed,
        said=say,
    )
    numbers = comparison.to_json(found)
    page, _ = comparison_page.write(found, numbers, say)
    files.write_bytes(arguments.out, page.encode())
    if arguments.json:
        print(json.dumps({**numbers, "page": str(arguments.out)}))
        return
    for line in comparison.in_words(numbers):
        print(line)
    print(f"page: {arguments.out}")
