"""The command line as a user calls it, and options that keep a run small."""

import contextlib
import io
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


def called(*words):
    """What the command line prints, in this process: for fixtures, where `capsys` cannot be."""
    from elbax.cli import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main([str(word) for word in words])
    assert status == 0, err.getvalue()
    return out.getvalue(), err.getvalue()
