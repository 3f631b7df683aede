"""Commands in processes of their own that start at once, and what is done to them."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any


class Nursery:
    """Commands in processes of their own that start at once; a context manager."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.campaign.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **(environment or {})},
        )

    def __enter__(self) -> "Nursery":  # noqa: PYI034 (beartype cannot read Self here)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def run(self, words: list[str], fault: dict[str, Any] | None = None) -> dict[str, Any]:
        """Status, seconds, and what was printed."""
        out, err = self.folder / "out.txt", self.folder / "err.txt"
        asked = {"words": words, "folder": str(self.folder), "out": str(out), "err": str(err)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {**asked, "fault": fault or {}, "seconds": 120}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        found = json.loads(self._process.stdout.readline())
        said = {"out": out.read_text(), "err": err.read_text(errors="replace")}
        if found["second"] is not None:
            said["err2"] = (self.folder / "err.txt2").read_text(errors="replace")
        return {**found, **said}
