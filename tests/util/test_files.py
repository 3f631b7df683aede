"""Sealed JSON: what is read is what was written, or one line says that it is not."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from elbax.run import metrics
from elbax.run.run import Run
from elbax.util.files import (
    SEAL,
    WriteError,
    check_room,
    read_sealed,
    sweep_dead,
    write_bytes,
    write_sealed,
)


@pytest.fixture
def sealed(tmp_path):
    write_sealed(tmp_path / "a.json", {"rate": 0.001, "name": "é", "list": [1, None, True]})
    return tmp_path / "a.json"


def test_what_was_sealed_is_read_without_its_seal(sealed):
    assert read_sealed(sealed) == {"rate": 0.001, "name": "é", "list": [1, None, True]}


def test_every_changed_digit_is_seen(sealed):
    content = sealed.read_text()
    for i, letter in enumerate(content):  # those of the seal's own name too
        if letter.isdigit():
            changed = str((int(letter) + 1) % 10)
            sealed.write_text(content[:i] + changed + content[i + 1 :])
            with pytest.raises(ValueError, match="damaged, or changed by hand"):
                read_sealed(sealed)


def test_whoever_changes_it_on_purpose_takes_the_seal_off(sealed):
    content = json.loads(sealed.read_text())
    del content[SEAL]
    sealed.write_text(json.dumps({**content, "rate": 0.002}))
    assert read_sealed(sealed)["rate"] == 0.002


@pytest.mark.parametrize("text", ["[" * 10**6, '{"a": NaN}', '{"a": -Infinity}', "", "{"])
def test_what_is_no_json_is_refused(sealed, text):
    sealed.write_text(text)
    with pytest.raises(ValueError, match=r"JSON|deep|Expecting"):
        read_sealed(sealed)


def test_a_damaged_run_says_so(finished_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    log = (run / "metrics.jsonl").read_text()
    assert Run(run).history["step"][-1] == 60
    (run / "metrics.jsonl").write_text(log.replace('"step": 7,', '"step": 8,', 1))
    with pytest.raises(ValueError, match="has changed since the run was measured"):
        _ = Run(run).history
    (run / "metrics.jsonl").write_text(log + '{"step": 61, "loss": 1.0}\n')  # made longer since
    assert Run(run).history["step"][-1] == 61
    for other in ("[]", '"x"', '{"schema": 1}', (run / "config.json").read_text(), "{"):
        (run / "results.json").write_text(other)
        assert Run(run).results is None
    config = (run / "config.json").read_text()
    (run / "config.json").write_text(config.replace('"seed": 0', '"seed": 1'))
    with pytest.raises(ValueError, match=r"config\.json can't be read .*changed by hand"):
        _ = Run(run).config


def test_the_seal_of_a_log_that_is_not_there():
    assert metrics.sealed(Path("/nowhere/metrics.jsonl")) == {"bytes": 0, "sha256": None}


def test_what_is_no_file_is_not_read(sealed, tmp_path):
    # A pipe would be waited for, and /dev/zero read, for ever.
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "link").symlink_to(sealed)
    for name in ("pipe", "zero"):
        with pytest.raises(ValueError, match="is not a file"):
            read_sealed(tmp_path / name)
        with pytest.raises(ValueError, match="is not a file"):
            metrics.history(tmp_path / name)
        assert metrics.sealed(tmp_path / name)["sha256"] is None
    assert read_sealed(tmp_path / "link")["rate"] == 0.001


def test_a_log_whose_steps_do_not_follow_one_another_is_damaged(tmp_path):
    log = tmp_path / "metrics.jsonl"
    rows = [json.dumps({"step": step, "loss": 1.0 / step}) for step in (1, 2, 3)]
    log.write_text("\n".join([*rows, '{"step": "x"}', "\x00"]) + "\n")
    assert metrics.history(log)["step"].tolist() == [1, 2, 3]
    log.write_bytes(log.read_bytes() + b"\xff\xfe\n")
    assert metrics.history(log)["loss"].tolist() == [1, 1 / 2, 1 / 3]
    log.write_text("\n".join(rows + rows[2:]) + "\n")
    with pytest.raises(ValueError, match="step 3 stands behind step 3"):
        metrics.history(log)


def test_room_is_not_looked_for_where_there_is_no_folder(tmp_path):
    with pytest.raises(WriteError, match="no such file or directory"):
        check_room(tmp_path / "moved", 10)
    assert not (tmp_path / "moved").exists()
    check_room(tmp_path, 10)
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_that_sets_no_room_aside_is_no_full_one(tmp_path, monkeypatch):
    def unable(*_):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "posix_fallocate", unable)
    check_room(tmp_path, 10)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_of_a_file_goes_when_it_is_written(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    out = tmp_path / "filled [1].csv"
    left, other = (tmp_path / f".elbax-{ended.pid}-{name}" for name in (out.name, "other.csv"))
    of_one_that_lives = tmp_path / f".elbax-{os.getppid()}-{out.name}"
    for path in (left, other, of_one_that_lives):
        path.write_text("half")
    write_bytes(out, b"whole")
    assert out.read_bytes() == b"whole"
    assert sorted(tmp_path.iterdir()) == sorted([out, other, of_one_that_lives])
    sweep_dead(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([out, of_one_that_lives])
