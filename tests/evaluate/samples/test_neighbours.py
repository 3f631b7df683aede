"""Nearest rows, against scikit-learn's."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.neighbors import NearestNeighbors

from elbax.evaluate.samples import neighbours
from elbax.evaluate.samples.neighbours import nearest


@pytest.mark.parametrize("size", [64_000_000, 96])
def test_the_nearest_are_scikit_learns_nearest_first(size, monkeypatch):
    monkeypatch.setattr(neighbours, "_BYTES", size)  # the second: three queries at a time
    draw = np.random.default_rng(0)
    rows, queries = 50.0 + draw.random((8, 20)), 50.0 + draw.random((7, 20))
    queries[3] = rows[5]
    expected, which = NearestNeighbors(n_neighbors=4).fit(rows).kneighbors(queries)
    found, distances = nearest(rows, queries, 4)
    assert_array_equal(found, which)
    assert_allclose(distances, expected, rtol=1e-5, atol=1e-5)  # its own copies are not at 0
    assert distances[3, 0] == 0.0


def test_all_of_the_rows_may_be_asked_for():
    found, distances = nearest(np.array([[3.0], [1.0], [2.0]]), np.array([[0.0]]), 3)
    assert found.tolist() == [[1, 2, 0]]
    assert_allclose(distances, [[1.0, 2.0, 3.0]])
