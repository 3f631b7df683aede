"""Published figures: the page says what the recorded runs say, and no more."""

import json

import pytest

from benchmarks.published import __main__ as published
from benchmarks.published import table
from benchmarks.published.targets import TARGETS
from elbax.recipes.options import SHORT, section_of

RECORDED = sorted(published.RESULTS.glob("*.json"))


def test_the_page_is_made_of_the_recorded_runs():
    assert published.PAGE.read_text(encoding="utf-8") == published.page()


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_run_is_of_its_target(path):
    result = json.loads(path.read_text(encoding="utf-8"))
    target = TARGETS[path.stem]
    assert result["target"]["figure"] == target.figure
    assert result["target"]["changes"] == dict(target.changes)
    for run in result["runs"]:
        assert run["published_steps"] == target.steps(run["training_rows"])
        assert 0 < run["steps"] <= run["published_steps"]
        assert run["obtained"]["estimator"] == target.estimator
        assert run["obtained"]["samples"] == target.samples


def test_a_shorter_run_says_by_how_much():
    run = {
        "seed": 1, "steps": 300, "published_steps": 1200, "training_rows": 60_000,
        "obtained": {
            "estimator": "elbo", "samples": 10, "rows": 500, "nats": 101.5,
            "standard_error": 0.25, "monte_carlo_error": 0.03,
        },
        "active_units": 8, "latents": 10, "seconds": {"training": 1.0, "evaluation": 2.0},
        "machine": {
            "gpu": None, "cpu": "a processor", "cores": 2, "date": "2026-01-02T03:04:05",
            "versions": {"elbax": "1", "jax": "2", "numpyro": "3", "optax": "4"},
        },
    }  # fmt: skip
    target = {
        "what": "VAE",
        "figure": 100.0,
        "active": None,
        "source": "a paper",
        "deviations": "none",
    }
    page = table.render([{"name": "aevb-10", "target": target, "runs": [run]}])
    row = "| 100.00 | 101.50 ± 0.25 (0.03) | +1.50 | 8 of 10 | 300 of 1,200: 25 %, shorter | 1 |"
    assert f"| `aevb-10` | VAE {row}" in page
    assert "on the first 500 test rows" in page
    for name in set(TARGETS) - {"aevb-10"}:
        assert f"`{name}`" not in page


def test_the_papers_lengths_in_steps():
    # 300 epochs of 600 batches; 3,280 epochs of 2,980.
    assert TARGETS["aevb-3"].steps(60_000) == 180_000
    assert TARGETS["iwae-50"].steps(59_600) == 3280 * 2980


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_is_settings_that_elbax_has(name):
    options = TARGETS[name].options(seed=3)
    assert options.run.seed == 3
    for option, value in TARGETS[name].changes.items():
        if option == "objective":
            assert options.training.objective.name == value
        elif option in SHORT:
            assert dict(options.training.objective.options)[SHORT[option]] == value
        else:
            section = section_of(option)
            assert section is not None
            assert getattr(getattr(options, section), option) == value
