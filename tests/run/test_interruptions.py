"""Signals, SIGKILL, full disks: nothing is lost, and a resumed run ends as an unbroken one."""

import functools
import json
import os
import random
import shlex
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.command import SMALL, command


@pytest.fixture(autouse=True, scope="module")
def ctrl_c_counts():
    """Where a shell runs the tests in the background, Ctrl-C is ignored, by their children too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def start(*words, cwd=None):
    return subprocess.Popen(
        [sys.executable, "-m", "elbax", *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd,
    )  # fmt: skip


def wait_for(process, word):
    """Reads the progress until a line begins with the word."""
    for line in process.stderr:
        if line.startswith(word):
            return
    raise AssertionError(f"it never said {word!r}")


def wait_until(holds, seconds=60):
    """Until a condition holds; it is looked at a hundred times a second."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.01)


def assert_same_arrays(one, other):
    """Bit for bit (the files' headers may order their entries differently)."""
    from safetensors.numpy import load_file

    a, b = load_file(one), load_file(other)
    assert a.keys() == b.keys()
    for name, array in a.items():
        assert array.tobytes() == b[name].tobytes(), name


def test_ctrl_c_saves_and_a_resumed_run_takes_up_there(elbax, tmp_path):
    run = tmp_path / "run"

    def interrupt_after_a_step():
        wait_until((run / "metrics.jsonl").exists)
        os.kill(os.getpid(), signal.SIGINT)

    words = ["train", "digits", *SMALL, "--no-report", "--out", run, "--iterations", 10**7]
    threading.Thread(target=interrupt_after_a_step).start()
    status, out, err = elbax(*words)
    assert (status, out) == (130, "")
    last = err.splitlines()[-1]
    assert last.startswith("elbax: stopped at step")
    step = int(last.split("step ")[1].split(", saved")[0].replace(",", ""))
    assert shlex.split(last.split("resume with: ")[1]) == ["elbax", "resume", str(run)]
    status, out, err = elbax("resume", run, "--iterations", step + 5, "--json")
    assert status == 0
    assert f"from    step {step:,}" in err
    assert json.loads(out)["iterations"] == step + 5


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_the_printed_command_resumes(tmp_path, number, status):
    words = ["train", "digits", *SMALL, "--no-report", "--out", "run", "--iterations", 10**7]
    process = start(*words, cwd=tmp_path)
    wait_for(process, "compiled")
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert out == ""
    last = err.splitlines()[-1]
    assert last.startswith("elbax: stopped at step")
    step = int(last.split("step ")[1].split(", saved")[0].replace(",", ""))
    resume = shlex.split(last.split("resume with: ")[1])
    assert resume == ["elbax", "resume", "run"]
    done = command(*resume[1:], "--iterations", step + 5, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"from    step {step:,}" in done.stderr
    assert json.loads(done.stdout)["iterations"] == step + 5


def test_a_signal_before_the_run_exists_is_quiet(tmp_path):
    process = start("train", "digits", "--out", tmp_path / "run")
    time.sleep(0.15)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode in (130, -signal.SIGINT)  # Python itself may not be up yet
    assert process.returncode != 130 or err.splitlines()[-1].startswith("elbax: stopped")


@pytest.mark.slow
def test_ten_kills_change_no_bit(tmp_path):
    moments = random.Random(7)
    # Validations every 25 steps make many short chunks, and each of them is saved.
    words = [
        "train", "digits", *SMALL, "--no-report", "--iterations", 1200, "--validate-every", 25,
        "--checkpoint-seconds", 0, "--seed", 5,
    ]  # fmt: skip
    whole = command(*words, "--out", tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    run, steps = tmp_path / "killed", []
    for attempt in range(10):
        process = start(*words, "--out", run) if attempt == 0 else start("resume", run)
        # Twice before the first step of this process, otherwise among steps and checkpoints.
        wait_for(process, "run" if attempt in (0, 5) else "compiled")
        if attempt in (3, 7):  # however busy the machine is, some kills fall after a checkpoint
            before = _last_step(run)
            wait_until(functools.partial(_has_passed, run, before))
        time.sleep(moments.uniform(0, 0.25))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "the run is too short for ten kills"
        steps.append(_last_step(run))
    done = command("resume", run)
    assert done.returncode == 0, done.stderr
    assert max(steps) > 0
    for name in ("model.safetensors", "best.safetensors"):
        assert_same_arrays(run / name, tmp_path / "whole" / name)
    assert _without_times(run) == _without_times(tmp_path / "whole")
    assert (run / "metrics.jsonl").read_text() == (tmp_path / "whole" / "metrics.jsonl").read_text()
    assert [entry.name for entry in run.iterdir() if entry.name.startswith(".")] == []


def _last_step(run):
    steps = [int(entry.name) for entry in (run / "checkpoints").glob("*") if entry.name.isdecimal()]
    return max(steps, default=0)


def _has_passed(run, step):
    return _last_step(run) > step


# What differs from run to run, and the seal of it.
_OF_TIMES = ("seconds", "compile_seconds", "ms_per_step", "sha256")


def _without_times(run):
    results = json.loads((run / "results.json").read_text())
    return {k: v for k, v in results.items() if k not in _OF_TIMES}


@pytest.mark.slow
def test_a_damaged_checkpoint_is_passed_over_with_a_warning(tmp_path):
    words = ["train", "digits", *SMALL, "--no-report", "--checkpoint-seconds", 0, "--out", "run"]
    whole = command(*words, "--iterations", 150, "--validate-every", 50, cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    run = tmp_path / "run"
    (run / "model.safetensors").rename(tmp_path / "expected.safetensors")
    (run / "results.json").unlink()
    newest = max((run / "checkpoints").iterdir(), key=lambda entry: int(entry.name))
    assert newest.name == "150"
    largest = max(newest.rglob("*"), key=lambda entry: entry.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)
    done = command("resume", run)
    assert done.returncode == 0, done.stderr
    assert "warning the checkpoint of step 150 is damaged" in done.stderr
    assert_same_arrays(run / "model.safetensors", tmp_path / "expected.safetensors")


@pytest.mark.slow
def test_a_finished_run_gets_back_what_it_lacks(finished_run, tmp_path):
    import shutil

    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    (run / "report.html").unlink()
    (run / "figures" / "normal.png").unlink()
    (run / "explorer.html").unlink()
    before = (run / "model.safetensors").stat().st_mtime_ns
    done = command("resume", run)
    assert done.returncode == 0, done.stderr
    assert "is finished: 60 steps" in done.stderr
    assert (run / "report.html").exists()
    assert (run / "figures" / "normal.png").exists()
    assert (run / "explorer.html").exists()
    assert (run / "model.safetensors").stat().st_mtime_ns == before


def test_fewer_iterations_than_taken_are_refused(refused, finished_run):
    assert "has taken 60 steps already" in refused("resume", finished_run, "--iterations", 10)


def test_changed_data_are_refused(elbax, refused, tmp_path):
    import numpy as np

    x = np.random.default_rng(0).random((60, 5)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    run = tmp_path / "run"
    words = ["--iterations", 3, "--hidden", 4, "--batch-size", 10, "--no-report", "--out", run]
    assert elbax("train", tmp_path / "x.npy", *words)[0] == 0
    np.save(tmp_path / "x.npy", x + 0.1)
    for command_words in (["resume", run], ["evaluate", run]):
        assert "have changed" in refused(*command_words)


def limited(size, *words, env=None):
    """The command line in a process that can't write files of more than `size` bytes."""
    code = (
        "import os, resource, sys; limit = int(sys.argv[1]);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit));"
        "os.execv(sys.executable, [sys.executable, '-m', 'elbax', *sys.argv[2:]])"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, (size, *words))],
        env={**os.environ, **(env or {})},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path):
    run = tmp_path / "run"
    # The compilation cache, which is empty, hits the limit too, and must keep quiet about it.
    words = ["train", "digits", "--hidden", "64", "--no-report", "--out", run]
    words += ["--iterations", 60, "--batch-size", 20, "--validate-every", 20]
    env = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache")}
    full = limited(40_000, *words, env=env)
    assert full.returncode == 1, full.stderr
    complaints = [line for line in full.stderr.splitlines() if line.startswith("elbax: ")]
    assert len(complaints) == 1
    assert "make room" in complaints[0]
    assert f"elbax resume {run}" in complaints[0]
    assert "Traceback" not in full.stderr
    assert not list(run.rglob("*tmp*"))
    assert not (run / "model.safetensors").exists()
    done = command("resume", run)
    assert done.returncode == 0, done.stderr
    assert (run / "results.json").exists()


def test_a_full_disk_keeps_what_stood_there(finished_run, tmp_path):
    out = tmp_path / "samples.npz"
    out.write_text("what stood there")
    words = ["sample", finished_run, "--count", 5000, "--out", out]
    done = limited(50_000, *words)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"elbax: cannot write {out}")
    assert out.read_text() == "what stood there"
    assert os.listdir(tmp_path) == ["samples.npz"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_use_says_so_in_one_line(number, status, finished_run):
    process = start("evaluate", finished_run, "--estimator", "importance", "--samples", 2_000_000)
    wait_for(process, "importance")
    process.send_signal(number)
    out, said = process.communicate()
    assert (process.returncode, out, said) == (status, "", "elbax: stopped\n")
