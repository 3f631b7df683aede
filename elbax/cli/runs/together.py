"""The flags of a command that several processes run together."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from elbax.recipes.convert import Checked, Count, Whole, convert, flags, hints
from elbax.run import folder
from elbax.util import environment
from elbax.util import processes as others

if TYPE_CHECKING:
    from elbax.run.run import Run


@dataclass(frozen=True)
class ProcessesOptions(Checked):
    """Several processes that work on one model; each gives its words, and the first writes."""

    distributed: bool = False
    """Work with the other processes of this Slurm, Kubernetes, Open MPI or TPU job."""
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
    own = {
        name: convert(known[name], given.pop(name), flags(name)) for name in known if name in given
    }
    return ProcessesOptions(**own)


def first() -> bool:
    """Whether this process is the one that prints."""
    return others.index() == 0


@contextlib.contextmanager
def sharing_rows(
    run: Run, devices: int | None, words: Mapping[str, Any], data: Callable[[], str]
) -> Iterator[bool]:
    """The block's rows are shared out among the devices of all processes, which have joined.

    Args:
        run: What is measured.
        devices: How many of each process; None: one, and where there are several processes all.
        words: The words of the command.
        data: Tells the data by their content. They, the run and the words are to be the same in
            all processes.

    Yields:
        Whether this process is the one that writes.

    Raises:
        LayoutError: There are not so many devices.
        ProcessError: The processes differ.
    """
    import hashlib

    from elbax.evaluate.tiles import spread_over
    from elbax.util.layout import Layout

    if others.called():
        given = {name: value for name, value in words.items() if name != "processes"}
        others.check_same(
            {
                "parameters": hashlib.sha256((run / folder.MODEL).read_bytes()).hexdigest(),
                "data": data(),
                "options": repr(given),
                "versions": repr(environment.versions()),
            }
        )
    with spread_over(Layout.of(devices, platform=run.config["run"]["device"])):
        yield first()
    if others.called():
        others.leave("done")
