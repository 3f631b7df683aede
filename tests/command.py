"""The command line as a user calls it, and options that keep a run small."""

import os
import subprocess
import sys

SMALL = ["--hidden", "32,16", "--latent-dim", "2", "--batch-size", "50"]


def command(*words, cwd=None, env=None):
    """The command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "elbax", *map(str, words)],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
