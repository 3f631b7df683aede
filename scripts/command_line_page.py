"""docs/command-line.md: what `elbax COMMAND --help` says of each command."""

import contextlib
import io
import os
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "command-line.md"
WIDTH = 100

_HEAD = """# The command line

What `elbax COMMAND --help` says. This page is written by `scripts/docs`.

Results go to standard output (with `--json`, exactly one JSON object), progress to standard error.
The exit status is 0 where all was done, 1 where the work failed, 2 where the words or the input
were wrong, with one line that says what, where and the mend; 130 after Ctrl-C, 143 after SIGTERM.
Options of training come from the recipe, then from a TOML file (`--config`), then from flags; later
ones win.
"""


def page() -> str:
    """The page as the commands make it."""
    from elbax.cli.main import COMMANDS

    parts = [_HEAD, *(_section(name, what) for name, (_, what) in COMMANDS.items())]
    return "\n".join(parts)


def _section(name: str, what: str) -> str:
    return f"## elbax {name}\n\n{what[:1].upper()}{what[1:]}.\n\n```text\n{_help(name)}\n```\n"


def _help(name: str) -> str:
    from elbax.cli import main

    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.suppress(SystemExit):
        main([name, "--help"])
    return "\n".join(line.rstrip() for line in said.getvalue().strip().splitlines())


if __name__ == "__main__":
    os.environ["COLUMNS"] = str(WIDTH)
    os.environ["NO_COLOR"] = "1"
    PAGE.write_text(page(), encoding="utf-8")
