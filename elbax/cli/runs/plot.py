"""``elbax plot RUN [FIGURE …]``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from elbax.cli.parsing import POSITIONAL
from elbax.cli.runs import opened, say
from elbax.recipes.convert import Checked, Seed
from elbax.run.folder import FIGURES as FOLDER
from elbax.run.folder import check_links
from elbax.run.run import Run
from elbax.util import files

if TYPE_CHECKING:
    from elbax.figures.rate_distortion import RatePoint


@dataclass(frozen=True)
class Arguments(Checked):
    """Draw figures of a run as PNG.

    There are reconstruct, generated, train_process, top_infer, top_label, bound, active_units,
    code_use, traverse, interpolate, nearest, rate_distortion, normal and reparam. Asked for by
    name, bound also has the annealed value, which takes half a minute.
    """

    run: Annotated[Path, POSITIONAL]
    """The run's folder."""
    figures: Annotated[tuple[str, ...], POSITIONAL] = ()
    """Which figures. Without any: all that this run allows."""
    out: Path | None = None
    """The folder to write to. Without it: figures/ in the run's folder."""
    betas: str | None = None
    """For rate_distortion: weights of the KL, such as 0.25,0.5,1,2,4. The run is trained again at
    each (2,000 steps at most, into betas/ in its folder)."""
    seed: Seed | None = None
    """Seed of what is drawn at random. Without it: the run's own."""


def main(arguments: Arguments) -> None:
    """Runs the command."""
    from elbax.figures import FIGURES, FigureUnavailable, find

    names = [find(name).name for name in arguments.figures]
    weights = _weights(arguments.betas, names)
    run = opened(arguments.run)
    if arguments.out is None:
        check_links(run.path)
    folder = run / FOLDER if arguments.out is None else arguments.out
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"out (--out) is {folder}, which is a file: give a folder")
    if arguments.seed is not None:
        run = run.replace(seed=arguments.seed)
    points = _curve(run, weights)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise files.write_error(folder, error) from error
    for name in names or FIGURES:
        try:
            picture = _png(name, run, points, thorough=bool(names))
        except FigureUnavailable as why:
            if names:
                raise
            say(f"left out {name}: {why}")
            continue
        files.write_bytes(folder / f"{name}.png", picture)
        print(folder / f"{name}.png")


def _weights(words: str | None, names: Sequence[str]) -> tuple[float, ...]:
    """The weights asked for.

    Raises:
        ValueError: They are no numbers, fewer than two, or nobody needs them.
    """
    if words is None:
        return ()
    if names and "rate_distortion" not in names:
        raise ValueError("betas (--betas) is for rate_distortion: name that figure too")
    try:
        weights = tuple(sorted({float(word) for word in words.split(",")}))
    except ValueError:
        weights = ()
    if len(weights) < 2 or not all(0 <= weight < float("inf") for weight in weights):
        raise ValueError(
            f"betas (--betas) is '{words}': give two or more numbers of at least 0, such as "
            "0.25,0.5,1,2,4"
        )
    return weights


def _png(name: str, run: Run, points: Sequence[RatePoint], *, thorough: bool) -> bytes:
    from elbax.figures import draw, draw_curve, figure_png

    if name == "rate_distortion" and points:
        return figure_png(draw_curve(points, run.name))
    return figure_png(draw(name, run, thorough=thorough))


def _curve(run: Run, weights: Sequence[float]) -> tuple[RatePoint, ...]:
    if not weights:
        return ()
    from elbax.report import betas

    return betas.curve(run, weights, say)
