"""What `elbax inspect` says that training takes, beside what it takes, compiling included.

Run it as `.venv/bin/python -m benchmarks.estimate DATA…`; each is a name or a path.
"""

import json
import subprocess
import sys
import tempfile
import time

from benchmarks import machine


def main() -> None:
    """Prints a line for each of the data: seconds said, seconds taken, and their ratio."""
    described = machine.describe()
    print(", ".join(f"{name} {value}" for name, value in described.items()))
    for data in sys.argv[1:]:
        said = json.loads(_elbax("inspect", data, "--json"))["cost"]["seconds"]
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            # A cache of its own: nothing is compiled beforehand.
            _elbax("train", data, "--out", f"{folder}/run", cache=folder)
            taken = time.perf_counter() - started
        print(f"{data}: {said:.0f} s said, {taken:.0f} s taken, {said / taken:.2f}")


def _elbax(*words: str, cache: str | None = None) -> str:
    command = ["env", f"XDG_CACHE_HOME={cache}"] if cache else []
    command += [sys.executable, "-m", "elbax", *words]
    return subprocess.run(command, check=True, text=True, capture_output=True).stdout


if __name__ == "__main__":
    main()
