"""docs/imputers-benchmark.md is made of what was recorded; cells are hidden as it says."""

import numpy as np
import pytest

from benchmarks.imputers import __main__ as imputers_benchmark
from benchmarks.imputers import page, sets


def test_the_page_is_made_of_the_records():
    written = imputers_benchmark.PAGE.read_text(encoding="utf-8")
    assert written == page.render(imputers_benchmark.recorded())


@pytest.mark.parametrize("mechanism", sets.MECHANISMS)
def test_as_many_cells_are_hidden_as_asked_for_and_by_what_the_mechanism_says(mechanism):
    x = sets.load("diabetes", None)
    gone = np.concatenate([sets.hidden(x, mechanism, 0.3, seed) for seed in range(20)])
    n, rate = gone.size, gone.mean()
    assert abs(rate - 0.3) < 6 * np.sqrt(0.3 * 0.7 / n) + 0.01
    assert not gone.all(axis=1).any()
    repeated, column = np.tile(x, (20, 1)), 2
    depends = np.corrcoef(repeated[:, column], gone[:, column])[0, 1]
    if mechanism == "MCAR":
        assert abs(depends) < 5 / np.sqrt(len(gone))
    if mechanism == "MNAR":
        assert depends > 0.3
    if mechanism == "MAR":  # three columns of ten have no hole, and say of the others
        one = sets.hidden(x, mechanism, 0.3, 0)
        whole = np.flatnonzero(~one.any(axis=0))
        assert len(whole) == 3
        holed = np.setdiff1d(np.arange(10), whole)
        said = [np.corrcoef(x[:, w], one[:, h])[0, 1] for w in whole for h in holed]
        assert np.abs(said).max() > 0.3


def test_the_error_of_the_mean_is_that_of_the_hidden_cells_from_it():
    x = sets.load("iris", None)
    gone = sets.hidden(x, "MCAR", 0.3, 1)
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    found = sets.error(np.broadcast_to(x.mean(axis=0), x.shape), x, gone)
    assert found == pytest.approx(np.sqrt(np.mean(z[gone] ** 2)))
