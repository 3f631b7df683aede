"""A process that does one thing after another, so that a trial does not cost a start.

It is held to so much memory, and killed and started anew where a thing takes too long; what it dies
of is an answer too.

A limit of the address space ends what asks for more. Threads and XLA take more of that than they
use: for what computes the limit is wider, and what a thing made resident is measured (Linux).
"""

import contextlib
import importlib
import io
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

MEMORY = 2 * 10**9  # bytes that a thing may take, beside what the process held before
SECONDS = 240.0  # a bound, not a measure: the machine may be busy
CALLS = 200  # of one process: programs that it has compiled stay in its memory


class Worker:
    """Calls functions of this package in another process; a context manager."""

    def __init__(
        self, environment: Mapping[str, str] | None = None, *, address_space: int = MEMORY
    ) -> None:
        """Starts nothing yet.

        Args:
            environment: What differs from this process's environment.
            address_space: Bytes of it that may be taken beside what jax itself takes.
        """
        self._address_space = address_space
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._calls = 0
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process

    def __enter__(self) -> "Worker":  # noqa: PYI034 (beartype cannot read Self here)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()
        self._said.close()

    def call(self, function: str, *arguments: Any, seconds: float = SECONDS) -> dict[str, Any]:
        """What `module:function` of this package gives for arguments that JSON can say.

        Returns:
            Its result; or {"died": how} where the process did not live to say it.
        """
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps([function, arguments]).encode() + b"\n")
        process.stdin.flush()
        end, answer = time.monotonic() + seconds, b""
        while not answer.endswith(b"\n"):
            if not select.select([process.stdout], [], [], max(0.0, end - time.monotonic()))[0]:
                self._end()
                return {"died": f"no answer in {seconds:.0f} s"}
            piece = os.read(process.stdout.fileno(), 1 << 16)
            if not piece:
                status = process.wait()
                self._end()
                return {"died": f"exit status {status}: {self._last_words()}"}
            answer += piece
        return json.loads(answer)

    def _started(self) -> subprocess.Popen[bytes]:
        self._calls += 1
        if self._calls % CALLS == 0:
            self._end()
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.campaign.worker", str(self._address_space)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                # What glibc sets aside for each thread would count as taken.
                env={**self._environment, "MALLOC_ARENA_MAX": "2"},
            )
        return self._process

    def _last_words(self) -> str:
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "no word"

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def command(words: list[str], folder: str) -> dict[str, Any]:
    """A command of elbax in this process: its status, and what it printed."""
    from elbax.cli import main

    out, err, before = io.StringIO(), io.StringIO(), Path.cwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(words)
    except SystemExit as stop:
        status = stop.code
    finally:
        os.chdir(before)
    return {"status": status, "out": out.getvalue(), "err": err.getvalue()}


def _limit_memory(address_space: int) -> None:
    import resource

    import jax

    jax.numpy.zeros(1).block_until_ready()  # its threads take address space once
    held = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_DATA, (held + address_space, held + address_space))


def _resident(kind: str) -> int:
    """Bytes of memory that are resident ("VmRSS"), or were at most ("VmHWM")."""
    (line,) = (x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(kind))
    return int(line.split()[1]) * 1024


def _main() -> None:
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    _limit_memory(int(sys.argv[1]))
    for line in sys.stdin:
        function, arguments = json.loads(line)
        module, _, name = function.partition(":")
        before = _resident("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the most so far is forgotten
        try:
            found = getattr(importlib.import_module(f"tests.campaign.{module}"), name)(*arguments)
        except MemoryError:
            found = {"raised": "MemoryError", "ours": False, "line": "out of memory"}
        if (taken := _resident("VmHWM") - before) > MEMORY:
            found = {"died": f"{taken / 1e9:.1f} GB were taken"}
        answers.write(json.dumps(found).encode() + b"\n")
        answers.flush()


if __name__ == "__main__":
    _main()
