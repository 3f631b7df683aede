"""Rubin's rules, against numbers that others published and against repeated experiments."""

import numpy as np
import pytest
from scipy import stats

import elbax
from elbax.evaluate import pool


def test_the_degrees_of_freedom_are_the_published_ones():
    """SAS/STAT's guide, "Combining inferences": with m = 5 and r = 10 % they are 484."""
    within = 1.0
    spread = np.array([-2, -1, 0, 1, 2]) / np.sqrt(2.5)  # of variance 1
    estimates = 3 + spread * np.sqrt(0.1 * within / (1 + 1 / 5))
    found = pool(estimates, np.full(5, within))
    assert found.degrees_of_freedom == pytest.approx(484)
    assert found.estimate == pytest.approx(3)
    assert found.total == pytest.approx(1.1)
    r, v = 0.1, 484
    assert found.missing_information == pytest.approx((r + 2 / (v + 3)) / (r + 1))


def test_they_are_never_more_than_those_of_a_whole_table():
    """Barnard and Rubin (1999): 1/ν = 1/ν_m + 1/ν_obs, and without holes (ν+1)/(ν+3) ν."""
    same = pool(np.full(4, 2.0), np.full(4, 0.5), complete=20.0)
    assert same.degrees_of_freedom == pytest.approx(21 / 23 * 20)
    assert same.missing_information == pytest.approx(2 / (21 / 23 * 20 + 3))
    varied = pool([1.0, 1.4, 0.9, 1.2], [0.2, 0.21, 0.19, 0.2], complete=20.0)
    share = 1.25 * np.var([1.0, 1.4, 0.9, 1.2], ddof=1)
    share = share / (0.2 + share)
    parts = 3 / share**2, 21 / 23 * 20 * (1 - share)
    assert varied.degrees_of_freedom == pytest.approx(1 / (1 / parts[0] + 1 / parts[1]))


def test_intervals_hold_the_mean_as_often_as_they_say():
    """A normal mean with 40 % of the rows missing, imputed from the exact predictive."""
    rng = np.random.default_rng(0)
    n, seen, m, covered = 30, 18, 10, []
    for _ in range(2000):
        x = rng.normal(1.0, 2.0, seen)
        variance = (seen - 1) * x.var(ddof=1) / rng.chisquare(seen - 1, m)
        mean = x.mean() + np.sqrt(variance / seen) * rng.normal(size=m)
        drawn = mean[:, None] + np.sqrt(variance)[:, None] * rng.normal(size=(m, n - seen))
        whole = np.hstack([np.tile(x, (m, 1)), drawn])
        found = pool(whole.mean(1), whole.var(1, ddof=1) / n, complete=n - 1.0)
        low, high = found.interval(0.9)
        covered.append(low <= 1.0 <= high)
    error = np.sqrt(0.9 * 0.1 / 2000)
    assert abs(np.mean(covered) - 0.9) < 5 * error


def test_it_works_on_several_quantities_at_once():
    rng = np.random.default_rng(1)
    estimates, variances = rng.normal(size=(6, 2, 3)), rng.random((6, 2, 3))
    found = elbax.pool(estimates, variances, complete=50.0)
    one = pool(estimates[:, 1, 2], variances[:, 1, 2], complete=50.0)
    assert found.standard_error[1, 2] == pytest.approx(one.standard_error)
    low, high = found.interval()
    reach = stats.t.ppf(0.975, found.degrees_of_freedom) * found.standard_error
    np.testing.assert_allclose((high - low) / 2, reach)


@pytest.mark.parametrize(
    ("estimates", "variances", "words"),
    [
        ([1.0], [1.0], "two or more completed tables"),
        (1.0, 1.0, "two or more completed tables"),
        ([1.0, 2.0], [1.0, 2.0, 3.0], "two or more completed tables"),
        ([1.0, 2.0], [1.0, -2.0], "not negative"),
        ([1.0, np.nan], [1.0, 2.0], "finite"),
    ],
)
def test_what_cannot_be_pooled_is_refused(estimates, variances, words):
    with pytest.raises(ValueError, match=words):
        pool(estimates, variances)


def test_a_level_is_between_0_and_1():
    with pytest.raises(ValueError, match="between 0 and 1"):
        pool([1.0, 2.0], [1.0, 1.0]).interval(1.0)
