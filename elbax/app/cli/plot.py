"""``elbax plot RUN [FIGURE …]``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from elbax.app import environment, files
from elbax.app.cli.parsing import parse
from elbax.app.run_directory import open_existing


@dataclass(frozen=True)
class Arguments:
    """Draw figures of a run as PNG.

    There are reconstruct, generated, train_process, top_infer, top_label, normal and reparam.
    """

    run: Annotated[Path, tyro.conf.Positional]
    """The run's folder."""
    figures: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Which figures. Without any: all that this run allows."""
    out: Path | None = None
    """The folder to write to. Without it: figures/ in the run's folder."""
    seed: int | None = None
    """Seed of what is drawn at random. Without it: the run's own."""


def main(words: Sequence[str]) -> int:
    """Runs the command; returns its exit status."""
    arguments = parse(Arguments, "plot", words)
    from elbax.app.figures import FIGURES, FigureUnavailable, draw, figure_png, find

    names = [find(name).name for name in arguments.figures]
    directory = open_existing(arguments.run)
    config = directory.config()
    environment.prepare(config["run"]["device"])
    folder = directory.figures if arguments.out is None else arguments.out
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"out (--out) is {folder}, which is a file: give a folder")
    from elbax.app import apply
    from elbax.app.figures import Subject

    applied = apply.open_for(arguments.run, None)
    seed = config["run"]["seed"] if arguments.seed is None else arguments.seed
    subject = Subject(
        applied.model, applied.dataset, directory.history(), seed, directory.path.name
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise files.write_error(folder, error) from error
    for name in names or FIGURES:
        try:
            picture = figure_png(draw(name, subject))
        except FigureUnavailable as why:
            if names:
                raise
            print(f"left out {name}: {why}", file=sys.stderr)
            continue
        files.write_bytes(folder / f"{name}.png", picture)
        print(folder / f"{name}.png")
    return 0
