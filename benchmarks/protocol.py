"""How the harness talks to a rival: one line of JSON a question, one line an answer.

A rival is a long-lived process, so that imports and compilation happen once and the rounds can be
interleaved. Its standard output is kept for the answers; what its libraries print goes to a log.
"""

import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

_ROOT = Path(__file__).parent.parent
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
Action = Callable[..., dict[str, Any]]


class RivalError(RuntimeError):
    """A rival could not start, or failed at its work."""


def serve(prepare: Callable[[dict[str, Any]], tuple[Mapping[str, Action], dict[str, Any]]]) -> None:
    """The rival's side: sets up, says that it is ready, then answers until its input ends.

    Args:
        prepare: Given the options of the command line, returns the actions by name and the facts
            to report (device, versions).
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not come between the answers
    options = json.loads(sys.argv[1])
    _pin(options["threads"])  # before the rival imports anything that counts cores
    try:
        actions, facts = prepare(options)
        print(json.dumps({"ready": facts}), file=answers)
        for line in sys.stdin:
            question = json.loads(line)
            print(json.dumps(actions[question.pop("do")](**question)), file=answers)
    except Exception as error:  # noqa: BLE001  it is passed on to the harness, which stops
        traceback.print_exc()
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=answers)


def environment(threads: int, root: Path = _ROOT) -> dict[str, str]:
    """The environment of every measured process: the same number of threads for all.

    Args:
        threads: How many.
        root: Where elbax and the rivals are imported from.
    """
    chosen = dict.fromkeys(THREAD_VARIABLES, str(threads))
    return {**os.environ, **chosen, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(root)}


class Rival:
    """The harness's side of one rival; a context manager that ends the process."""

    def __init__(self, name: str, options: dict[str, Any], root: Path = _ROOT) -> None:
        self.name = name
        self._options = options
        self._root = root
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed with the process
        self._process: subprocess.Popen[str] | None = None
        self.facts: dict[str, Any] = {}

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", f"benchmarks.rivals.{self.name}"]
        self._process = subprocess.Popen(
            [*command, json.dumps(self._options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            bufsize=1,
            cwd=self._root,
            env=environment(self._options["threads"], self._root),
        )
        try:
            self.facts = self._answer()["ready"]
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process, whatever it is doing."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
        self._log.close()

    def ask(self, action: str, **arguments: Any) -> dict[str, Any]:
        """Has the rival do something and waits for its answer.

        Raises:
            RivalError: It failed or ended.
        """
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": action, **arguments}) + "\n")
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"error": "the process ended"}
        if "error" in answer:
            self._log.seek(0)
            tail = "".join(self._log.readlines()[-15:])
            raise RivalError(f"{self.name}: {answer['error']}\n{tail}")
        return answer


def _pin(threads: int) -> None:
    """Keeps this process to so many cores: XLA has one thread a core that it may run on."""
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, allowed[:threads])
