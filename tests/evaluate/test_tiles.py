"""Keys by content: noise that knows what a row is, and not where it stands."""

import jax
import numpy as np

from elbax.evaluate import content_numbers, importance, score
from tests.linear_gaussian import example


def test_content_numbers_know_the_row_and_nothing_else():
    rows = np.array([[0.0, 1.0], [2.0, np.nan], [-0.0, 1.0], [2.0, -np.nan]], np.float32)
    numbers = content_numbers(rows)
    assert numbers[0] == numbers[2]
    assert numbers[1] == numbers[3]
    assert len(set(numbers.tolist())) == 2
    assert (numbers >= 0).all()
    np.testing.assert_array_equal(content_numbers(rows[::-1]), numbers[::-1])


def test_estimates_keyed_by_content_do_not_know_the_place():
    oracle = example()
    model, key = oracle.model(), jax.random.key(2)
    rows = oracle.draw(np.random.default_rng(0), 6).astype(np.float32)

    def estimate(rows):
        numbers = content_numbers(rows)
        found = importance(model, rows, key=key, samples=20, numbers=numbers)
        return found.log_likelihood

    def elements(rows):
        return score(model, rows, key=key, samples=20, numbers=content_numbers(rows)).elements

    np.testing.assert_array_equal(estimate(rows[::-1]), estimate(rows)[::-1])
    np.testing.assert_array_equal(elements(rows[::-1]), elements(rows)[::-1])
    by_place = importance(model, rows, key=key, samples=20)
    assert not np.array_equal(by_place.log_likelihood, estimate(rows))
