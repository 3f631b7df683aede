"""A server from its first line to its last: it listens, compiles, answers, and stops gracefully."""

# pyright: reportMissingImports=false
# (Packages of an extra, which not every checkout has.)

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

import uvicorn

from elbax.run.signals import SignalWatch
from elbax.serve.app import create
from elbax.serve.metrics import Metrics
from elbax.serve.service import Service, prefix

if TYPE_CHECKING:
    from elbax.run.run import Run
    from elbax.serve.gate import Gate
    from elbax.serve.limits import Limits

TOKEN = "ELBAX_TOKEN"
"""The variable of the environment with what a request has to know."""

_LINGER = 0.5  # seconds in which a stopping server still says so to who comes
_TICK = 0.05  # seconds
_BACKLOG = 2048  # connections that wait to be taken


def serve(
    runs: Sequence[Run],
    limits: Limits,
    *,
    host: str,
    port: int,
    threads: int,
    say: Callable[[str], None],
    ready: Callable[[str], None],
) -> None:
    """Serves runs until SIGTERM or Ctrl-C.

    It answers ``/healthz`` at once, and all else when the programs are compiled. Told to stop, it
    turns new requests away with 503 and ends when those that it had taken are answered; told twice,
    at once.

    Args:
        runs: The runs.
        limits: How much work is taken on.
        host: The address to listen at.
        port: The port; 0 takes a free one.
        threads: How many batches are computed at a time.
        say: Is told what goes on.
        ready: Is told the address, once requests are answered.

    Raises:
        ValueError: The token is empty, the address cannot be listened at, or a run cannot be
            served; one line.
    """
    token = token_of(os.environ)
    metrics = Metrics()
    service = Service(runs, limits, threads=threads, observe=metrics.batch)
    gate = create(service, metrics, version=version("elbax"), token=token)
    listener = _listening(host, port)
    address = _address(host, listener.getsockname()[1])
    if token is None and not _is_own(host):
        say(f"note    everybody who reaches {address} is answered: {TOKEN} sets a token")
    server = uvicorn.Server(
        uvicorn.Config(
            gate,
            lifespan="off",
            ws="none",
            log_level="warning",
            access_log=False,
            server_header=False,
            backlog=_BACKLOG,
            timeout_keep_alive=60,
        )
    )
    # Not in the main thread, where uvicorn would take the signals: it drops who waits to be taken.
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    with SignalWatch() as watch:
        thread.start()
        try:
            service.warm(say)
            watch.defer = True
            ready(address)
            while watch.received is None and thread.is_alive():
                time.sleep(_TICK)
            say("stopping: what was taken is answered")
        finally:
            _stop(server, gate, thread, limits.seconds)
            service.close()


def token_of(environment: os._Environ[str] | dict[str, str]) -> str | None:
    """What a request has to know; None where nothing is asked for.

    Raises:
        ValueError: The variable is set, and empty.
    """
    token = environment.get(TOKEN)
    if token is not None and not token.strip():
        raise ValueError(f"{TOKEN} is set, and empty: give it a token, or unset it")
    return None if token is None else token.strip()


def addresses(address: str, names: Sequence[str]) -> list[str]:
    """Where each run is asked."""
    return [address if len(names) == 1 else address + prefix(name) for name in names]


def _stop(server: uvicorn.Server, gate: Gate, thread: threading.Thread, seconds: float) -> None:
    """Turns new requests away, waits for those inside, and ends the thread."""
    gate.stopping = True
    began = time.monotonic()
    while time.monotonic() < began + _LINGER or gate.inside:
        if time.monotonic() > began + seconds + 1.0 or not thread.is_alive():
            break
        time.sleep(_TICK)
    server.should_exit = True
    thread.join(timeout=10.0)


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        ValueError: It cannot; one line with the mend.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ValueError(
            f"cannot listen at {host} (--host), port {port} (--port): {why}; give another port, or "
            "0 for a free one"
        ) from None


def _address(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _is_own(host: str) -> bool:
    """Whether only this machine reaches an address."""
    return host in ("localhost", "::1") or host.startswith("127.")
