"""Processes, and what they took."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple


class Took(NamedTuple):
    """What a process took.

    Attributes:
        seconds: Of the clock.
        processor: Of all cores, its own processes included.
        peak: Its memory at most, MB.
    """

    seconds: float
    processor: float
    peak: float


class Job:
    """Starts processes in a folder of their own, which also holds what they compile.

    Python's own bytecode is at hand, as it is where pip has installed something, or after a first
    start; a variable that forbids it, as containers set, is not handed on.

    Attributes:
        folder: Where they write.
    """

    def __init__(self, folder: Path, bytecode: Path) -> None:
        self.folder, self._bytecode = folder, bytecode
        folder.mkdir(parents=True, exist_ok=True)

    def elbax(self, *words: str) -> Took:
        """A command of elbax."""
        return self.run(sys.executable, "-m", "elbax", *words)

    def python(self, code: str) -> Took:
        """A script."""
        return self.run(sys.executable, "-c", code)

    def run(self, *words: str) -> Took:
        """A process.

        Raises:
            RuntimeError: It failed.
        """
        dropped = ("JAX_", "PYTHONDONTWRITEBYTECODE")
        given = {k: value for k, value in os.environ.items() if not k.startswith(dropped)}
        given["XDG_CACHE_HOME"] = str(self.folder / "cache")
        given["PYTHONPYCACHEPREFIX"] = str(self._bytecode)
        with tempfile.TemporaryFile("w+") as said:
            started = time.perf_counter()
            process = subprocess.Popen(words, env=given, stdout=said, stderr=said)
            _, status, used = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - started
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode != 0:
                said.seek(0)
                raise RuntimeError(f"{' '.join(words)}: {said.read()[-2000:]}")
        unit = 1e6 if sys.platform == "darwin" else 1e3
        return Took(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / unit)
