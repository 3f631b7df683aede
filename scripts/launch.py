"""Starts N processes of a command on this machine, and ends all when one ends badly.

Each is told by its environment where the first listens, how many there are and which it is, and
gets its share of the cores. Their output is this one's; only the first process writes any.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

GRACE = 10.0  # seconds from the polite signal to the last one


def main(words: Sequence[str]) -> int:
    """Runs the command; the status of the first process that failed, or 0."""
    if len(words) < 2 or not words[0].isdigit() or int(words[0]) < 1:
        sys.stderr.write(
            "launch: give a number of processes and a command: launch 2 elbax train …\n"
        )
        return 2
    count, command = int(words[0]), list(words[1:])
    address = f"127.0.0.1:{_free_port()}"
    started = [_start(command, address, count, process) for process in range(count)]

    def pass_on(number: int, _frame: FrameType | None) -> None:
        for one in started:
            if one.poll() is None:
                one.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, pass_on)
    return _watch(started)


def _start(command: list[str], address: str, count: int, process: int) -> subprocess.Popen[bytes]:
    place = {
        "ELBAX_COORDINATOR": address,
        "ELBAX_PROCESSES": str(count),
        "ELBAX_PROCESS": str(process),
    }
    # In a group of its own: a Ctrl-C comes once, from here.
    try:
        one = subprocess.Popen(command, env={**os.environ, **place}, start_new_session=True)
    except OSError as error:
        sys.stderr.write(f"launch: {command[0]} cannot be started: {error.strerror}\n")
        raise SystemExit(2) from None
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(one.pid, _share(count, process))
    return one


def _share(count: int, process: int) -> set[int]:
    """The cores of a process; where there are fewer than processes they are shared."""
    cores = sorted(os.sched_getaffinity(0))
    return (
        set(cores[process % len(cores) :: count])
        if len(cores) < count
        else set(cores[process * len(cores) // count : (process + 1) * len(cores) // count])
    )


def _watch(started: list[subprocess.Popen[bytes]]) -> int:
    """Waits for all; once one has failed the others have a few seconds."""
    running = True
    while running:
        time.sleep(0.05)
        # A look at all before any is judged: one that is killed soon takes those with it that wait
        # for its word, and it is the one to name.
        statuses = [one.poll() for one in started]
        failed = {process: status for process, status in enumerate(statuses) if status}
        if failed:
            process = min(failed, key=lambda process: (failed[process] > 0, process))
            status = failed[process]
            sys.stderr.write(
                f"launch: process {process} of {len(started)} ended with {_words(status)}: the "
                "others are stopped\n"
            )
            _stop(started)
            return status if status > 0 else 128 - status
        running = None in statuses
    return 0


def _stop(started: list[subprocess.Popen[bytes]]) -> None:
    """A moment for each to say its own line, then SIGTERM, then SIGKILL."""
    for number in (None, signal.SIGTERM, signal.SIGKILL):
        for one in started:
            if number is not None and one.poll() is None:
                one.send_signal(number)
        end = time.monotonic() + GRACE
        while any(one.poll() is None for one in started) and time.monotonic() < end:
            time.sleep(0.05)


def _words(status: int) -> str:
    return f"status {status}" if status > 0 else signal.Signals(-status).name


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
