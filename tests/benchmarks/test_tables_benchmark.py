"""docs/tables-benchmark.md is made of what was recorded; the holes and splits are what it says."""

import re

import numpy as np
import pytest

from benchmarks.tables import __main__ as tables_benchmark
from benchmarks.tables import page, sets, work


def test_the_page_is_made_of_the_recorded_units():
    written = tables_benchmark.PAGE.read_text(encoding="utf-8")
    assert written == page.render(tables_benchmark.recorded())


@pytest.mark.parametrize("name", ["iris", "linnerud"])
def test_scales_are_of_the_observed_training_cells(name):
    table = sets.load(name)
    rows = sets.holed(table, 0.5, 1)
    assert np.isnan(np.concatenate(rows[:3])).mean() == pytest.approx(0.5, abs=0.12)
    np.testing.assert_allclose(np.nanmean(rows.train, axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(np.nanstd(rows.train, axis=0), 1.0)
    seen = ~np.isnan(rows.test)
    np.testing.assert_array_equal(rows.test[seen], rows.whole[seen])
    assert len(rows.train) + len(rows.validation) + len(rows.test) == len(table.x)


def test_outliers_are_of_one_class_and_never_trained_on():
    table = sets.load("wine")
    assert table.classes is not None
    sizes = set()
    for outlying in range(3):
        rows, strange = sets.without(table, outlying, 0)
        sizes.add(len(rows.fitting))
        assert strange.sum() == (table.classes == outlying).sum()
        assert len(rows.fitting) + len(rows.test) == len(table.x)
    assert len(sizes) == 1


def test_a_unit_is_named_once():
    names = [unit.name for unit in work.units(2)]
    assert len(set(names)) == len(names)


def test_the_best_of_a_row_is_bold_and_losses_are_said():
    machine = {"gpu": None, "cpu": "a processor", "cores": 2, "python": "3", "commit": "c",
               "versions": {"elbax": "1", "jax": "2", "numpy": "3"}}  # fmt: skip
    records = [
        {
            "task": "density", "table": "iris", "what": 0, "seed": seed, "machine": machine,
            "nats": {"elbax": -2.0 + seed, "Gaussian": -1.0 + seed}, "rows": 9,
            "seconds": {"elbax": 1.0}, "sklearn": "1", "settings": {},
        }
        for seed in (0, 1)
    ]  # fmt: skip
    text = page.render(records)
    assert "| iris | -1.50 ± 0.71 | **-0.50 ± 0.71** | 2 |" in text
    assert "densities: the best mean in 0 of 1 (of 2 seeds); not in iris (Gaussian)" in text
    assert "## Outliers" not in text


def test_the_readme_says_the_same():
    written = tables_benchmark.PAGE.read_text(encoding="utf-8")
    best = re.findall(r"the best mean in (\d+) of (\d+)", written)
    readme = (tables_benchmark.ROOT / "README.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"the best mean imputation in .*?, beside scikit-learn", readme, re.DOTALL)
    assert re.findall(r"(\d+) of\s+(\d+)", line) == best
