"""The folder of a run: nothing is written outside of it, and one that cannot be used is a line."""

import errno
import os
import shutil
import subprocess
import sys

import pytest

from elbax.run.folder import BETAS, CHECKPOINTS, FIGURES, RunFolderError, is_run, locked
from tests.command import command


@pytest.mark.parametrize("name", [CHECKPOINTS, FIGURES, BETAS])
def test_a_link_out_of_the_folder_is_not_followed(name, finished_run, tmp_path):
    run, outside = tmp_path / "run", tmp_path / "outside"
    shutil.copytree(finished_run, run)
    shutil.rmtree(run / name, ignore_errors=True)
    outside.mkdir()
    (run / name).symlink_to(outside)
    with pytest.raises(RunFolderError, match=r"is a link to .* inside of a run"), locked(run):
        pass
    assert is_run(run)  # it can be read
    assert list(outside.iterdir()) == []


def test_no_figure_is_drawn_into_a_link(finished_run, tmp_path):
    run, outside = tmp_path / "run", tmp_path / "outside"
    shutil.copytree(finished_run, run)
    shutil.rmtree(run / FIGURES, ignore_errors=True)
    outside.mkdir()
    (run / FIGURES).symlink_to(outside)
    done = command("plot", run, "bound")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"elbax: {run / FIGURES} is a link to {outside}, and")
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EMFILE])
def test_a_folder_that_cannot_be_opened_is_one_line(number, tmp_path, monkeypatch):
    def unable(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", unable)
    with pytest.raises(RunFolderError, match="can't be opened"), locked(tmp_path):
        pass


def test_what_a_killed_plot_left_goes_when_the_folder_is_claimed(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / FIGURES).mkdir()
    left = tmp_path / FIGURES / f".elbax-{ended.pid}-bound.png"
    drawn_now = tmp_path / FIGURES / f".elbax-{os.getppid()}-bound.png"
    for path in (left, drawn_now):
        path.write_text("half")
    with locked(tmp_path):
        assert list((tmp_path / FIGURES).iterdir()) == [drawn_now]
