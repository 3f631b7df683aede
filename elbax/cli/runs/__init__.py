"""The commands that make a run, or take one: each file is one command."""

import sys
from collections.abc import Iterable
from pathlib import Path

from elbax.run.run import Run
from elbax.util import environment


def opened(path: Path) -> Run:
    """The run that a command names, with the environment made ready for its device."""
    run = Run(path)
    environment.prepare(run.config["run"]["device"])
    return run


def needed(extra: str, *modules: str) -> None:
    """Refuses a command whose packages are not installed.

    Args:
        extra: What installs them.
        modules: What they are imported as.

    Raises:
        ValueError: One is missing; one line with the mend.
    """
    from importlib.util import find_spec

    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise ValueError(
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed, which "
            f"this needs: pip install 'elbax[{extra}]'"
        )


def note(lines: Iterable[str]) -> None:
    """What was noticed when other data were read, on standard error."""
    for line in lines:
        say(f"note    {line}")


def say(line: str) -> None:
    """A line of progress, on standard error."""
    print(line, file=sys.stderr, flush=True)
