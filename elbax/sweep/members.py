"""The runs of a sweep: settled on the same data, and gathered into those that train abreast."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elbax.model.serialise import read_metadata
from elbax.recipes import options as option_tools
from elbax.recipes import parts
from elbax.recipes.options import Options
from elbax.run import folder, settle
from elbax.run.run import LAST_GOOD, Run
from elbax.run.settle import Plan
from elbax.util import sizes as memory


@dataclass(frozen=True, eq=False)
class Member:
    """One run of a sweep.

    Attributes:
        name: The last name of its folder.
        changes: The options that are its own, by name.
        plan: The run, settled.
        run: Its folder.
    """

    name: str
    changes: Mapping[str, Any]
    plan: Plan
    run: Run

    @property
    def status(self) -> str:
        """One of "finished", "diverged" and "waiting"."""
        if self.run.finished():
            return "finished"
        path = self.run / folder.MODEL
        if path.exists() and read_metadata(path).get("which") == LAST_GOOD:
            return "diverged"
        return "waiting"


def settled(
    data: Any, base: Options, runs: Mapping[str, Mapping[str, Any]], out: Path
) -> list[Member]:
    """The runs of a sweep; the data are read once.

    Args:
        data: A name, a path, an array, or a `Dataset`.
        base: The options of all.
        runs: Those of each that are its own.
        out: The sweep's folder.

    Raises:
        ValueError: Options that don't go together, or with the data, of one run: its name too.
        FileNotFoundError: The data aren't there.
    """
    first: Plan | None = None
    found = []
    for name, changes in runs.items():
        try:
            options = option_tools.replace(base, changes)
            plan = settle.settle(data if first is None else first.dataset, options)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        if plan.dataset.stream is not None:
            raise ValueError(
                f"{plan.dataset.name} takes more than {memory.words(plan.dataset.stream.memory)}, "
                "and a sweep trains on data in memory: give more --memory, or fewer rows"
            )
        first = first or plan
        plan = dataclasses.replace(
            plan,
            argument=first.argument,
            folder=first.folder,
            command=settle.command(first.argument, plan.options),
        )
        found.append(Member(name, changes, plan, _run(out / name, data, plan)))
    return found


def opened(out: Path, runs: Mapping[str, Mapping[str, Any]], data: Any = None) -> list[Member]:
    """The runs of a sweep that was begun, from their folders; the data are read once.

    Raises:
        RunFolderError: (a ValueError) one is missing.
        DataChanged: (a ValueError) the data are others.
    """
    found: list[Member] = []
    for name, changes in runs.items():
        run = Run(out / name, data)
        if found:
            first = found[0].plan.dataset
            if run.config["data"]["fingerprint"] == first.fingerprint:
                run = run.replace(dataset=first)
        plan = settle.of_run(run)
        found.append(Member(name, changes, plan, _run(out / name, data, plan)))
    return found


def _run(path: Path, data: Any, plan: Plan) -> Run:
    own = None if isinstance(data, str | Path) else data
    return Run(path, own, dataset=plan.dataset)


def gathered(members: Iterable[Member], most: int) -> list[list[Member]]:
    """Members that may train abreast, as far as their options tell, in the order they come.

    Args:
        members: Those of a sweep.
        most: How many may be in one program.
    """
    groups: dict[str, list[Member]] = {}
    for member in members:
        groups.setdefault(_shape(member.plan), []).append(member)
    return [
        group[start : start + most]
        for group in groups.values()
        for start in range(0, len(group), most)
    ]


def _shape(plan: Plan) -> str:
    """All options but those that only make numbers of a program: seed, rate, the objective's."""
    model = option_tools.to_json(plan.options.model)
    training = option_tools.to_json(plan.options.training)
    del training["learning_rate"], training["checkpoint_seconds"]
    objective = plan.options.training.objective
    known = parts.find("objective", objective.name).complete(objective)
    training["objective"] = [
        objective.name,
        {name: value for name, value in known.items() if not _is_number(value)},
    ]
    # Which rows show their labels follows from the seed: such runs have other data.
    own_data = plan.options.data.labelled is not None
    seed = plan.options.run.seed if own_data else None
    return json.dumps(
        [model, training, plan.iterations, plan.horizon, seed], sort_keys=True, default=str
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, float)


def names(group: Sequence[Member]) -> str:
    """What a group is called, for people."""
    rest = f" and {len(group) - 1} more" if len(group) > 1 else ""
    return f"{group[0].name}{rest}"
