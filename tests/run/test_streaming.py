"""Runs on data that do not fit: trained, killed, resumed, measured and used as any other run."""

import json
import os
import shutil
import signal
import threading

import numpy as np
import pandas as pd
import pytest

import elbax
from tests.command import SMALL, called, command
from tests.run.test_interruptions import assert_same_arrays, start, wait_for, wait_until

STREAMED = ["--memory", "200kB"]


def people(rows, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=rows)
    return pd.DataFrame(
        {
            "height": 170 + 10 * z,
            "weight": np.exp(4 + 0.2 * z + 0.1 * rng.normal(size=rows)),
            "city": rng.choice(["Bern", "Basel", "Chur"], rows),
            "income": np.where(rng.random(rows) < 0.1, np.nan, np.round(5000 + 900 * z)),
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("streaming") / "people"
    for number in range(3):
        part = path / f"year={2020 + number}" / "part.parquet"
        part.parent.mkdir(parents=True)
        people(3_000, number).to_parquet(part, row_group_size=400)
    return path


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("streaming") / "run"
    words = ["train", folder, *STREAMED, *SMALL, "--iterations", 300, "--no-report"]
    _, said = called(*words, "--out", path)
    return path, said


def test_it_says_that_it_streams_and_what_is_measured(run):
    path, said = run
    assert "people: 9,000 rows of 5 columns" in said
    assert "streamed: the data take more than 200KB (--memory)" in said
    results = json.loads((path / "results.json").read_text())
    assert results["iterations"] == 300
    assert f"{len(elbax.open_run(path).dataset.train):,} training rows are kept" in said
    config = json.loads((path / "config.json").read_text())
    dataset = elbax.open_run(path).dataset
    assert config["data"]["rows"]["train"] == dataset.training_rows > len(dataset.train)


def test_it_learns_what_a_run_in_memory_learns(run, folder):
    """The bounds of two runs on other rows in another order: near, if the rows are the same."""
    path, _ = run
    whole = elbax.train(
        folder, out=path.parent / "whole", hidden=(32, 16), latent_dim=2, batch_size=50,
        iterations=300, report=False, verbose=False,
    )  # fmt: skip
    assert whole.dataset.stream is None
    mine, theirs = (run.results or {} for run in (elbax.open_run(path), whole))
    mine, theirs = mine["test"], theirs["test"]
    error = np.hypot(mine["standard_error"]["elbo"], theirs["standard_error"]["elbo"])
    # Scales are fitted to other rows, by a percent or so.
    assert abs(mine["elbo"] - theirs["elbo"]) < 6 * error + 0.2


def test_it_is_used_as_any_other(elbax, run, tmp_path):
    path, _ = run
    people(20).to_csv(tmp_path / "new.csv", index=False)
    new = pd.read_csv(tmp_path / "new.csv").assign(year=2021)
    new.to_csv(tmp_path / "new.csv", index=False)
    for words in (
        ["evaluate", path, "--estimator", "elbo"],
        ["sample", path, "--count", 7, "--out", tmp_path / "samples.csv"],
        ["encode", path, "--out", tmp_path / "latents.csv"],
        ["impute", path, "--data", tmp_path / "new.csv", "--out", tmp_path / "filled.csv"],
        ["score", path, "--data", tmp_path / "new.csv", "--out", tmp_path / "scores.csv"],
    ):
        status, _, err = elbax(*words)
        assert status == 0, (words, err)
    assert list(pd.read_csv(tmp_path / "samples.csv").columns) == [
        "height", "weight", "city", "income", "year",
    ]  # fmt: skip
    assert len(pd.read_csv(tmp_path / "scores.csv")) == 20


def test_data_that_have_changed_are_refused(elbax, run, tmp_path):
    path, _ = run
    shutil.copytree(path, tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    other = tmp_path / "people" / "part.parquet"
    other.parent.mkdir()
    people(9_000, 7).assign(year=2020).to_parquet(other)
    config["data"]["argument"] = str(other.parent)
    del config["sha256"]
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    status, _, err = elbax("resume", tmp_path / "run", "--iterations", 400)
    assert status == 2
    assert "have changed since the run was trained" in err


def test_a_file_that_vanishes_ends_the_run_in_a_line_with_its_state_saved(elbax, tmp_path):
    for number in range(3):
        part = tmp_path / "people" / f"{number}.parquet"
        part.parent.mkdir(exist_ok=True)
        people(3_000, number).to_parquet(part, row_group_size=400)
    run, gone = tmp_path / "run", tmp_path / "people" / "1.parquet"

    def remove():
        log = run / "metrics.jsonl"
        wait_until(lambda: log.exists() and log.stat().st_size > 0)
        gone.rename(tmp_path / "kept")

    threading.Thread(target=remove).start()
    words = ["train", tmp_path / "people", *STREAMED, *SMALL, "--no-report", "--out", run]
    status, out, err = elbax(*words, "--iterations", 100_000, "--patience", 1_000)
    assert (status, out) == (2, "")
    last = err.splitlines()[-1]
    assert last.startswith(f"elbax: {gone} is gone: bring it back; then: ")
    assert last.endswith(f"elbax resume {run}")
    (tmp_path / "kept").rename(gone)
    lines = (run / "metrics.jsonl").read_text().splitlines()
    step = json.loads(lines[-1])["step"]
    status, out, err = elbax("resume", run, "--iterations", step + 5, "--json")
    assert status == 0, err
    assert f"from    step {step:,}" in err


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_bytes(folder, tmp_path):
    words = ["train", folder, *STREAMED, *SMALL, "--no-report", "--patience", 1_000]
    words += ["--iterations", 1_500, "--checkpoint-seconds", 0]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    done = command(*words, "--out", whole)
    assert done.returncode == 0, done.stderr
    process = start(*words, "--out", cut)
    log = cut / "metrics.jsonl"
    wait_for(process, "compiled")
    wait_until(lambda: log.exists() and len(log.read_bytes().splitlines()) > 250)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (cut / "results.json").exists()
    done = command("resume", cut)
    assert done.returncode == 0, done.stderr
    assert "from    step" in done.stderr
    for name in ("model.safetensors", "best.safetensors"):
        assert_same_arrays(whole / name, cut / name)
    assert (whole / "metrics.jsonl").read_bytes() == log.read_bytes()


@pytest.mark.slow
def test_several_devices_take_the_same_batches(folder, tmp_path):
    words = ["train", folder, *STREAMED, *SMALL, "--no-report", "--iterations", 100]
    two = command(*words, "--devices", 2, "--out", tmp_path / "2", env={"JAX_NUM_CPU_DEVICES": "2"})
    one = command(*words, "--out", tmp_path / "1")
    assert (one.returncode, two.returncode) == (0, 0), two.stderr
    losses = [
        [
            json.loads(line)["loss"]
            for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        ]
        for name in "12"
    ]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)


@pytest.mark.slow
def test_labelled_images_in_a_folder_condition_a_model(elbax, tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(300):
        place = tmp_path / "shapes" / f"class-{number % 3}" / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.zeros((8, 8), np.uint8)
        pixels[number % 3 * 2 : number % 3 * 2 + 3] = rng.integers(100, 256, (3, 8))
        Image.fromarray(pixels).save(place)
    words = ["train", tmp_path / "shapes", "--memory", "10kB", "--condition", "label"]
    words += [*SMALL, "--iterations", 60, "--validation", 10, "--out", tmp_path / "run"]
    status, _, err = elbax(*words)
    assert status == 0, err
    assert "streamed" in err
    out = tmp_path / "samples.png"
    assert elbax("sample", tmp_path / "run", "--label", "class-1", "--out", out)[0] == 0


def test_a_sweep_says_that_it_trains_in_memory(elbax, folder, tmp_path):
    words = ["sweep", folder, *STREAMED, "--seeds", 2, "--out", tmp_path / "sweep"]
    status, _, err = elbax(*words)
    assert status == 2
    assert "a sweep trains on data in memory" in err.splitlines()[-1]


@pytest.mark.parametrize("memory", ["much", "0", "-2GB", "2 hours"])
def test_a_size_that_is_none(elbax, folder, memory, tmp_path):
    status, _, err = elbax("train", folder, f"--memory={memory}", "--out", tmp_path / "run")
    assert status == 2
    assert "memory (--memory) is" in err
    assert "give a size, such as 2GB" in err
