"""The front door in Python: `train`, `resume`, `open_run`, and the `Run` that they give.

>>> run = elbax.train("mnist-5k", latent_dim=2)
>>> run.results["test"]["elbo"]
>>> run.figure("generated")
"""

from __future__ import annotations

import contextlib
import functools
import html
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elbax.recipes import settings
from elbax.recipes.options import Options
from elbax.report import console as terminal
from elbax.run import directory as directories
from elbax.run import settle as plans
from elbax.run.directory import RunDirectory
from elbax.util import environment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from elbax.data import Dataset
    from elbax.model.latent_variable_model import LatentVariableModel


class Run:
    """A training run on disk: its options, its numbers, its model and its pictures.

    Attributes:
        path: The run's folder.
    """

    def __init__(self, path: Path, data: Any = None) -> None:
        self.path = path
        self._data = data
        self._directory = RunDirectory(path)

    @functools.cached_property
    def config(self) -> dict[str, Any]:
        """``config.json``: every option, the seed, versions, the data's fingerprint."""
        return self._directory.config()

    @property
    def results(self) -> dict[str, Any] | None:
        """The content of ``results.json``, or None while the run isn't done.

        ``results["test"]["elbo"]`` is the bound in nats per datum, beside its parts and their
        standard errors.
        """
        return self._directory.results()

    @property
    def history(self) -> dict[str, Any]:
        """The log as arrays of equal length: `step`, `loss`, `elbo`, `reconstruction`, `kl` (nats).

        ``history["validation"]`` is a dictionary of the same, one entry a validation.
        """
        return self._directory.history()

    @functools.cached_property
    def model(self) -> LatentVariableModel:
        """The trained model, from ``model.safetensors``.

        Raises:
            ValueError: The training hasn't got that far, or the file is damaged.
        """
        from elbax.run import trained

        return trained.model_of(self._directory)

    @functools.cached_property
    def dataset(self) -> Dataset:
        """The data that the run was trained on.

        Raises:
            DataChanged: They have changed since.
        """
        options = plans.read_options(self._directory, self.config)
        return plans.load_again(self.config, options, self._data)

    def figure(self, name: str) -> Figure:
        """One of the run's figures, drawn anew.

        Args:
            name: "reconstruct", "generated", "train_process", …

        Raises:
            ValueError: There is no such figure (with the nearest name), or this run can't have it.
        """
        from elbax.figures import Subject, draw, find

        find(name)
        subject = Subject(
            self.model, self.dataset, self.history, self.config["run"]["seed"], self.path.name
        )
        return draw(name, subject)

    def __repr__(self) -> str:
        return f"<Run {self.path}: {self._summary()}>"

    def _repr_html_(self) -> str:
        rows = [("data", self.config["data"]["name"]), ("recipe", self.config["recipe"])]
        rows += [("latents", self.config["model"]["latent_dim"])]
        results = self.results
        if results is None:
            rows.append(("state", "not finished"))
        else:
            rows.append(("steps", f"{results['iterations']:,}"))
            for name in ("test", "train"):
                if results.get(name):
                    rows.append((f"{name} bound", terminal.bound_in_words(results[name])))
        cells = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
            f"<td style='text-align:left'>{html.escape(str(value))}</td></tr>"
            for name, value in rows
        )
        return f"<table><caption>{html.escape(str(self.path))}</caption>{cells}</table>"

    def _summary(self) -> str:
        config, results = self.config, self.results
        latents, data = config["model"]["latent_dim"], config["data"]["name"]
        what = f"{config['recipe']} with {latents} latents on {data}"
        if results is None:
            return f"{what}, not finished"
        which = "test" if results.get("test") else "train"
        bound = terminal.bound_in_words(results[which]).split(" nats")[0]
        return f"{what}, {results['iterations']:,} steps, {which} {bound} nats per datum"


def train(
    data: Any,
    *,
    out: str | Path | None = None,
    recipe: str | None = None,
    config: str | Path | None = None,
    verbose: bool = True,
    **options: Any,
) -> Run:
    """Trains a model, measures it, draws its figures and leaves it all in a folder.

    The same as ``elbax train`` on the command line.

    Args:
        data: A data set's name, a path, an array, or a `Dataset`.
        out: The folder to write; by default the next number under ``runs/``.
        recipe: What to start from; by default ``vae``.
        config: A TOML file with options.
        verbose: Whether to say what happens.
        **options: Any option of the command line, with underscores: ``latent_dim=2``,
            ``iterations=500``,
            ``hidden=(512, 256)``, ``seed=1``, ``force=True``, …

    Raises:
        ValueError: Data or options that don't work, in one line with the mend.
        FileNotFoundError: The data or the TOML file aren't there.
        Interrupted: (a KeyboardInterrupt) by Ctrl-C; the state is saved, and `resume` goes on.
        RuntimeError: The loss stopped being a number.
    """
    environment.prepare(options.get("device"))
    if out is not None:
        options["out"] = out
    settled, _ = settings.settle(recipe=recipe, config=config, keywords=options)
    directory, _ = start(data, settled, terminal.for_python(verbose=verbose))
    return open_run(directory.path, data=None if isinstance(data, str | Path) else data)


def resume(
    path: str | Path, iterations: int | None = None, *, data: Any = None, verbose: bool = True
) -> Run:
    """Goes on with a run exactly where its last checkpoint stands.

    Args:
        path: The run's folder.
        iterations: Another length, in steps in all, for going on beyond the old end.
        data: The data, where they were an array in memory.
        verbose: Whether to say what happens.

    Raises:
        ValueError: There is no run, its data have changed, or nothing can be gone on with.
        Interrupted: As in `train`.
    """
    environment.prepare()
    go_on(path, terminal.for_python(verbose=verbose), iterations=iterations, data=data)
    return open_run(path, data=data)


def open_run(path: str | Path, *, data: Any = None) -> Run:
    """A run that exists.

    Args:
        path: The run's folder.
        data: The data, where they were an array in memory.

    Raises:
        RunDirectoryError: (a ValueError) there is no run.
    """
    return Run(directories.open_existing(path).path, data)


def start(
    data: Any, options: Options, narrator: terminal.Narrator
) -> tuple[RunDirectory, dict[str, Any] | None]:
    """A new run from options: what `train` and ``elbax train`` do.

    Returns:
        The run's folder and its results; None instead of results after a dry run.
    """
    out, force = options.run.out, options.run.force
    if out is not None:
        directories.check_available(out, force=force)
    plan = plans.make(data, options)
    from elbax.run import training as job

    with job.on_device(options.run.device) as device:
        parts = job.build(plan)
        narrator.planned(plan, parts.parameters)
        if options.run.dry_run:
            path = out or directories.next_number(plan.dataset.name)
            narrator.placed(path, plan)
            narrator.note("dry run: nothing was written")
            return RunDirectory(path), None
        directory, kept = directories.create(out, plan.dataset.name, force=force)
        with contextlib.closing(directory):
            if kept:
                narrator.note(
                    f"note    {', '.join(kept)} in {directory.path} is not elbax's and stays"
                )
            narrator.placed(directory.path, plan)
            job.begin(directory, plan, parts, device)
            results = job.work(directory, plan, parts, narrator)
    narrator.concluded(directory.path, results, report=options.run.report)
    return directory, results


def go_on(
    path: str | Path,
    narrator: terminal.Narrator,
    *,
    iterations: int | None = None,
    data: Any = None,
) -> tuple[RunDirectory, dict[str, Any]]:
    """Resumes a run, or completes a finished one: what `resume` and ``elbax resume`` do."""
    directory = directories.open_existing(path)
    from elbax.run import trained
    from elbax.run import training as job

    directory.lock()
    with contextlib.closing(directory):
        results = trained.finished(directory)
        if iterations is not None:
            if results is not None and iterations < results["iterations"]:
                raise ValueError(
                    f"iterations (--iterations) is {iterations}, and {directory.path} has taken "
                    f"{results['iterations']} steps already: give more, for it counts all of them"
                )
            results = trained.finished(directory, iterations)
        plan = plans.from_config(directory, data=data, iterations=iterations)
        with job.on_device(plan.options.run.device) as device:
            if results is not None:
                narrator.note(
                    f"{directory.path} is finished: {results['iterations']:,} steps taken"
                )
                trained.complete(directory, plan)
            else:
                parts = job.build(plan)
                narrator.planned(plan, parts.parameters)
                narrator.placed(directory.path, plan)
                if iterations is not None:
                    job.begin(directory, plan, parts, device)
                results = job.work(directory, plan, parts, narrator)
    narrator.concluded(directory.path, results, report=plan.options.run.report)
    return directory, results
