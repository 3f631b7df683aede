"""What a run will do, settled before anything is written: data, likelihood, sizes."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from elbax import recipes
from elbax.app import tables
from elbax.app.run_directory import SCHEMA, RunDirectory
from elbax.data.named import DATA_DIR_VARIABLE
from elbax.recipes import options as option_tools
from elbax.recipes.options import Options

if TYPE_CHECKING:
    from elbax.data import Dataset


class DataChanged(ValueError):
    """The data are not those that the run was trained on: one line."""


@dataclass(frozen=True)
class Plan:
    """A run, settled.

    Attributes:
        options: What was asked for.
        argument: The data's name or absolute path; None for an array in memory.
        dataset: The data.
        likelihood: The family of p(x|z).
        reason: Why that one.
        iterations: Steps in all.
        created: When the run was begun, ISO 8601.
        command: The command that repeats it.
        folder: Where named data are looked up first; None where only the user's cache counts.
    """

    options: Options
    argument: str | None
    dataset: Dataset
    likelihood: str
    reason: str
    iterations: int
    created: str
    command: str
    folder: str | None = None

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
                "scale": data.scale,
                "rows": {
                    "train": len(data.train),
                    "validation": len(data.validation),
                    "test": len(data.test),
                },
                "splits": data.splits,
                "fingerprint": data.fingerprint,
            },
            "run": run,
            "likelihood": {"name": self.likelihood, "reason": self.reason},
            "iterations": self.iterations,
            "parameters": parameters,
            "device": device,
            "versions": versions,
        }


def make(data: Any, options: Options) -> Plan:
    """Settles a new run: reads the data, chooses the likelihood and checks what can be checked.

    Args:
        data: A name, a path, an array, or a `Dataset`.
        options: What was asked for.

    Raises:
        ValueError: Data or options that don't go together, in one line with the mend.
        FileNotFoundError: The data aren't there.
    """
    from elbax.data import check_support, choose_likelihood

    dataset = load(data, options)
    options = tables.settle(options, dataset)
    likelihood, reason = options.model.likelihood, "as asked"
    if likelihood is None:
        likelihood, reason = choose_likelihood(dataset, options.data.binarize)
    check_support(dataset, likelihood)
    rows, batch = len(dataset.train), options.training.batch_size
    if batch > rows:
        raise ValueError(
            f"batch_size (--batch-size) is {batch}, and there are {rows} rows to train on: "
            f"give at most {rows}"
        )
    if options.training.patience is not None and len(dataset.validation) == 0:
        raise ValueError("patience (--patience) needs validation rows: give --validation N, N > 0")
    argument = argument_of(data)
    return Plan(
        options,
        argument,
        dataset,
        likelihood,
        reason,
        _iterations(options, rows),
        datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        command(argument, options),
        _data_folder(),
    )


def from_config(
    directory: RunDirectory, *, data: Any = None, iterations: int | None = None
) -> Plan:
    """The plan of a run that exists, from its folder alone.

    Args:
        directory: The run's folder.
        data: The data, where the run was trained on an array in memory.
        iterations: Another length for the run, in steps in all.

    Raises:
        DataChanged: The data's fingerprint isn't the one in ``config.json``.
        ValueError: A damaged ``config.json``, in one line.
    """
    config = directory.config()
    options = read_options(directory, config)
    if iterations is not None:
        training = dataclasses.replace(options.training, iterations=iterations, epochs=None)
        options = dataclasses.replace(options, training=training)
    dataset = load_again(config, options, data)
    return Plan(
        options,
        config["data"]["argument"],
        dataset,
        config["likelihood"]["name"],
        config["likelihood"]["reason"],
        config["iterations"] if iterations is None else iterations,
        config["created"],
        config["command"] if iterations is None else command(config["data"]["argument"], options),
        _data_folder() or config["data"].get("folder"),
    )


def read_options(directory: RunDirectory, config: dict[str, Any]) -> Options:
    """The options in a run's ``config.json``.

    Raises:
        ValueError: It is damaged.
    """
    try:
        asked = ("binarize", "validation", "columns", "labels")
        data = {name: config["data"].get(name) for name in asked}
        return Options(
            config["recipe"],
            option_tools.from_json(option_tools.ModelOptions, config["model"]),
            option_tools.from_json(option_tools.TrainingOptions, config["training"]),
            option_tools.from_json(option_tools.DataOptions, data),
            option_tools.from_json(option_tools.RunOptions, config["run"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{directory / 'config.json'} is damaged ({error})") from None


def load(data: Any, options: Options) -> Dataset:
    """The data as the options want them read."""
    from elbax.data import Dataset
    from elbax.data import load as load_data
    from elbax.data.tables import parse_kinds

    if isinstance(data, Dataset):
        return data
    return load_data(
        data,
        validation=options.data.validation,
        binarize=options.data.binarize,
        kinds=parse_kinds(options.data.columns),
        labels=options.data.labels,
    )


def load_again(
    config: dict[str, Any], options: Options, data: Any = None, *, changed: bool = False
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
    with _looking_in(config["data"].get("folder")):
        dataset = load(data, options)
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


@contextlib.contextmanager
def _looking_in(folder: str | None) -> Iterator[None]:
    """Looks named data up in the folder that a run recorded, unless the environment names one."""
    if folder is None or os.environ.get(DATA_DIR_VARIABLE):
        yield
        return
    os.environ[DATA_DIR_VARIABLE] = folder
    try:
        yield
    finally:
        del os.environ[DATA_DIR_VARIABLE]


def argument_of(data: Any) -> str | None:
    """How the data can be asked for again: a name, an absolute path, or None for an array."""
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
            if value == getattr(default, field.name) or field.name in ("out", "force", "dry_run"):
                continue
            flag = field.name.replace("_", "-")
            if isinstance(value, bool):
                words.append(f"--{flag}" if value else f"--no-{flag}")
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
    return not bool(np.all((x == 0) | (x == 1)))
