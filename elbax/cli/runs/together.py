"""The flags of a command that several processes run together."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from elbax.recipes.convert import Checked, Count, Whole, convert, flags, hints
from elbax.util import processes as others


@dataclass(frozen=True)
class ProcessesOptions(Checked):
    """Several processes that train one model; each gives its words, and the first writes."""

    distributed: bool = False
    """Train with the other processes of this Slurm, Kubernetes, Open MPI or TPU job."""
    coordinator: str | None = None
    """HOST:PORT where process 0 listens, where no such job says it."""
    processes: Count | None = None
    """How many processes there are."""
    process: Whole | None = None
    """Which of them this is, from 0."""

    def join(self) -> None:
        """Joins the others, where any of it is given or `scripts/launch` has started them.

        Raises:
            ProcessError: They did not find each other.
        """
        given = (self.coordinator, self.processes, self.process)
        if self.distributed or others.launched() or any(one is not None for one in given):
            others.join(*given)


def taken_from(given: MutableMapping[str, Any]) -> ProcessesOptions:
    """These options, taken out of what was typed."""
    known = hints(ProcessesOptions)
    own = {name: convert(known[name], given.pop(name), flags(name)) for name in known if name in given}
    return ProcessesOptions(**own)


def first() -> bool:
    """Whether this process is the one that prints."""
    return others.index() == 0
