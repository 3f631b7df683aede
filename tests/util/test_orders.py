"""Orders are those that runs were trained in, whatever NumPy will make of its generators."""

import hashlib

import numpy as np
import pytest

from elbax.util import orders
from elbax.util.orders import permutation, shuffled

# SHA-256 of the order of 1,000 numbers, as NumPy 2.4 makes it.
PHILOX = "dc1c87848eb42290c7b8179bb4a032a2709aab3d44cb9b05bf822a18c82aee4b"


@pytest.mark.parametrize("n", [0, 1, 2, 3, 100, 60_001])
@pytest.mark.parametrize("kind", [np.random.Philox, np.random.PCG64])
def test_orders_are_those_of_this_numpy(n, kind):
    for seed in range(3):
        expected = np.random.Generator(kind(seed)).permutation(n)
        np.testing.assert_array_equal(shuffled(n, kind(seed)), expected)


@pytest.mark.parametrize("agrees", [True, False])
def test_an_order_stays_what_it_is(monkeypatch, agrees):
    assert orders._numpy_agrees()
    monkeypatch.setattr(orders, "_numpy_agrees", lambda: agrees)
    order = permutation(1000, np.random.Philox(key=np.array([1, 2], np.uint64)))
    assert hashlib.sha256(order.astype("<i8").tobytes()).hexdigest() == PHILOX
    assert sorted(order.tolist()) == list(range(1000))
