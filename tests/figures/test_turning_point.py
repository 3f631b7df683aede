import numpy as np
import pytest

from elbax.figures.train_process import _headline, log_bins, turning_point

STEP = np.arange(1, 10_001)


def spike_fall_rise(turn=80, spike=55.0):
    """What MNIST does: a spike at step 6, a valley at `turn`, a slow rise."""
    peak = spike * np.exp(-(np.log(STEP / 6) ** 2) / 0.3)
    return peak + 2 + 3 * np.log(STEP / turn) ** 2


def test_the_spike_is_skipped_and_the_valley_found():
    found = turning_point(STEP, spike_fall_rise())
    assert found == pytest.approx(80, rel=0.08)


@pytest.mark.parametrize("seed", range(5))
def test_noise_of_single_steps_does_not_move_it_far(seed):
    noise = np.random.default_rng(seed).normal(scale=0.5, size=len(STEP))
    found = turning_point(STEP, spike_fall_rise() + noise)
    assert found is not None
    assert 50 < found < 130


def test_a_fall_without_a_spike_counts_too():
    found = turning_point(STEP, 3 + np.log(STEP / 200) ** 2)
    assert found == pytest.approx(200, rel=0.08)


def test_a_curve_that_only_rises_has_none():
    assert turning_point(STEP, np.log(STEP)) is None


def test_a_curve_that_only_falls_has_none():
    assert turning_point(STEP, 50 / STEP) is None


def test_a_spike_after_which_the_curve_only_falls_has_none():
    assert turning_point(STEP, 55 * np.exp(-(np.log(STEP / 6) ** 2) / 0.3)) is None


def test_a_dent_on_the_way_down_is_not_it():
    """The curve rises again after step 20, but falls below that later: it did not turn for good."""
    dent = 6 * np.exp(-((np.log(STEP / 35)) ** 2) / 0.05)
    assert turning_point(STEP, 60 / np.sqrt(STEP) + dent) is None


@pytest.mark.parametrize("seed", range(20))
def test_noise_about_a_constant_has_none(seed):
    kl = 10 + np.random.default_rng(seed).normal(size=3000)
    assert turning_point(np.arange(1, 3001), kl) is None


def test_values_that_are_not_finite_are_left_out():
    kl = spike_fall_rise()
    kl[[0, 70, 5000]] = np.nan, np.inf, np.nan
    assert turning_point(STEP, kl) == pytest.approx(80, rel=0.08)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_steps_have_none(count):
    assert turning_point(np.arange(1, count + 1), np.ones(count)) is None


def test_bins_keep_the_first_steps_apart_and_average_the_later_ones():
    value = STEP.astype(float)
    middle, mean, which = log_bins(STEP, value)
    np.testing.assert_array_equal(middle[:9], np.arange(1, 10))
    np.testing.assert_allclose(mean, middle)
    np.testing.assert_allclose(
        mean, [value[which == index].mean() for index in range(which.max() + 1)]
    )


@pytest.mark.parametrize(("end", "says"), [(0.9, "while training"), (9.0, "The KL turns")])
def test_the_headline_tells_of_no_rise_below_a_nat(end, says):
    step = np.arange(1, 1001)
    kl = np.interp(np.log(step), np.log([1, 30, 1000]), [20.0, 0.01, end])
    assert says in _headline({"step": step, "kl": kl, "elbo": -kl}, 30)
