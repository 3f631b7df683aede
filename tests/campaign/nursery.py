"""A process that has imported all and computed nothing, and forks a child for each command.

A child is a process of its own, to be killed, that need not start Python and import jax first.
"""

import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Fault = dict[str, Any]


def _break(fault: Fault, folder: Path) -> None:
    """Prepares what is to happen to this process.

    {"call": "replace", "nth": 3}: it is killed before the third call of `os.replace`; with "after":
    just after it; with "errno" the call fails. {"remove": "run", "at": 0.5}: the folder goes.
    """
    if "call" in fault:
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
    if "remove" in fault:
        _later(fault["at"], lambda: shutil.rmtree(folder / fault["remove"], ignore_errors=True))
    if "rename" in fault:
        _later(fault["at"], lambda: _renamed(folder / fault["rename"]))


def _renamed(path: Path) -> None:
    if path.exists():
        path.rename(path.with_name(f"{path.name}-moved"))


def _later(seconds: float, action: Callable[[], None]) -> None:
    threading.Timer(seconds, action).start()


def _child(asked: dict[str, Any]) -> None:
    """Runs the command, and ends this process."""
    os.setsid()
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(asked[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(asked["folder"])
    status: Any = 70
    try:
        _break(asked["fault"] or {}, Path(asked["folder"]))
        from elbax.cli import main

        status = main(asked["words"])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _watched(child: int, fault: Fault, seconds: float) -> int:
    """Sends the signals that were asked for; the exit status, negative for a signal."""
    started, signals = time.monotonic(), list(fault.get("signals", []))
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        now = time.monotonic() - started
        if signals and now >= signals[0][1]:
            os.kill(child, signals.pop(0)[0])
        if now > seconds:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return 124
        time.sleep(0.002)


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
        child = os.fork()
        if child == 0:
            _child(asked)
        status = _watched(child, asked["fault"] or {}, asked["seconds"])
        took = time.monotonic() - started
        print(json.dumps({"status": status, "seconds": took}), flush=True)


if __name__ == "__main__":
    main()
