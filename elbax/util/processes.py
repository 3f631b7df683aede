"""The processes that train one model together, and this one's place among them.

`jax.distributed` finds Slurm, Kubernetes, Open MPI and TPU pods by itself; elsewhere the address of
the first process is given, by flags or by what `scripts/launch` sets in the environment.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping

VARIABLES = ("ELBAX_COORDINATOR", "ELBAX_PROCESSES", "ELBAX_PROCESS")
"""What `scripts/launch` sets: HOST:PORT of the first process, how many there are, which this is."""

_BEAT = 20  # seconds without a sign of life before a process counts as dead
_JOIN = 60  # seconds that the others may take to start
_LONG = 7 * 24 * 3600  # seconds that the others wait for the first to measure and to write


class ProcessError(ValueError):
    """Processes that do not find each other, or are not of one mind: one line."""


class LostProcess(RuntimeError):
    """Another process has ended, or can no longer be reached: one line."""


def launched() -> bool:
    """Whether `scripts/launch` started this process."""
    return any(name in os.environ for name in VARIABLES)


def join(
    coordinator: str | None = None, processes: int | None = None, process: int | None = None
) -> None:
    """Joins the other processes; to be called before anything is computed.

    Args:
        coordinator: HOST:PORT where the first process listens; None: as the environment says.
        processes: How many there are; likewise.
        process: Which one this is, from 0; likewise.

    Raises:
        ProcessError: What is given is no such thing, or they did not find each other in a minute.
    """
    coordinator = coordinator or os.environ.get(VARIABLES[0])
    processes = _number(processes, VARIABLES[1])
    process = _number(process, VARIABLES[2])
    given = [value is not None for value in (coordinator, processes, process)]
    if any(given) and not all(given):
        raise ProcessError(
            "--coordinator HOST:PORT, --processes P and --process I go together: give all three, "
            "or none where Slurm, Kubernetes, Open MPI or a TPU pod says them"
        )
    if processes is not None and process is not None and not 0 <= process < processes:
        raise ProcessError(
            f"process (--process) is {process}, and --processes {processes}: give 0 to "
            f"{processes - 1}"
        )
    if coordinator is not None and not _is_address(coordinator):
        raise ProcessError(f"coordinator (--coordinator) is {coordinator!r}: give HOST:PORT")
    os.environ.setdefault("JAX_CPU_COLLECTIVES_IMPLEMENTATION", "gloo")
    import jax

    try:
        jax.distributed.initialize(
            coordinator,
            processes,
            process,
            initialization_timeout=_JOIN,
            heartbeat_timeout_seconds=_BEAT,
            shutdown_timeout_seconds=_JOIN,
        )
    except (RuntimeError, ValueError) as error:
        name = "this process" if process is None else f"process {process}"
        where = f" at {coordinator}" if coordinator else ""
        raise ProcessError(
            f"{name} did not find the {processes or 'other'} processes{where} within {_JOIN} s: is "
            "the port free, and do all have the same --coordinator and --processes, each its own "
            f"--process? ({_first_line(error)})"
        ) from None
    _keep_stdout_for_results(first=jax.process_index() == 0)


def index() -> int:
    """Which process this is: 0 writes and prints. 0 too where there is one."""
    jax = sys.modules.get("jax")
    return 0 if jax is None or not jax.distributed.is_initialized() else jax.process_index()


def called() -> str:
    """``process 1 of 2: ``; nothing where there is one."""
    jax = sys.modules.get("jax")
    if jax is None or not jax.distributed.is_initialized():
        return ""
    return f"process {jax.process_index()} of {jax.process_count()}: "


def check_same(what: Mapping[str, str]) -> None:
    """Refuses processes that differ from the first.

    Args:
        what: By a name for people, a word that must be the same in all.

    Raises:
        ProcessError: One differs: which, and in what.
    """
    import hashlib

    import jax
    import numpy as np
    from jax.experimental import multihost_utils

    if jax.process_count() == 1:
        return
    own = [np.frombuffer(hashlib.sha256(one.encode()).digest(), np.uint8) for one in what.values()]
    found = np.asarray(multihost_utils.process_allgather(np.stack(own)))
    for place, name in enumerate(what):
        others = [i for i in range(len(found)) if (found[i, place] != found[0, place]).any()]
        if others:
            raise ProcessError(
                f"process {others[0]} has other {name} than process 0: give all the same"
            )


def leave(name: str) -> None:
    """Waits for all processes: the others for the first, while it measures and writes."""
    import jax

    if jax.process_count() > 1:
        from orbax.checkpoint import multihost

        multihost.sync_global_processes(f"elbax {name}", timeout=_LONG)


def give_up(status: int) -> None:
    """Ends this process at once: the others, who may wait for it, are told by its silence.

    (The usual end waits for all to come to theirs.)
    """
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def _keep_stdout_for_results(*, first: bool) -> None:
    """Leaves standard output to the first process, and in it to Python alone.

    Gloo prints there, from C, how many it is connected to, whenever it connects; no setting
    silences it.
    """
    sys.stdout.flush()
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        if first:
            sys.stdout = os.fdopen(
                os.dup(1), "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors
            )
        os.dup2(nothing, 1)
    except OSError:  # it is closed: nobody is to be spared anything
        pass
    finally:
        os.close(nothing)


def _number(given: int | None, variable: str) -> int | None:
    if given is not None or variable not in os.environ:
        return given
    try:
        return int(os.environ[variable])
    except ValueError:
        raise ProcessError(f"{variable} is {os.environ[variable]!r}: give a whole number") from None


def _is_address(text: str) -> bool:
    host, colon, port = text.rpartition(":")
    return bool(host) and colon == ":" and port.isdigit() and 0 < int(port) < 65536


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
