"""A run's figures and the report around them, written into its folder."""

from __future__ import annotations

import functools
from collections.abc import Callable

from elbax.figures import FIGURES, REHEARSED, rehearse, render_all
from elbax.report.page import SOON, write_report
from elbax.run import folder
from elbax.run.run import Run
from elbax.util import files


def illustrate(run: Run, doing: Callable[[str], None] | None = None) -> None:
    """Writes the report with its numbers, draws every figure that this run allows, and adds them.

    Args:
        run: The run.
        doing: Is told what is being drawn.

    Raises:
        WriteError: The disk is full.
    """
    figures = run / folder.FIGURES
    try:
        figures.mkdir(exist_ok=True)
    except OSError as error:
        raise files.write_error(figures, error) from error
    write_report(run / folder.REPORT, run, None)
    pictures, left_out = render_all(run, figures, doing)
    write_report(run / folder.REPORT, run, pictures, left_out)


def rehearsals(run: Run) -> list[Callable[[], None]]:
    """What compiles the programs of `illustrate` beforehand, of a run whose model is untrained."""
    return [functools.partial(rehearse, name, run) for name in REHEARSED]


def complete(run: Run, doing: Callable[[str], None] | None = None) -> None:
    """Draws what a finished run lacks: figures or the report, deleted or never reached."""
    wanted = [name for name, spec in FIGURES.items() if spec.unavailable(run) is None]
    there = all((run / folder.FIGURES / f"{name}.png").exists() for name in wanted)
    report = run / folder.REPORT
    if not (there and report.exists() and SOON not in report.read_text(encoding="utf-8")):
        illustrate(run, doing)
