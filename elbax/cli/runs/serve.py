"""``elbax serve RUN [RUN …]``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from elbax.cli.parsing import POSITIONAL
from elbax.cli.runs import needed, opened, say
from elbax.recipes.convert import Bounds, Checked, Count, Positive


@dataclass(frozen=True)
class Arguments(Checked):
    """Answers requests over HTTP: encode, decode, reconstruct, sample, score, impute, info.

    A POST to /score with {"rows": [...]} is answered with how likely each row is; the page /docs
    says what else can be asked, in JSON, Arrow and (of images) PNG. Of several runs each has its
    own addresses, /NAME/score. What is answered is what the commands of these names write.
    Requests that come together are computed together. Where ELBAX_TOKEN is set, a request has to
    know it: Authorization: Bearer TOKEN. Needs the extra "serve": pip install 'elbax[serve]'.

    With --mcp the same verbs are tools of an assistant, over standard input and output, and nothing
    listens; that needs the extra "mcp".
    """

    runs: Annotated[tuple[Path, ...], POSITIONAL]
    """The folders of the runs."""
    host: str = "127.0.0.1"
    """The address to listen at; 0.0.0.0 listens to other machines too."""
    port: Annotated[int, Bounds(0, 65535)] = 8000
    """The port; 0 takes a free one."""
    mcp: bool = False
    """Be tools of an assistant (the Model Context Protocol) over standard input and output."""
    samples: Count = 1000
    """Draws of the latents for each row that is scored, as of `elbax score`."""
    draws: Count = 200
    """Draws for each row that is filled, as of `elbax impute`."""
    rows: Count = 10_000
    """Rows of one request, at most."""
    body: Positive = 16.0
    """Megabytes of one request, at most."""
    queue: Count = 20_000
    """Rows that may wait to be computed; requests beyond them are answered with 429."""
    seconds: Positive = 60.0
    """How long a request may take."""
    threads: Count = 1
    """Batches that are computed at a time."""


def main(arguments: Arguments) -> None:
    """Runs the command."""
    if not arguments.runs:
        raise ValueError("`elbax serve` needs RUN: the folder of a run; see `elbax serve --help`")
    extra = "mcp" if arguments.mcp else "serve"
    needed(extra, "mcp" if arguments.mcp else "fastapi", "uvicorn", "orjson", "prometheus_client")
    runs = [opened(path) for path in arguments.runs]
    from elbax.serve.limits import Limits

    limits = Limits(
        body=int(arguments.body * 1e6),
        rows=arguments.rows,
        queue=max(arguments.queue, arguments.rows),
        seconds=arguments.seconds,
        samples=arguments.samples,
        draws=arguments.draws,
    )
    if arguments.mcp:
        from elbax.serve.tools import serve as serve_tools

        serve_tools(runs, limits)
        return
    from elbax.serve.server import addresses, serve

    def ready(address: str) -> None:
        names = [run.path.resolve().name for run in runs]
        for name, own in zip(names, addresses(address, names), strict=True):
            print(f"{own}: {name}; {address}/docs says what can be asked", flush=True)

    serve(
        runs,
        limits,
        host=arguments.host,
        port=arguments.port,
        threads=arguments.threads,
        say=say,
        ready=ready,
    )
