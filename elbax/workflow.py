"""The whole way, on one page: settle the options, build, fit, measure, report.

`train` and `resume` are what Python calls, `start` and `resume_run` what the command line calls.

>>> run = elbax.train("mnist-5k", latent_dim=2)
>>> run.results["test"]["elbo"]
>>> run.figure("generated")
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elbax.recipes import settings
from elbax.report.console import Console
from elbax.run import folder, settle
from elbax.run.run import Run
from elbax.track import tracker
from elbax.util import environment, processes

if TYPE_CHECKING:
    from elbax.recipes.options import Options
    from elbax.run.settle import Plan
    from elbax.train import Trainer


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
            ``iterations=500``, ``hidden=(512, 256)``, ``seed=1``, ``force=True``, …

    Raises:
        ValueError: Data or options that don't work, in one line with the mend.
        FileNotFoundError: The data or the TOML file aren't there.
        Interrupted: (a KeyboardInterrupt) by Ctrl-C; the state is saved for `resume`.
        Diverged: (a RuntimeError) the loss stopped being a number.
    """
    environment.prepare(options.get("device"))
    if out is not None:
        options["out"] = out
    settled, _ = settings.settle(recipe=recipe, config=config, keywords=options)
    return start(data, settled, Console.for_python(verbose=verbose))


def resume(
    path: str | Path, iterations: int | None = None, *, data: Any = None, verbose: bool = True
) -> Run:
    """Resumes a run exactly where its last checkpoint stands.

    Args:
        path: The run's folder.
        iterations: Another length, in steps in all, to train beyond the old end.
        data: The data, where they were an array in memory.
        verbose: Whether to say what happens.

    Raises:
        ValueError: There is no run, its data have changed, or it has taken more steps already.
        Interrupted: As in `train`.
    """
    environment.prepare()
    run = open_run(path, data=data)
    resume_run(run, Console.for_python(verbose=verbose), iterations=iterations)
    return run


def open_run(path: str | Path, *, data: Any = None) -> Run:
    """A run that exists.

    Args:
        path: The run's folder.
        data: The data, where they were an array in memory.

    Raises:
        RunFolderError: (a ValueError) there is no run.
    """
    folder.read_config(Path(path))
    return Run(path, data)


def start(data: Any, options: Options, console: Console) -> Run:
    """A new run from options: what `train` and ``elbax train`` do.

    The run that a dry run gives (an option) has no folder.
    """
    out, force = options.run.out, options.run.force
    tracker.check(options.run.track)
    if out is not None and not processes.index():
        folder.check_available(out, force=force)
    plan = settle.settle(data, options)
    own = None if isinstance(data, str | Path) else data
    from elbax.run import training

    with environment.on_device(options.run.device) as device:
        training.devices_of(plan)  # refuses what there is not before anything is written
        trainer = training.build(plan)
        if processes.index():
            _follow(plan, trainer)
            return Run(out or ".", own)
        console.planned(plan, trainer.parameter_count)
        if options.run.dry_run:
            path = out or folder.next_number(plan.dataset.name)
            console.placed(path, plan)
            console.note(f"cost    {_cost(plan)}")
            console.note("dry run: nothing was written")
            return Run(path, own)
        with folder.new(out, plan.dataset.name, force=force) as (path, kept):
            if kept:
                console.note(f"note    {', '.join(kept)} in {path} is not elbax's and stays")
            console.placed(path, plan)
            run = Run(path, own)
            training.write_config(run, plan, trainer.parameter_count, device)
            _train_and_report(run, plan, trainer, console)
    return run


def _follow(plan: Plan, trainer: Trainer) -> None:
    """Trains along in a process that is not the first, which writes and prints."""
    from elbax.run import training
    from elbax.run.signals import SignalWatch

    with SignalWatch() as watch:
        training.follow(plan, trainer, watch)


def _cost(plan: Plan) -> str:
    """What the run would take: parameters, time and memory."""
    from elbax.run import cost

    training = dataclasses.replace(plan.options.training, iterations=plan.iterations)
    options = dataclasses.replace(plan.options, training=training)
    return cost.brief(cost.estimate(plan.dataset, options, plan.likelihood), options)


def resume_run(run: Run, console: Console, *, iterations: int | None = None) -> None:
    """Resumes a run, or completes a finished one: what `resume` and ``elbax resume`` do."""
    from elbax.report import illustrate
    from elbax.run import training

    if processes.index():
        if not run.finished(iterations):
            plan = settle.of_run(run, iterations=iterations)
            with environment.on_device(plan.options.run.device):
                _follow(plan, training.build(plan))
        return
    with folder.locked(run.path):
        _check_length(run, iterations)
        tracker.check(run.options.run.track)
        plan = settle.of_run(run, iterations=iterations)
        with environment.on_device(plan.options.run.device) as device:
            if run.finished(iterations):
                console.note(f"{run.path} is finished: {_steps(run):,} steps taken")
                if plan.options.run.report:
                    illustrate.complete(run, console.doing)
                console.concluded(run, report=plan.options.run.report)
                return
            trainer = training.build(plan)
            console.planned(plan, trainer.parameter_count)
            console.placed(run.path, plan)
            if iterations is not None:
                training.write_config(run, plan, trainer.parameter_count, device)
            _train_and_report(run, plan, trainer, console)


def _check_length(run: Run, iterations: int | None) -> None:
    """Refuses to end a finished run before where it has come.

    Raises:
        ValueError: One line with the mend.
    """
    if iterations is None or not run.finished():
        return
    taken = _steps(run)
    if iterations < taken:
        raise ValueError(
            f"iterations (--iterations) is {iterations}, and {run.path} has taken {taken} steps "
            "already: give more, for it counts all of them"
        )


def _steps(run: Run) -> int:
    return (run.results or {}).get("iterations", 0)


def _train_and_report(run: Run, plan: Plan, trainer: Trainer, console: Console) -> None:
    from elbax.report import illustrate
    from elbax.run import training
    from elbax.run.rehearsal import rehearsal
    from elbax.track.tracking import tracked

    report, device = plan.options.run.report, plan.options.run.device
    later = training.rehearsals(plan, trainer)
    if report:
        untrained = run.replace(model=trainer.model, dataset=plan.dataset)
        later += illustrate.rehearsals(untrained)
    with (
        training.resumable(run, console) as watch,
        rehearsal(later, device) as rehearsed,
        tracked(run, plan, trainer, console) as progress,
    ):
        model = training.train(run, plan, trainer, progress, watch, rehearsed)
        if report:
            whole = run.replace(model=model, dataset=plan.dataset)
            illustrate.illustrate(whole, console.doing)
    console.concluded(run, report=report)
    processes.leave("done")
