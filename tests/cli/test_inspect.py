"""Commands that need no run: inspect, datasets, recipes."""

import json

import numpy as np
import pytest

from elbax.data import load
from elbax.recipes import RECIPES, find
from elbax.recipes.choice import Choice
from elbax.run import cost as inspection


def test_inspect_says_what_the_data_are(elbax):
    status, out, _ = elbax("inspect", "digits")
    assert status == 0
    for words in (
        "1,797 images of 8 × 8",
        "3 of 64 pixels never vary",
        "bernoulli",
        "recipe    vae",
    ):
        assert words in out


def test_inspect_sees_what_training_refuses(elbax, tmp_path):
    x = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    x[3, 1], x[5, 0], x[:, 2] = np.nan, np.inf, 7
    np.save(tmp_path / "table.npy", x[:, None])
    status, out, _ = elbax("inspect", tmp_path / "table.npy", "--json")
    found = json.loads(out)
    assert status == 0
    assert found["schema"] == 1
    assert (found["kind"], found["shape"], found["missing"]) == ("images", [1, 4, 1], 1)
    assert found["constant"] == 1
    assert found["likelihood"] == "normal"
    assert "1 infinite value, the first at image 5" in found["problems"][0]


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (1, "has 1 image only: at least 3 are needed"),
        (50, "10,000 steps"),
    ],
)
def test_inspect_sees_too_few_rows(elbax, tmp_path, count, words):
    np.save(tmp_path / "few.npy", np.zeros((count, 4, 4), np.uint8))
    status, out, _ = elbax("inspect", tmp_path / "few.npy")
    assert status == 0
    assert f"{count} image{'s' * (count > 1)} of 4 × 4" in out
    assert words in out
    assert " MB of memory" in out.split(", and about ")[1]


def test_the_estimate_counts_the_summary_network(monkeypatch):
    monkeypatch.setattr(inspection, "measure_rate", lambda: 1e9)
    x = np.zeros((10, 28, 28), np.uint8)
    cost = inspection.estimate(load(x), find("vae").options(), Choice("bernoulli"))
    # DESIGN: 0.84 GFLOP a step for 784-512-384-256-10 and back at batch 100
    assert cost.flops == pytest.approx(0.84e9, rel=0.01)
    numbers = 100 * (512 + 384 + 256 + 20 + 256 + 384 + 512 + 784)
    step = 1e-4 + 1.4 * cost.flops / 1e9 + 3e-9 * numbers
    assert cost.seconds == pytest.approx(30 + 10_000 * step, rel=1e-4)


@pytest.mark.parametrize("command", ["datasets", "recipes"])
def test_listings(elbax, command):
    status, out, _ = elbax(command, "--json")
    entries = json.loads(out)
    assert status == 0
    assert all({"name", "summary", "source"} <= set(entry) for entry in entries)
    names = {entry["name"] for entry in entries}
    expected = {
        "datasets": {"mnist", "fashion-mnist", "mnist-5k", "digits", "shapes"},
        "recipes": set(RECIPES),
    }
    assert names == expected[command]
    status, out, _ = elbax(command)
    assert all(name in out for name in names)
