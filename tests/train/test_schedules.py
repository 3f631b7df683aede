"""Schedules against their formulas."""

import numpy as np
import pytest

from elbax.train.schedules import LEARNING_RATES, kl_weight, learning_rate

STEPS, PEAK = 100, 0.3

FORMULAS = {
    "constant": lambda t, length: np.ones_like(t),
    "cosine": lambda t, length: 0.5 * (1 + np.cos(np.pi * np.minimum(t / length, 1))),
    "exponential": lambda t, length: 0.01 ** (t / length),
    # Burda et al. 2015, §5: 10^(−i/7) for 3^i epochs; 1, 4, 13, … of 3,280 are over after stage i.
    "staged": lambda t, length: (
        10 ** (-np.searchsorted(np.cumsum(3 ** np.arange(7)) / 3280, t / length, "right") / 7)
    ),
}


def test_every_schedule_has_its_formula():
    assert set(FORMULAS) == set(LEARNING_RATES)


@pytest.mark.parametrize("name", list(FORMULAS))
@pytest.mark.parametrize("warm_up", [0, 1, 10])
def test_learning_rate_rises_linearly_then_follows_its_formula(name, warm_up):
    schedule = learning_rate(name, PEAK, steps=STEPS, warm_up=warm_up)
    t = np.arange(STEPS + 1)
    found = np.array([float(schedule(i)) for i in t])
    after = t >= warm_up
    expected = PEAK * FORMULAS[name](t[after] - warm_up, STEPS - warm_up)
    assert np.allclose(found[after], expected, rtol=1e-5, atol=1e-7)
    # The first step is worth taking, the last of the warm-up has the whole rate.
    assert np.allclose(found[~after], PEAK * (t[~after] + 1) / max(warm_up, 1), rtol=1e-5)


def test_the_stages_at_the_papers_length_are_its_epochs():
    schedule = learning_rate("staged", 1e-3, steps=3280 * 3000)
    start = 0
    for i in range(8):
        stage = [float(schedule(step)) for step in (start, start + 3**i * 3000 - 1)]
        assert np.allclose(stage, 1e-3 * 10 ** (-i / 7), rtol=1e-6)
        start += 3**i * 3000
    assert start == 3280 * 3000


def test_learning_rate_refuses_another_name():
    with pytest.raises(ValueError, match="it can be constant, cosine, exponential"):
        learning_rate("linear", PEAK, steps=STEPS)


def test_kl_weight_grows_linearly_from_zero():
    assert kl_weight(4.0) == 4.0
    schedule = kl_weight(4.0, warm_up=8)
    assert callable(schedule)
    found = [float(schedule(step)) for step in range(20)]
    assert np.allclose(found, 4.0 * np.minimum(np.arange(20) / 8, 1))
