"""``elbax decode RUN``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from elbax.cli.parsing import POSITIONAL
from elbax.cli.runs import opened
from elbax.recipes.convert import Checked, Seed

FORMATS = (".npz", ".npy", ".png")


@dataclass(frozen=True)
class Arguments(Checked):
    """Data from latents that you give: in a file, or one on the command line.

    .npz holds x and z, .npy holds x, .png shows images as tiles.
    """

    run: Annotated[Path, POSITIONAL]
    """The run's folder."""
    out: Path
    """The file to write: .npz, .npy or .png."""
    latents: Path | None = None
    """A file of latents, one a row: .npy, .npz (its z or mean) or .csv; what encode wrote fits."""
    z: str | None = None
    """One latent, its numbers separated by commas: --z=-1.2,0.5 (the = matters before a minus)."""
    mean: bool = False
    """Give the mean of p(x|z): of a Bernoulli the probability of a 1, in [0, 1]. The default."""
    draw: bool = False
    """Give a draw from p(x|z) instead."""
    label: str | None = None
    """Of a model conditioned on labels: which one, a number or a name."""
    seed: Seed = 0
    """Seed of the draws."""


def main(arguments: Arguments) -> None:
    """Runs the command."""
    if (arguments.latents is None) == (arguments.z is None):
        raise ValueError("give the latents either as --latents FILE or as --z 0.5,1.2,…")
    if arguments.mean and arguments.draw:
        raise ValueError("--mean and --draw exclude each other: give one of them")
    run = opened(arguments.run)
    from elbax.run import labels
    from elbax.run.use import apply, outputs, tables

    outputs.check_target(arguments.out, FORMATS, tuple(run.config["data"]["shape"]))
    z = _latents(arguments)
    label = labels.number_of(arguments.label, run.config)
    arrays = apply.decode(run.model, z, seed=arguments.seed, draw=arguments.draw, label=label)
    arrays["x"] = tables.in_own_units(run, arrays["x"], drawn=arguments.draw)
    outputs.write_arrays(arguments.out, arrays, "x")
    print(f"{arguments.out}: {len(z):,} decoded")


def _latents(arguments: Arguments):  # noqa: ANN202 - numpy is imported late
    import numpy as np

    from elbax.run.use.outputs import read_latents

    if arguments.latents is not None:
        return read_latents(arguments.latents)
    try:
        return np.array([[float(word) for word in str(arguments.z).split(",")]], dtype=np.float32)
    except ValueError:
        raise ValueError(f"z (--z) is '{arguments.z}': give numbers separated by commas") from None
