"""What a tracker is told of a run, also of one that was killed, swept, or whose tracker fails."""

import csv
import json
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file

import elbax
from elbax.run.folder import is_run
from elbax.track import comma_separated, tracker
from tests.command import command

SMALL = {"hidden": (8,), "batch_size": 20, "latent_dim": 2, "validation": 20, "validate_every": 20}


@pytest.fixture(scope="module")
def data():
    draw = np.random.default_rng(0)
    return draw.normal(size=(120, 6)).astype(np.float32)


def trained(data, out, **options):
    return elbax.train(data, out=out, report=False, verbose=False, **{**SMALL, **options})


def rows(run):
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_table_has_the_log_and_what_was_measured(data, tmp_path):
    run = trained(data, tmp_path / "run", iterations=60, track="csv")
    found = rows(run)
    for kind, history in (("train", run.history), ("validation", run.history["validation"])):
        for name in ("loss", "elbo", "kl", "reconstruction"):
            of_name = [row for row in found if row["name"] == f"{kind}/{name}"]
            assert [int(row["step"]) for row in of_name] == history["step"].tolist()
            assert [float(row["value"]) for row in of_name] == history[name].tolist()
    measured = {row["name"]: float(row["value"]) for row in found if row["step"] == "60"}
    assert run.results is not None
    assert measured["measured/test/elbo"] == run.results["test"]["elbo"]


def test_long_runs_are_thinned(data, tmp_path, monkeypatch):
    monkeypatch.setattr("elbax.track.tracking._POINTS", 10)
    run = trained(data, tmp_path / "run", iterations=60, track="csv")
    steps = [int(row["step"]) for row in rows(run) if row["name"] == "train/loss"]
    assert steps == list(range(6, 61, 6))


def test_a_resumed_run_goes_on_in_the_same_table(data, tmp_path):
    whole = trained(data, tmp_path / "whole", iterations=60, track="csv")
    broken = trained(data, tmp_path / "broken", iterations=40, track="csv")
    with (broken / "metrics.csv").open("a") as file:
        file.write("47,train/loss,1.5\n48,tra")  # a process that was killed after its checkpoint
    elbax.resume(broken.path, iterations=60, data=data, verbose=False)
    kept = [row for row in rows(broken) if not (row["step"] == "40" and "measured" in row["name"])]
    assert kept == rows(whole)


def test_tracking_changes_no_bit_of_the_run(data, tmp_path):
    one = trained(data, tmp_path / "one", iterations=40, track="csv")
    other = trained(data, tmp_path / "other", iterations=40)
    ours, theirs = (load_file(run / "model.safetensors") for run in (one, other))
    assert {n: a.tobytes() for n, a in ours.items()} == {n: a.tobytes() for n, a in theirs.items()}
    assert not (other / "metrics.csv").exists()


def test_a_tracker_that_fails_ends_no_training(data, tmp_path, monkeypatch, capsys):
    class Full(comma_separated._Table):
        def scalars(self, rows):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(
        comma_separated, "tracker", lambda name, folder: Full(folder / "metrics.csv")
    )
    run = elbax.train(
        data, out=tmp_path / "run", report=False, iterations=40, track="csv", **SMALL
    )  # fmt: skip
    said = capsys.readouterr().out
    assert said.count("the tracker fails") == 1
    assert "no space left on device" in said.lower()
    assert run.results is not None
    assert run.results["outcome"] == "finished"


@pytest.mark.parametrize("name", ["mlflow", "tensorboard", "trackio", "wandb"])
def test_a_tracker_that_is_not_installed_is_refused_before_anything_is_written(
    data, tmp_path, monkeypatch, name
):
    monkeypatch.setitem(sys.modules, tracker._PACKAGES[name][0], None)
    with pytest.raises(ValueError, match=rf"^--track {name} needs .*pip install [^\n]*$"):
        trained(data, tmp_path / "run", iterations=40, track=name)
    assert not (tmp_path / "run").exists()


def test_an_unknown_tracker_is_refused(data, tmp_path):
    with pytest.raises(ValueError, match="track"):
        trained(data, tmp_path / "run", track="aim")


def test_force_deletes_what_a_tracker_left(data, tmp_path):
    run = trained(data, tmp_path / "run", iterations=20, track="csv")
    (run / "tensorboard").mkdir()
    (run / "tensorboard" / "events.out.tfevents.1.host").write_bytes(b"")
    trained(data, tmp_path / "run", iterations=20, force=True)
    assert not (run / "metrics.csv").exists()
    assert not (run / "tensorboard").exists()


@pytest.mark.slow
def test_each_run_of_a_sweep_is_tracked(data, tmp_path):
    found = elbax.sweep(
        data, seeds=2, hidden=[(8,), (4,)], iterations=40, out=tmp_path / "sweep", track="csv",
        report=False, verbose=False, **{k: v for k, v in SMALL.items() if k != "hidden"},
    )  # fmt: skip
    for name in found["run"]:
        run = elbax.open_run(str(name))
        losses = [float(row["value"]) for row in rows(run) if row["name"] == "train/loss"]
        assert losses == run.history["loss"].tolist()


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    path = tmp_path_factory.mktemp("images") / "images.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (120, 6, 6), dtype=np.uint8))
    return path


WORDS = ["--hidden", 8, "--latent-dim", 2, "--batch-size", 20, "--validation", 20,
         "--validate-every", 20, "--no-report"]  # fmt: skip


@pytest.mark.slow
def test_event_files_are_read_by_tensorboard(images, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out = tmp_path / "run"
    words = ["train", images, "--track", "tensorboard", "--out", out, *WORDS]
    assert command(*words, "--iterations", 40).returncode == 0
    assert command("resume", out, "--iterations", 60).returncode == 0
    run = elbax.open_run(out)
    events = EventAccumulator(str(out / "tensorboard"), {"scalars": 0, "images": 0}).Reload()
    for name in ("loss", "kl"):
        found = events.Scalars(f"train/{name}")
        assert [event.step for event in found] == run.history["step"].tolist()
        np.testing.assert_allclose([event.value for event in found], run.history[name], rtol=1e-6)
    assert [event.step for event in events.Images("reconstruct")] == [20, 40, 60]
    assert "training.learning_rate" in str(events.Tensors("options/text_summary"))


@pytest.mark.slow
def test_a_run_of_mlflow_is_gone_on_with(images, tmp_path, monkeypatch):
    store = f"file://{tmp_path / 'store'}"
    env = {"MLFLOW_TRACKING_URI": store, "MLFLOW_ALLOW_FILE_STORE": "true"}
    out = tmp_path / "run"
    words = ["train", images, "--track", "mlflow", "--out", out, *WORDS]
    done = command(*words, "--iterations", 40, "--json", env=env)
    assert json.loads(done.stdout)["iterations"] == 40, done.stderr
    assert command("resume", out, "--iterations", 60, env=env).returncode == 0
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    client = tracker.library("mlflow").MlflowClient(store)
    experiment = client.get_experiment_by_name("elbax")
    (kept,) = client.search_runs([experiment.experiment_id])
    assert kept.info.status == "FINISHED"
    assert kept.info.run_name == "run"
    assert kept.data.params["training.batch_size"] == "20"
    run = elbax.open_run(out)
    metrics = client.get_metric_history(kept.info.run_id, "train/loss")
    assert [metric.step for metric in metrics] == run.history["step"].tolist()
    assert [metric.value for metric in metrics] == run.history["loss"].tolist()
    assert run.results is not None
    assert kept.data.metrics["measured/test/elbo"] == run.results["test"]["elbo"]
    files = {file.path for file in client.list_artifacts(kept.info.run_id)}
    assert {"config.json", "model.safetensors", "results.json", "images"} <= files


@pytest.mark.slow
def test_a_store_that_cannot_be_had_is_one_line_and_no_loss(images, tmp_path):
    (tmp_path / "file").write_text("")
    env = {"MLFLOW_TRACKING_URI": f"file://{tmp_path / 'file' / 'store'}",
           "MLFLOW_ALLOW_FILE_STORE": "true"}  # fmt: skip
    words = ["train", images, "--track", "mlflow", "--out", tmp_path / "run", *WORDS]
    done = command(*words, "--iterations", 40, env=env)
    assert done.returncode == 0
    assert done.stderr.count("the tracker fails") == 1
    assert "Traceback" not in done.stderr
    assert is_run(tmp_path / "run")
