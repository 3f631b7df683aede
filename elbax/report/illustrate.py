"""A run's figures and the report around them, written into its folder."""

from __future__ import annotations

from elbax.figures import FIGURES, render_all
from elbax.report.page import write_report
from elbax.run import folder
from elbax.run.run import Run
from elbax.util import files


def illustrate(run: Run) -> None:
    """Draws every figure that this run allows, and the report around them.

    Raises:
        WriteError: The disk is full.
    """
    figures = run / folder.FIGURES
    try:
        figures.mkdir(exist_ok=True)
    except OSError as error:
        raise files.write_error(figures, error) from error
    pictures, left_out = render_all(run, figures)
    write_report(run / folder.REPORT, run, pictures, left_out)


def complete(run: Run) -> None:
    """Draws what a finished run lacks: figures or the report, deleted or never reached."""
    wanted = [name for name, spec in FIGURES.items() if spec.unavailable(run) is None]
    there = all((run / folder.FIGURES / f"{name}.png").exists() for name in wanted)
    if not (there and (run / folder.REPORT).exists()):
        illustrate(run)
