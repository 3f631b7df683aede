"""What a run will do, settled before anything is written: data, likelihood, sizes."""

from __future__ import annotations

import dataclasses
import datetime
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from elbax import recipes
from elbax.data.formats.parquet import is_url
from elbax.data.named import DATA_DIR_VARIABLE, looking_in
from elbax.recipes import options as option_tools
from elbax.recipes import sizes
from elbax.recipes.choice import Choice
from elbax.recipes.convert import REPEATED, hints, notes
from elbax.recipes.options import Options
from elbax.run import checks
from elbax.run.folder import SCHEMA
from elbax.run.use import tables
from elbax.util import sizes as memory

if TYPE_CHECKING:
    from elbax.data import Dataset
    from elbax.model.interfaces import AbstractLikelihood
    from elbax.model.preprocessing import Preprocessing
    from elbax.run.run import Run


class DataChanged(ValueError):
    """The data are not those that the run was trained on: one line."""


@dataclass(frozen=True)
class Plan:
    """A run, settled.

    Attributes:
        options: What was asked for.
        argument: The data's name or absolute path; None for an array in memory.
        dataset: The data.
        likelihood: The family of p(x|z), with what the data settle of its options.
        reason: Why that one.
        iterations: Steps in all.
        horizon: The length that schedules are laid out for, where it is another: that of the run
            before it was made longer.
        created: When the run was begun, ISO 8601.
        command: The command that repeats it.
        folder: Where named data are looked up first; None where only the user's cache counts.
        own_units: Whether densities are those of the data's own units; not in runs of before.
    """

    options: Options
    argument: str | None
    dataset: Dataset
    likelihood: Choice
    reason: str
    iterations: int
    created: str
    command: str
    folder: str | None = None
    horizon: int | None = None
    own_units: bool = True

    @property
    def family(self) -> AbstractLikelihood:
        """The likelihood's family, with shapes in the place of arrays."""
        from elbax.recipes.compose import likelihood_family

        return likelihood_family(self.likelihood, self.dataset.shape)

    @property
    def preprocessing(self) -> Preprocessing:
        """How a stored value becomes the number that the likelihood is of."""
        from elbax.recipes.compose import reading

        found = reading(self.family.support, self.dataset, self.options.data.binarize)
        return found if self.own_units else dataclasses.replace(found, log_jacobian=())

    @property
    def classes(self) -> int:
        """How many labels the model knows of; 0 where it needs none."""
        from elbax.run import labels

        return labels.classes_of(self.dataset) if labels.needed(self.options) else 0

    def to_config(
        self, *, parameters: int, device: str, versions: dict[str, str]
    ) -> dict[str, Any]:
        """The content of ``config.json``."""
        data = self.dataset
        sections = {
            name: option_tools.to_json(getattr(self.options, name))
            for name in option_tools.SECTIONS
        }
        run = {name: sections["run"][name] for name in ("seed", "device", "report")}
        for name in ("devices", "track"):  # of few runs
            if sections["run"][name] is not None:
                run[name] = sections["run"][name]
        return {
            "elbax": versions["elbax"],
            "schema": SCHEMA,
            "created": self.created,
            "command": self.command,
            "recipe": self.options.recipe,
            "model": sections["model"],
            "training": sections["training"],
            "data": {
                "argument": self.argument,
                "folder": self.folder,
                **sections["data"],
                "name": data.name,
                "kind": data.kind,
                "source": data.source,
                "shape": list(data.shape),
                "dtype": str(data.train.x.dtype),
                "table": tables.to_config(data),
                "scale": self.preprocessing.scale,
                "shift": self.preprocessing.shift,
                "rows": {
                    "train": data.training_rows,
                    "validation": len(data.validation),
                    "test": len(data.test),
                },
                "splits": data.splits,
                "fingerprint": data.fingerprint,
                "classes": self.classes,
                "label_names": list(data.label_names),
            },
            "run": run,
            "likelihood": {
                "name": self.likelihood.name,
                "options": option_tools.to_plain(dict(self.likelihood.options)),
                "reason": self.reason,
            },
            "iterations": self.iterations,
            **({} if self.horizon is None else {"horizon": self.horizon}),
            "parameters": parameters,
            "device": device,
            "versions": versions,
        }


def settle(data: Any, options: Options) -> Plan:
    """Settles a new run: reads the data, chooses the likelihood and checks what can be checked.

    Args:
        data: A name, a path, an array, or a `Dataset`.
        options: What was asked for.

    Raises:
        ValueError: Data or options that don't go together, in one line with the mend.
        FileNotFoundError: The data aren't there.
    """
    from elbax.recipes import parts

    asked = options.data.memory is not None
    options = dataclasses.replace(
        options, model=parts.settled(options.model), training=parts.settled(options.training)
    )
    checks.check_hidden(options)
    options = _with_memory(options)
    dataset = load(data, options)
    if dataset.stream is None and not asked:  # what fits says nothing of it
        options = dataclasses.replace(options, data=dataclasses.replace(options.data, memory=None))
    options = sizes.settle(options, dataset)
    likelihood, reason = choose(dataset, options)
    checks.check_fit(dataset, options, likelihood)
    checks.check_rows(dataset, options)
    argument = argument_of(data)
    return Plan(
        options,
        argument,
        dataset,
        likelihood,
        reason,
        _iterations(options, dataset.training_rows),
        datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        command(argument, options),
        _data_folder(),
    )


def _with_memory(options: Options) -> Options:
    """The options with the memory that the data may take: half of the machine's, if not asked."""
    machine = memory.of_machine()
    if options.data.memory is not None or machine is None:
        return options
    half = memory.words(machine // 2)
    return dataclasses.replace(options, data=dataclasses.replace(options.data, memory=half))


def choose(dataset: Dataset, options: Options) -> tuple[Choice, str]:
    """The likelihood, settled for these data, and the reason in one line.

    It is the one that was asked for, or else suits the data; and what of its options the data know
    better than a default does comes from them: how many levels there are, what columns are.

    Raises:
        ValueError: An unknown likelihood or option.
    """
    from elbax.data import choose_likelihood
    from elbax.recipes import parts

    choice, reason = options.model.likelihood, "as asked"
    if choice is None:
        name, reason = choose_likelihood(dataset, options.data.binarize)
        choice = Choice(name)
    elif dataset.columns:
        choice = Choice("mixed")
    if dataset.columns:
        kinds = ",".join(column.likelihood for column in dataset.columns)
        choice = choice.with_options({"columns": kinds, "rank": options.model.links})
    known = parts.find("likelihood", choice.name).options
    asked = dict(choice.options)
    if "levels" in known and "highest" in known and "highest" not in asked:
        choice = choice.with_options(_levels(dataset, options.data.binarize, asked.get("levels")))
    return parts.settle("likelihood", choice), reason


def _levels(dataset: Dataset, binarize: str, asked: int | None) -> dict[str, Any]:
    """How many levels the data have, and the number that the last one is."""
    if binarize != "none":
        return {"levels": asked or 2, "highest": 1.0}
    x = dataset.train.x
    if x.dtype == np.uint8 or dataset.scaling.levels:
        top = dataset.levels if x.dtype == np.uint8 else int(dataset.scaling.unit)
        return {"levels": asked or top + 1, "highest": 1.0}
    top = max(float(part.max(initial=0)) for part in _stored(dataset))
    if top <= 1.0 or not all((part == np.rint(part)).all() for part in _stored(dataset)):
        return {}  # shares of the brightest level, or what the check of the values will refuse
    levels = asked or int(top) + 1
    return {"levels": levels, "highest": levels - 1.0}


def _stored(dataset: Dataset) -> list[np.ndarray]:
    parts = [part.x for part in (dataset.train, dataset.validation, dataset.test)]
    return [x if x.dtype == np.uint8 else x[~np.isnan(x)] for x in parts]


def of_run(run: Run, *, iterations: int | None = None) -> Plan:
    """The plan of a run that exists, from its folder alone.

    Args:
        run: The run.
        iterations: Another length for the run, in steps in all.

    Raises:
        DataChanged: The data's fingerprint isn't the one in ``config.json``.
        ValueError: A damaged ``config.json``, or a length that the run's schedules do not reach, in
            one line.
    """
    config, options = run.config, run.options
    horizon = config.get("horizon")
    if iterations is not None:
        planned = horizon or config["iterations"]
        horizon = None
        if iterations != planned and options.training.has_horizon:
            checks.check_horizon(options.training, planned, iterations)
            horizon = planned
        training = dataclasses.replace(options.training, iterations=iterations, epochs=None)
        options = dataclasses.replace(options, training=training)
    argument = config["data"]["argument"]
    return Plan(
        options,
        argument,
        run.dataset,
        run.likelihood,
        config["likelihood"]["reason"],
        config["iterations"] if iterations is None else iterations,
        config["created"],
        config["command"] if iterations is None else command(argument, options),
        _data_folder() or config["data"].get("folder"),
        horizon=horizon,
        own_units="shift" in config["data"],
    )


def likelihood_of(config: Mapping[str, Any]) -> Choice:
    """The likelihood of a run, by its ``config.json``."""
    chosen = config["likelihood"]
    return Choice(chosen["name"]).with_options(chosen.get("options", {}))


def objective_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """All options of a run's objective by name, by its ``config.json``: defaults too."""
    from elbax.recipes import parts

    choice = Choice.of(config["training"]["objective"]) or Choice("elbo")
    return parts.find("objective", choice.name).complete(choice)


def options_of(config: Mapping[str, Any], path: Path) -> Options:
    """The options in a run's ``config.json``.

    Args:
        config: Its content.
        path: Where it stands, for the message.

    Raises:
        ValueError: It is damaged.
    """
    try:
        data = {
            field.name: config["data"].get(field.name, field.default)
            for field in dataclasses.fields(option_tools.DataOptions)
        }
        return Options(
            config["recipe"],
            option_tools.from_json(option_tools.ModelOptions, config["model"]),
            option_tools.from_json(option_tools.TrainingOptions, config["training"]),
            option_tools.from_json(option_tools.DataOptions, data),
            option_tools.from_json(option_tools.RunOptions, config["run"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({error})") from None


def load(
    data: Any,
    options: Options,
    *,
    check: bool = True,
    known: Mapping[str, str] | None = None,
) -> Dataset:
    """The data as the options want them read.

    Args:
        data: A name, a path, an array, a table, or a `Dataset`.
        options: Of the run.
        check: Whether to refuse what cannot be used (`elbax.data.load`).
        known: What columns are, by name, where the options do not say.
    """
    return checks.without_ends(_load(data, options, check, known or {}), options)


def _load(data: Any, options: Options, check: bool, known: Mapping[str, str]) -> Dataset:
    from elbax.data import Dataset
    from elbax.data import load as load_data
    from elbax.data.tables import parse_kinds

    if isinstance(data, Dataset):
        return data
    likelihood, limit = options.model.likelihood, options.data.memory
    return load_data(
        data,
        validation=options.data.validation,
        binarize=options.data.binarize,
        kinds={**known, **parse_kinds(options.data.columns)},
        labels=options.data.labels,
        constraints=options.data.constraint,
        # With options of its own it is of the array as a whole.
        likelihood=None if likelihood is None else str(likelihood),
        header=options.data.header,
        missing_values=options.data.missing_values,
        background=options.data.background,
        check=check,
        memory=None if limit is None else memory.parse(limit, "memory (--memory)"),
    )


def load_again(
    config: Mapping[str, Any], options: Options, data: Any = None, *, changed: bool = False
) -> Dataset:
    """The data that a run was trained on.

    Args:
        config: The run's ``config.json``.
        options: How to read them: the run's own options.
        data: The data, where they were an array in memory.
        changed: Whether the options were changed on purpose, so that the data may be others.

    Raises:
        DataChanged: They are no longer the same.
    """
    if data is None:
        data = config["data"]["argument"]
    if data is None:
        raise ValueError(
            "this run was trained on an array in memory: hand it over, as in resume(path, data=x)"
        )
    with looking_in(config["data"].get("folder")):
        dataset = load(data, options, known=tables.kinds_of(config, options.data.labels))
    if not changed and dataset.fingerprint != config["data"]["fingerprint"]:
        raise DataChanged(
            f"the data {data if isinstance(data, str) else 'handed over'} have changed since the "
            "run was trained (another SHA-256): bring the old ones back, or train a new run"
        )
    return dataset


def _data_folder() -> str | None:
    """Where named data were looked up first, so that a run can be resumed from its folder alone."""
    folder = os.environ.get(DATA_DIR_VARIABLE)
    return str(Path(folder).expanduser().absolute()) if folder else None


def argument_of(data: Any) -> str | None:
    """How the data can be asked for again: a name, an absolute path, or None for an array."""
    if is_url(data):
        return data
    if isinstance(data, Path) or (isinstance(data, str) and _is_path(data)):
        return str(Path(data).expanduser().absolute())
    return data if isinstance(data, str) else None


def command(argument: str | None, options: Options) -> str:
    """The command that repeats a run, without its --out."""
    import shlex

    base = recipes.find(options.recipe).options()
    words = ["elbax", "train", argument or "DATA"]
    if options.recipe != "vae":
        words += ["--recipe", options.recipe]
    for section in option_tools.SECTIONS:
        asked, default = getattr(options, section), getattr(base, section)
        for field in dataclasses.fields(asked):
            value = getattr(asked, field.name)
            flag = field.name.replace("_", "-")
            if value == getattr(default, field.name) or field.name in ("out", "force", "dry_run"):
                continue
            if isinstance(value, Choice):
                words += value.words(flag)
                continue
            if isinstance(value, bool):
                words.append(f"--{flag}" if value else f"--no-{flag}")
                continue
            if REPEATED in notes(hints(type(asked))[field.name]):
                for item in value:
                    words += [f"--{flag}", item]
                continue
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            words += [f"--{flag}", text]
    return shlex.join(words)


def _iterations(options: Options, rows: int) -> int:
    """Steps in all; an epoch is as many whole batches as the rows fill."""
    training = options.training
    if training.epochs is None:
        return training.iterations
    return training.epochs * (rows // training.batch_size)


def _is_path(data: str) -> bool:
    from elbax.data import available

    return data not in {entry.name for entry in available()}


def shape_in_words(shape: tuple[int, ...]) -> str:
    """A datum's shape as people write it: ``28 × 28``."""
    drop = shape[:-1] if len(shape) == 3 and shape[-1] == 1 else shape
    return " × ".join(map(str, drop))


def size_of(shape: tuple[int, ...]) -> int:
    """Numbers in one datum."""
    return math.prod(shape)


def is_grey(dataset: Dataset) -> bool:
    """Whether pixels lie between 0 and 1 (grey), rather than being 0 or 1."""
    x = dataset.train.x
    if x.dtype == np.uint8:
        return dataset.levels > 1
    return not bool(np.all((x == 0) | (x == 1) | np.isnan(x)))
