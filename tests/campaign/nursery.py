"""A process that has imported all and computed nothing, and forks a child for each command.

A child is a process of its own, to be killed, that need not start Python and import jax first.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
from typing import Any

Fault = dict[str, Any]
_OVERRIDES = (1 << 1) | (1 << 2)  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH


def _break(fault: Fault) -> None:
    """Prepares what is to happen to this process.

    {"call": "replace", "nth": 3}: it is killed before the third call of `os.replace`; with "after":
    just after it; with "errno" the call fails. {"slow": 0.1}: calls of the disk wait so long.
    {"limit": 1000}: no file grows beyond so many bytes. {"bound": true}: modes of files hold for
    root too. {"back": 3600, "at": 0.5}: what Python takes for the time goes back so many seconds.
    """
    if "call" in fault:
        _at_call(fault)
    if "slow" in fault:
        for name in ("replace", "fsync", "rename", "mkdir", "open", "unlink"):
            _slowed(name, fault["slow"])
    if "limit" in fault:
        resource.setrlimit(resource.RLIMIT_FSIZE, (fault["limit"], fault["limit"]))
    if fault.get("bound"):
        bind()
    if "back" in fault:
        _set_back(time.monotonic() + fault["at"], fault["back"])


def _at_call(fault: Fault) -> None:
    name, real, left = fault["call"], getattr(os, fault["call"]), [fault["nth"]]

    def call(*arguments: Any, **named: Any) -> Any:
        left[0] -= 1
        if left[0] == 0 and "errno" in fault:
            raise OSError(fault["errno"], os.strerror(fault["errno"]))
        if left[0] == 0 and fault.get("after"):
            real(*arguments, **named)
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **named)

    setattr(os, name, call)


def _slowed(name: str, seconds: float) -> None:
    real = getattr(os, name)

    def call(*arguments: Any, **named: Any) -> Any:
        time.sleep(seconds)
        return real(*arguments, **named)

    setattr(os, name, call)


def bind() -> None:
    """Lets the modes of files hold for this process, though it be root's."""
    libc, header = ctypes.CDLL(None, use_errno=True), (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted and inheritable, twice 32 bits
    if libc.capget(header, sets) == 0:
        sets[0], sets[1] = sets[0] & ~_OVERRIDES, sets[1] & ~_OVERRIDES
        libc.capset(header, sets)


def _set_back(at: float, seconds: float) -> None:
    real, real_ns = time.time, time.time_ns

    def back() -> float:
        return seconds if time.monotonic() >= at else 0

    time.time = lambda: real() - back()
    time.time_ns = lambda: real_ns() - int(1e9 * back())


def _child(asked: dict[str, Any], words: list[str], suffix: str) -> None:
    """Runs the command, and ends this process."""
    os.setsid()
    for number, name in ((1, "out"), (2, "err")):
        path = asked[name] + suffix
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(asked["folder"])
    status: Any = 70
    try:
        _break(asked["fault"])
        from elbax.cli import main

        sys.argv = ["elbax", *words]
        status = main()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(status)


def _forked(asked: dict[str, Any], words: list[str], suffix: str = "") -> int:
    child = os.fork()
    if child == 0:
        _child(asked, words, suffix)
    return child


def _watched(asked: dict[str, Any]) -> tuple[int, int | None]:
    """Starts the command and does to it what was asked for; its status, negative for a signal.

    {"signals": [[9, 0.5]]} are sent to it, {"acts": [[0.5, ["rm", "-r", "run"]]]} are done beside
    it, {"second": ["resume", "run"], "at": 0.5} is begun beside it: its status is the other.
    """
    fault, folder = asked["fault"], asked["folder"]
    signals, acts = list(fault.get("signals", [])), list(fault.get("acts", []))
    child, other = _forked(asked, asked["words"]), None
    started = time.monotonic()
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        now = time.monotonic() - started
        if done:
            return os.waitstatus_to_exitcode(status), None if other is None else _status(other)
        if "second" in fault and other is None and now >= fault["at"]:
            other = _forked(asked, fault["second"], "2")
        if signals and now >= signals[0][1]:
            os.kill(child, signals.pop(0)[0])
        if acts and now >= acts[0][0]:
            subprocess.run(acts.pop(0)[1], cwd=folder, stderr=subprocess.DEVNULL, check=False)
        if now > asked["seconds"]:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return 124, None
        time.sleep(0.002)


def _status(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    """Answers on standard output, a line of JSON for each line of it."""
    import jax
    import orbax.checkpoint  # noqa: F401

    import elbax.estimators.vae
    import elbax.figures
    import elbax.report.illustrate
    import elbax.run.training
    import elbax.train.checkpoint
    import elbax.workflow  # noqa: F401

    jax.config.update("jax_platforms", "cpu")
    for line in sys.stdin:
        asked = json.loads(line)
        started = time.monotonic()
        status, second = _watched(asked)
        took = time.monotonic() - started
        print(json.dumps({"status": status, "second": second, "seconds": took}), flush=True)


if __name__ == "__main__":
    main()
