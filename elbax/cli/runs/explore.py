"""``elbax explore RUN``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from elbax.cli.parsing import POSITIONAL
from elbax.cli.runs import opened
from elbax.recipes.convert import Checked


@dataclass(frozen=True)
class Arguments(Checked):
    """A page to move a model by hand and see what it makes of it: explorer.html.

    One file that needs no server and no network. Of images: a map of two latents with the test
    rows, a slider for each latent, walks between rows, and a pad to draw what the encoder then
    looks at. Of a table: a row's cells to change or to empty, the values that the others say with
    90% intervals, log p and the share of each column.
    """

    run: Annotated[Path, POSITIONAL]
    """The run's folder."""
    out: Path | None = None
    """The file to write. Without it: RUN/explorer.html."""


def main(arguments: Arguments) -> None:
    """Runs the command."""
    run = opened(arguments.run)
    from elbax.explore.explorer import explorer
    from elbax.run.folder import EXPLORER
    from elbax.run.use import outputs

    path = run.path / EXPLORER if arguments.out is None else arguments.out
    if arguments.out is not None:
        outputs.check_target(path, (".html",), run.dataset.shape)
    explorer(run, path)
    print(f"{path}: open it in a browser")
