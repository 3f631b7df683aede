"""A run's figures and the report around them, written into its folder."""

from __future__ import annotations

import functools
from collections.abc import Callable

from elbax.explore.explorer import beside_report
from elbax.explore.explorer import rehearse as rehearse_explorer
from elbax.figures import FIGURES, REHEARSED, rehearse, render_all
from elbax.report.page import SOON, write_report
from elbax.run import folder
from elbax.run.run import Run
from elbax.util import files


def illustrate(run: Run, doing: Callable[[str], None] | None = None) -> None:
    """Writes the report with its numbers, draws every figure that this run allows, and adds them.

    Then comes ``explorer.html``, where a page can hold the model.

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
    if doing is not None:
        doing("writing the explorer")
    why = beside_report(run)
    if why is not None:
        left_out = {**left_out, "The explorer": why}
    write_report(run / folder.REPORT, run, pictures, left_out, explorer=why is None)


def rehearsals(run: Run) -> list[Callable[[], None]]:
    """What compiles the programs of `illustrate` beforehand, of a run whose model is untrained."""
    figures: list[Callable[[], None]] = [
        functools.partial(rehearse, name, run) for name in REHEARSED
    ]
    return [*figures, functools.partial(rehearse_explorer, run)]


def complete(run: Run, doing: Callable[[str], None] | None = None) -> None:
    """Makes what a finished run lacks: figures, the explorer or the report."""
    wanted = [name for name, spec in FIGURES.items() if spec.unavailable(run) is None]
    there = all((run / folder.FIGURES / f"{name}.png").exists() for name in wanted)
    report = run / folder.REPORT
    text = report.read_text(encoding="utf-8") if report.exists() else SOON
    explorable = folder.EXPLORER in text  # it says so, or why not
    there = there and ((run / folder.EXPLORER).exists() or not explorable)
    if not there or SOON in text:
        illustrate(run, doing)
