"""Runs that many tests look at: trained once, never changed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from elbax.app.cli import main

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


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory) -> Path:
    """A finished run with figures and report, trained by the command line as a user would."""
    folder = tmp_path_factory.mktemp("finished")
    done = command("train", "digits", *SMALL, "--iterations", 60, "--out", folder / "run", "--json")
    assert done.returncode == 0, done.stderr
    (folder / "stdout").write_text(done.stdout)
    (folder / "stderr").write_text(done.stderr)
    return folder / "run"


@pytest.fixture
def elbax(capsys):
    """The command line in this process: status, standard output, standard error."""

    def call(*words):
        status = main([str(word) for word in words])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


@pytest.fixture
def refused(elbax):
    """Calls the command line and expects one line of refusal; answers with it."""

    def call(*words, status=2):
        got, out, err = elbax(*words)
        lines = [line for line in err.splitlines() if line.startswith("elbax: ")]
        assert got == status, err
        assert out == ""
        assert len(lines) == 1, err
        assert err.splitlines()[-1] == lines[0]
        assert "Traceback" not in err
        assert "ELBAX_DEBUG" not in err
        return lines[0]

    return call
