"""The whole way of a sweep: settle its runs, train them abreast, compare them, choose, say so.

OUT/
  sweep.json           what was asked for: the data, the options, what varies; its runs by name
  NAME/                a run's folder, for each run, that every command takes
  checkpoints/         the states of runs that train abreast, while they do
  table.csv            a row a run
  results.json         the same, with the comparison and the choice
  sweep.html           the page

What resumes it is the same call again, or `elbax resume OUT`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elbax.recipes import options as option_tools
from elbax.recipes import settings
from elbax.recipes.options import (
    DataOptions,
    ModelOptions,
    Options,
    RunOptions,
    TrainingOptions,
)
from elbax.report.console import Console
from elbax.run import folder, settle
from elbax.run.folder import CHECKPOINTS, CONFIG, RESULTS, RunFolderError
from elbax.run.run import Run
from elbax.sweep import axes
from elbax.sweep.axes import Axes
from elbax.track import tracker
from elbax.util import environment, files
from elbax.util.words import counted, reason

if TYPE_CHECKING:
    import pandas as pd

    from elbax.sweep.choose import Choice
    from elbax.sweep.members import Member

SPEC = "sweep.json"
TABLE = "table.csv"
PAGE = "sweep.html"
SCHEMA = 1
TOGETHER = 32  # runs in one program, at most
_FILES = (SPEC, TABLE, RESULTS, PAGE)


@dataclass(frozen=True)
class Swept:
    """What came of a sweep.

    Attributes:
        path: Its folder.
        results: The content of ``results.json``.
        lines: The same in words.
    """

    path: Path
    results: dict[str, Any]
    lines: list[str]


def sweep(
    data: Any,
    *,
    seeds: int | None = None,
    out: str | Path | None = None,
    recipe: str | None = None,
    config: str | Path | None = None,
    together: int = TOGETHER,
    verbose: bool = True,
    **options: Any,
) -> pd.DataFrame:
    """Trains a run for each combination of options, many in one program, and compares them.

    The same as ``elbax sweep`` on the command line; the same call again, with the same `out`, goes
    on where a sweep was interrupted. Each run is a folder of its own (`elbax.open_run`).

    Args:
        data: A data set's name, a path, an array, or a `Dataset`.
        seeds: How many seeds, from `seed` on.
        out: The folder to write; by default the next number under ``runs/``.
        recipe: What to start from; by default ``vae``.
        config: A TOML file with options.
        together: How many runs may train in one program.
        verbose: Whether to say what happens.
        **options: Options of `elbax.train`; a list is several values: ``latent_dim=[2, 4, 8]``,
            ``**{"objective.beta": [0.5, 1]}``. ``latent_dim="auto"`` tries 1, 2, 4, … and chooses.

    Returns:
        A row a run: its options, how it ended, and its bound, log p, rate and distortion with their
        standard errors, in nats per datum. ``.attrs["chosen"]`` has the choice of ``latent_dim``.

    Raises:
        ValueError: Data or options that don't work, in one line with the mend.
        FileNotFoundError: The data or the TOML file aren't there.
        Interrupted: (a KeyboardInterrupt) by Ctrl-C; what was trained is saved.
    """
    import pandas as pd

    environment.prepare(options.get("device"))
    if out is not None:
        options["out"] = out
    console = Console.for_python(verbose=verbose)
    found = start(
        data,
        options,
        seeds=seeds,
        recipe=recipe,
        config=config,
        together=together,
        console=console,
    )
    for line in found.lines if verbose else []:
        console.note(line)
    frame = pd.DataFrame(found.results["runs"])
    frame.attrs["chosen"] = found.results["chosen"]
    return frame


def start(
    data: Any,
    given: Mapping[str, Any],
    *,
    seeds: int | None,
    recipe: str | None,
    config: str | Path | None,
    together: int,
    console: Console,
) -> Swept:
    """A sweep from options as they were given: what `sweep` and ``elbax sweep`` do.

    Raises:
        ValueError: Data or options that don't work, in one line with the mend.
    """
    from elbax.sweep import members as make

    varied, base, data = _asked(data, given, seeds, recipe, config)
    runs, argument = varied.runs(), settle.argument_of(data)
    spec = _spec(varied, base, argument, runs, together)
    out, force = base.run.out, base.run.force
    if out is not None and not force and _same(out, spec):
        return _go_on(out, data, console)
    if out is not None:
        _check_available(out, force=force)
    base = _without_place(base)
    tracker.check(base.run.track)
    with environment.on_device(base.run.device) as device:
        waiting = make.settled(data, base, runs, out or Path("sweep"))
        _check_auto(varied, waiting)
        if base.run.dry_run:
            for one in waiting:
                console.note(f"run     {one.name}")
            raise SystemExit(0)
        with _claimed(out, waiting[0].plan.dataset.name, force=force) as path:
            waiting = [dataclasses.replace(m, run=_at(m.run, path / m.name)) for m in waiting]
            # First what was asked for: from here on the sweep can be resumed, whatever happens.
            files.write_sealed(path / SPEC, spec)
            _write_configs(waiting, device)
            return _train(path, waiting, spec, console)


def resume(path: Path, console: Console, data: Any = None) -> Swept:
    """A sweep that was begun, to its end: what ``elbax resume`` does with its folder.

    Raises:
        ValueError: It can't be read, or its data are others.
    """
    return _go_on(path, data, console)


def is_sweep(path: Path) -> bool:
    """Whether a folder is a sweep's."""
    return (path / SPEC).is_file()


def _go_on(path: Path, data: Any, console: Console) -> Swept:
    from elbax.sweep import members as make

    spec = read(path)
    with folder.locked(path), environment.on_device(spec["device"]) as device:
        if not all((path / name / CONFIG).exists() for name in spec["runs"]):
            # It was killed before all were begun.
            _write_configs(_missing(path, spec, data), device)
        found = make.opened(path, spec["runs"], data)
        return _train(path, found, spec, console)


def read(path: Path) -> dict[str, Any]:
    """What a sweep was asked for: the content of its ``sweep.json``.

    Raises:
        RunFolderError: (a ValueError) it can't be read, or is of another version.
    """
    try:
        spec = files.read_sealed(path / SPEC)
        names = list(spec["runs"])
        known = spec["schema"] == SCHEMA
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFolderError(f"{path / SPEC} can't be read ({reason(error)})") from None
    if not known or any(Path(name).name != name for name in names):
        raise RunFolderError(f"{path / SPEC} was not written by this version of elbax")
    return spec


def _asked(
    data: Any,
    given: Mapping[str, Any],
    seeds: int | None,
    recipe: str | None,
    config: str | Path | None,
) -> tuple[Axes, Options, Any]:
    """What varies, the options of all, and the data."""
    if seeds is not None and seeds < 1:
        raise ValueError(f"seeds (--seeds) is {seeds}: give a whole number of at least 1")
    from_file, data_of_file = settings.settle(recipe=recipe, config=config, keywords={})
    data = data if data is not None else data_of_file
    if data is None:
        raise ValueError("`elbax sweep` needs DATA; see `elbax sweep --help`")
    latents = None
    if given.get("latent_dim") == axes.AUTO:
        fixed = axes.of({k: v for k, v in given.items() if k != "latent_dim"}, seeds=seeds).fixed
        options = option_tools.replace(from_file, fixed)
        dataset = settle.load(data, options)
        latents = settle.size_of(dataset.shape)
        data = data if isinstance(data, str | Path) else dataset
    varied = axes.of(given, seeds=seeds, latents=latents)
    return varied, option_tools.replace(from_file, varied.fixed), data


def _spec(
    varied: Axes, base: Options, argument: str | None, runs: Mapping[str, Any], together: int
) -> dict[str, Any]:
    options = {
        name: option_tools.to_json(getattr(base, name)) for name in ("model", "training", "data")
    }
    return {
        "elbax": environment.versions()["elbax"],
        "schema": SCHEMA,
        "data": argument,
        "recipe": base.recipe,
        "options": options,
        "run": option_tools.to_json(_without_place(base).run),
        "asked": sorted(base.asked),
        "device": base.run.device,
        "report": base.run.report,
        "together": together,
        "axes": axes.to_json(varied)["varied"],
        "auto": varied.auto,
        "runs": axes.plain(runs),
    }


def _same(out: Path, spec: Mapping[str, Any]) -> bool:
    """Whether a folder holds this very sweep."""
    if not is_sweep(out):
        return False
    found, plain = read(out), json.loads(json.dumps(spec))
    silent = ("elbax", "together", "report", "run", "asked")
    # Sweeps of earlier versions do not say it.
    same_seed = found.get("run", plain["run"]).get("seed") == plain["run"]["seed"]
    return same_seed and all(found.get(name) == plain[name] for name in plain if name not in silent)


def _base(path: Path, spec: Mapping[str, Any]) -> Options:
    """The options of all runs of a sweep that was begun.

    Raises:
        RunFolderError: It does not say them.
    """
    kinds = {"model": ModelOptions, "training": TrainingOptions, "data": DataOptions}
    try:
        read_back = {
            name: option_tools.from_json(kind, spec["options"][name])
            for name, kind in kinds.items()
        }
        run = option_tools.from_json(RunOptions, spec["run"])
        return Options(spec["recipe"], **read_back, run=run, asked=frozenset(spec["asked"]))
    except (KeyError, TypeError, ValueError) as error:
        raise RunFolderError(
            f"runs of {path} are missing, and {path / SPEC} does not say how to begin them "
            f"({reason(error)}): train the sweep again, with --force"
        ) from None


def _check_available(out: Path, *, force: bool) -> None:
    if not is_sweep(out):
        folder.check_available(out, force=False)
    elif not force:
        raise RunFolderError(
            f"{out} holds another sweep: resume that by `elbax resume {out}`, choose another "
            "--out, or replace it with --force"
        )


def _check_auto(varied: Axes, found: list[Member]) -> None:
    """Refuses to choose where nothing tells better from worse."""
    if varied.auto and not len(found[0].plan.dataset.validation):
        raise ValueError(
            "latent_dim (--latent-dim) is auto, which judges by validation rows, and there are "
            "none: give --validation N"
        )


def _without_place(base: Options) -> Options:
    """The options of the runs: where the sweep goes is not where they go."""
    return dataclasses.replace(base, run=dataclasses.replace(base.run, out=None, force=False))


@contextlib.contextmanager
def _claimed(out: Path | None, data_name: str, *, force: bool) -> Iterator[Path]:
    """The sweep's folder, locked inside the block and empty of an earlier one."""
    if out is not None and is_sweep(out):
        with folder.locked(out):
            if force:
                _clear(out)
            yield out
        return
    with folder.new(out, f"{data_name}-sweep", force=False) as (path, _):
        yield path


def _clear(out: Path) -> None:
    """Deletes what an earlier sweep left, and nothing else."""
    for name in read(out)["runs"]:
        run = out / name
        if folder.is_run(run) and not run.is_symlink():
            folder.delete_run(run)
            with contextlib.suppress(OSError):
                run.rmdir()
    if not (out / CHECKPOINTS).is_symlink():
        shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)
    for name in reversed(_FILES):
        (out / name).unlink(missing_ok=True)


def _at(run: Run, path: Path) -> Run:
    return Run(path, run.source, dataset=run.dataset)


def _missing(path: Path, spec: Mapping[str, Any], data: Any) -> list[Member]:
    """The runs of a sweep that was begun, as they were settled at first.

    Raises:
        ValueError: They were of an array in memory.
    """
    from elbax.sweep import members as make

    data = data if data is not None else spec["data"]
    if data is None:
        raise ValueError(
            f"{path} was to train on an array in memory: make the same call of elbax.sweep again"
        )
    return make.settled(data, _base(path, spec), spec["runs"], path)


def _write_configs(found: list[Member], device: Any) -> None:
    """Makes the folder of each run, with its ``config.json``."""
    from elbax.run import training

    counts: dict[Any, int] = {}
    for one in found:
        one.run.path.mkdir(parents=True, exist_ok=True)
        if (one.run / CONFIG).exists():
            continue
        # How many parameters there are follows from these.
        parts = one.plan.options.model, one.plan.options.training.objective
        if parts not in counts:
            counts[parts] = training.build(one.plan).parameter_count
        training.write_config(one.run, one.plan, counts[parts], device)


def _train(path: Path, found: list[Member], spec: Mapping[str, Any], console: Console) -> Swept:
    from elbax.run import training
    from elbax.sweep import group, members

    waiting = [one for one in found if one.status == "waiting"]
    console.note(
        f"sweep   {path}: {counted(len(found), 'run')}, "
        + (f"{len(waiting):,} to train" if waiting else "all trained")
    )
    with training.resumable(Run(path), console) as watch, _all_locked(found):
        for some in members.gathered(found, spec["together"]):
            if any(one.status == "waiting" for one in some):
                group.train(some, path, console.note, watch)
        # All have their own: what a killed process left there of them together is of no use.
        shutil.rmtree(path / CHECKPOINTS, ignore_errors=True)
        return _conclude(path, found, spec, console.note)


@contextlib.contextmanager
def _all_locked(found: list[Member]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for one in found:
            stack.enter_context(folder.locked(one.run.path))
        yield


def _conclude(
    path: Path, found: list[Member], spec: Mapping[str, Any], said: Callable[[str], None]
) -> Swept:
    """Compares the runs, chooses, and writes the table, the object and the page."""
    from elbax.report import comparison
    from elbax.sweep import choose, page, table

    compared = table.compared(found, said)
    rows, varied = table.rows(found, compared), list(spec["axes"])
    chosen: Choice | None = None
    if "latent_dim" in varied and not isinstance(compared, str) and compared.split != "test":
        chosen = choose.latents(compared)
    results: dict[str, Any] = {
        "schema": SCHEMA,
        "sweep": str(path),
        "runs": rows,
        "chosen": None if chosen is None else chosen.to_json(),
        "compared": compared if isinstance(compared, str) else comparison.to_json(compared),
    }
    files.write_bytes(path / TABLE, table.to_csv(rows).encode())
    files.write_json(path / RESULTS, results)
    lines = table.in_words(rows, varied)
    lines += [f"not compared: {compared}"] if isinstance(compared, str) else []
    lines += chosen.in_words() if chosen is not None else []
    lines.append(f"table: {path / TABLE}")
    if spec["report"]:
        html = page.write(found, rows, varied, compared, chosen)
        files.write_bytes(path / PAGE, html.encode())
        lines.append(f"page: {path / PAGE}")
    return Swept(path, results, lines)
