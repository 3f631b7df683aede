"""``elbax sample RUN``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from elbax.cli.parsing import POSITIONAL
from elbax.cli.runs import opened
from elbax.recipes.convert import Checked, Count, Seed

if TYPE_CHECKING:
    from elbax.data import Column
    from elbax.model.latent_variable_model import LatentVariableModel
    from elbax.run.run import Run

FORMATS = (".npz", ".npy", ".png")


@dataclass(frozen=True)
class Arguments(Checked):
    """New data: z from the prior, or from a density fitted to the latents; x from p(x|z).

    .npz holds x and z, .npy holds x, .png shows images as tiles. After training on a table, .csv
    and .parquet hold rows with the same columns, types and categories, drawn unless --mean asks
    for the mean of numbers and the most probable category; --given fixes some cells and draws the
    others given these.
    """

    run: Annotated[Path, POSITIONAL]
    """The run's folder."""
    out: Path
    """The file to write: .npz, .npy or .png; of a table, .csv or .parquet."""
    count: Count = 100
    """How many."""
    sampler: Literal["prior", "gaussian", "gaussian-mixture", "flow", "autoregressive"] = "prior"
    """Where z is from: the prior, or a density fitted to latents of the training data (a draw of
    q(z|x) each): one normal, a mixture of normals, or a normalising flow."""
    components: Count = 10
    """Normals in --sampler gaussian-mixture."""
    mean: bool = False
    """Give the mean of p(x|z): smooth; of a Bernoulli the probability of a 1. The default."""
    draw: bool = False
    """Give a draw from p(x|z) instead: each value for itself, so 0 or 1 from a Bernoulli."""
    given: str | None = None
    """Of a table: cells to fix, NAME=VALUE,NAME=VALUE, or to keep within a range or a set, as in
    age=40..50,kind=ash|elm; the other columns are drawn given them, by importance sampling from the
    joint."""
    with_missing: bool = False
    """Of a table with holes: leave cells of the new rows empty as the training rows have them, by a
    model of the holes given the row."""
    proposals: Count = 20_000
    """Latents that --given chooses from."""
    label: str | None = None
    """Of a model conditioned on labels: all with this one, a number or a name. Without it: one
    label after the other."""
    seed: Seed = 0
    """Seed of the draws."""


def main(arguments: Arguments) -> None:
    """Runs the command."""
    _refuse_pairs(arguments)
    run = opened(arguments.run)
    from elbax.run.use import apply, conditioning, outputs, tables

    columns = tables.columns_of(run.config)
    if arguments.with_missing and not columns:
        raise ValueError(f"with_missing (--with-missing) needs a table, and {run.path} has none")
    formats = (*FORMATS, *tables.FORMATS) if columns else FORMATS
    given = None
    if arguments.given is not None:
        if not columns:
            raise ValueError(f"given (--given) needs a table, and {run.path} has none")
        given, formats = conditioning.parse(arguments.given, columns), tables.FORMATS
    outputs.check_target(arguments.out, formats, tuple(run.config["data"]["shape"]))
    model, source = run.model, apply.prior_in_words(run.model)
    if arguments.sampler != "prior":
        model = apply.with_fitted_prior(
            run, arguments.sampler, arguments.components, seed=arguments.seed
        )
        source = f"the {arguments.sampler} prior fitted to the latents"
    if given is not None:
        _draw_given(arguments, model, columns, given, source)
    else:
        _draw(arguments, run, model, columns, source)


def _refuse_pairs(arguments: Arguments) -> None:
    if arguments.mean and arguments.given is not None:
        raise ValueError("--mean and --given exclude each other: given cells, others are drawn")
    if arguments.mean and arguments.draw:
        raise ValueError("--mean and --draw exclude each other: give one of them")
    if arguments.with_missing and arguments.given is not None:
        raise ValueError("--with-missing and --given exclude each other: give one of them")


def _draw_given(
    arguments: Arguments,
    model: LatentVariableModel,
    columns: tuple[Column, ...],
    given: Any,
    source: str,
) -> None:
    """Rows with some of their cells fixed."""
    from elbax.run.use import conditioning, tables

    rows, found = conditioning.draw(
        model,
        columns,
        given,
        count=arguments.count,
        seed=arguments.seed,
        proposals=arguments.proposals,
    )
    tables.write_table(arguments.out, rows)
    print(f"{arguments.out}: {arguments.count:,} rows, z from {source}")
    for line in conditioning.in_words(columns, given, found):
        print(line)


def _draw(
    arguments: Arguments,
    run: Run,
    model: LatentVariableModel,
    columns: tuple[Column, ...],
    source: str,
) -> None:
    """Rows, or arrays, of which nothing is fixed."""
    import numpy as np

    from elbax.run import labels
    from elbax.run.use import apply, holes, outputs, tables

    as_table = arguments.out.suffix.lower() in tables.FORMATS
    draw = arguments.draw or (as_table and not arguments.mean)
    label = labels.number_of(arguments.label, run.config)
    arrays = apply.sample(model, arguments.count, seed=arguments.seed, draw=draw, label=label)
    missing = None
    if arguments.with_missing:
        missing = holes.draw(run, columns, arrays["x"], seed=arguments.seed)
    if as_table:
        tables.write(arguments.out, columns, arrays["x"], missing)
    else:
        if missing is not None:
            arrays["x"] = np.where(missing, np.nan, arrays["x"])
        arrays["x"] = tables.in_own_units(run, arrays["x"], drawn=draw)
        outputs.write_arrays(arguments.out, arrays, "x")
    what = "draws from p(x|z)" if draw else "means of p(x|z)"
    what += " with holes" if arguments.with_missing else ""
    print(f"{arguments.out}: {arguments.count:,} {what}, z from {source}")
