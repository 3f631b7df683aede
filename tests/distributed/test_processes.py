"""Processes and devices of one machine: the same batches, the same noise, and what ends them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

ROOT = Path(__file__).resolve().parent.parent.parent
STEPS = 200
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with data."""
    folder = tmp_path_factory.mktemp("distributed")
    for seed, name in enumerate(("rows.npy", "others.npy")):
        draw = np.random.default_rng(seed)
        rows = draw.normal(size=(150, 2)) @ draw.normal(size=(2, 6)) + 0.3 * draw.normal(
            size=(150, 6)
        )
        np.save(folder / name, rows.astype(np.float32))
    return folder


def words(data, out, *more):
    return [
        "train", str(data), "--iterations", str(STEPS), "--hidden", "16,8", "--latent-dim", "2",
        "--batch-size", "20", "--validation", "30", "--validate-every", "50", "--no-report",
        "--checkpoint-seconds", "0", "--out", str(out), *more,
    ]  # fmt: skip


def environment(devices):
    # The threads of several processes on few cores: one each is quicker than all of all.
    return {**os.environ, "JAX_NUM_CPU_DEVICES": str(devices), "PYTHONPATH": str(ROOT)}


def alone(*words, devices=1):
    return subprocess.run(
        [sys.executable, "-m", "elbax", *words], env=environment(devices), capture_output=True,
        text=True, timeout=900, check=False,
    )  # fmt: skip


def launched(processes, *words, devices=2):
    return subprocess.Popen(
        [sys.executable, ROOT / "scripts" / "launch.py", str(processes), sys.executable, "-m",
         "elbax", *words],
        env=environment(devices), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def done(process, seconds=900):
    out, err = process.communicate(timeout=seconds)
    assert process.returncode == 0, err
    return out


def parameters(out):
    return {
        f"{name}.{key}": value
        for name in ("model", "best")
        for key, value in load_file(out / f"{name}.safetensors").items()
    }


def losses(out):
    lines = (out / "metrics.jsonl").read_text().splitlines()
    return np.array([json.loads(line)["loss"] for line in lines])


@pytest.fixture(scope="module")
def layouts(folder):
    """The same run on 1 × 1, 1 × 4 and 2 × 2 processes × devices."""
    data = folder / "rows.npy"
    for name, devices in (("1x1", 1), ("1x4", 4)):
        more = ["--devices", str(devices)] if devices > 1 else []
        found = alone(*words(data, folder / name, *more), devices=devices)
        assert found.returncode == 0, found.stderr
    out = done(launched(2, *words(data, folder / "2x2", "--json")))
    assert json.loads(out)["iterations"] == STEPS  # one object, and Gloo's words are not in it
    return folder


@pytest.mark.parametrize("name", ["1x4", "2x2"])
def test_layouts_agree_to_float32(layouts, name):
    one, other = parameters(layouts / "1x1"), parameters(layouts / name)
    assert one.keys() == other.keys()
    for key, value in one.items():
        np.testing.assert_allclose(other[key], value, rtol=1e-3, atol=2e-5, err_msg=key)
    first, second = losses(layouts / "1x1"), losses(layouts / name)
    # The first steps see the same batches and noise: nothing has had time to drift.
    np.testing.assert_allclose(second[:5], first[:5], rtol=1e-5)
    np.testing.assert_allclose(second, first, rtol=1e-3, atol=1e-3)


def test_a_process_that_is_killed_ends_all_and_the_run_resumes_to_the_same_bits(layouts):
    out = layouts / "cut"
    process = launched(2, *words(layouts / "rows.npy", out))
    end = time.monotonic() + 600
    while not list(out.glob("checkpoints/*/sha256.json")):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.01)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[1]), signal.SIGKILL)
    killed = time.monotonic()
    _, err = process.communicate(timeout=120)
    assert time.monotonic() - killed < 60
    assert process.returncode == 128 + signal.SIGKILL
    assert "process 1 of 2 ended with SIGKILL" in err
    assert "Traceback" not in err
    assert not (out / "results.json").exists()
    done(launched(2, "resume", str(out)))
    one, other = parameters(layouts / "2x2"), parameters(out)
    assert {k: v.tobytes() for k, v in one.items()} == {k: v.tobytes() for k, v in other.items()}
    assert (losses(layouts / "2x2") == losses(out)).all()


def measured(layouts, tag, run):
    """What `evaluate`, `score` and `impute` give; `run` gives them their words."""
    out = layouts / tag
    out.mkdir()
    words = "--samples", "50", "--estimator", "elbo", "--estimator", "importance", "--json"
    known = json.loads(run("evaluate", str(layouts / "1x1"), "--estimator", "annealed", *words))
    run("score", str(layouts / "1x1"), "--out", str(out / "scores.npz"), "--samples", "50")
    rows = np.load(layouts / "rows.npy")
    rows[::3, 1] = rows[1::4, 4] = np.nan
    np.save(out / "holes.npy", rows)
    words = "--data", str(out / "holes.npy"), "--out", str(out / "filled.npy")
    run("impute", str(layouts / "1x1"), *words)
    scores = np.load(out / "scores.npz")
    arrays = {name: scores[name] for name in scores.files} | {"": np.load(out / "filled.npy")}
    return known["estimates"], arrays


def test_rows_that_are_shared_out_have_the_same_measures(layouts):
    def here(*words):
        found = alone(*words)
        assert found.returncode == 0, found.stderr
        return found.stdout

    def on_four_devices(*words):
        found = alone(*words, "--devices", "4", devices=4)
        assert found.returncode == 0, found.stderr
        return found.stdout

    known, arrays = measured(layouts, "here", here)
    several = (on_four_devices, lambda *words: done(launched(2, *words)))
    for tag, run in zip(("devices", "processes"), several, strict=True):
        estimates, others = measured(layouts, tag, run)
        assert len(estimates) == len(known) == 3
        for one, other in zip(estimates, known, strict=True):
            assert one["estimator"] == other["estimator"]
            for name, value in other.items():
                if isinstance(value, float) and name != "seconds":
                    np.testing.assert_allclose(one[name], value, rtol=1e-3, err_msg=name)
        assert others.keys() == arrays.keys()
        for name, array in arrays.items():
            np.testing.assert_allclose(others[name], array, rtol=2e-4, atol=1e-4, err_msg=name)


def test_what_several_began_one_goes_on_with(layouts):
    found = alone("resume", str(layouts / "2x2"), "--iterations", str(STEPS + 20))
    assert found.returncode == 0, found.stderr
    assert len(losses(layouts / "2x2")) == STEPS + 20 + 5  # and the validations


def test_processes_with_other_data_are_named(folder):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    place = ["--coordinator", f"127.0.0.1:{port}", "--processes", "2", "--process"]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "elbax", *words(folder / data, folder / "out", *place, str(i))],
            env=environment(1), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        )
        for i, data in enumerate(("rows.npy", "others.npy"))
    ]  # fmt: skip
    said = [one.communicate(timeout=300)[1] for one in started]
    assert [one.returncode for one in started] == [2, 2]
    for i, text in enumerate(said):
        mend = "process 1 has other data than process 0: give all the same"
        assert f"elbax: process {i} of 2: {mend}" in text


def test_what_cannot_be_launched_is_a_line():
    for given, said in (
        (["--processes", "2"], "go together: give all three"),
        (["--coordinator", "here", "--processes", "2", "--process", "0"], "give HOST:PORT"),
        (["--coordinator", "a:1", "--processes", "2", "--process", "2"], "give 0 to 1"),
        (["--devices", "3"], "devices (--devices) is 3, and JAX finds 2 here"),
        (["--devices", "2", "--batch-size", "25"], "2 devices cannot share it equally"),
    ):
        found = alone("train", "digits", "--no-report", "--dry-run", *given, devices=2)
        assert found.returncode == 2, (given, found.stdout)
        assert said in found.stderr
    none = done_with(2, launched(2, "sample", "runs/none"))
    assert "`elbax sample` is the work of one process" in none


def done_with(status, process):
    _, err = process.communicate(timeout=300)
    assert process.returncode == status, err
    return err
