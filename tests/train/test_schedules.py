"""Schedules against their formulas."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from elbax.train.schedules import LEARNING_RATES, kl_weight, learning_rate, target_rate

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


@pytest.mark.parametrize(("steps", "cycles", "rise"), [(100, 4, 0.5), (90, 4, 0.3), (50, 3, 1.0)])
def test_kl_weight_grows_again_in_each_cycle(steps, cycles, rise):
    # Fu et al. 2019, eq. 6–7, in exact arithmetic.
    schedule = kl_weight(2.0, cycles=cycles, steps=steps, rise=rise)
    assert callable(schedule)
    found = np.array(jax.vmap(schedule)(jnp.arange(steps)))
    period = Fraction(steps, cycles)
    place = [float(Fraction(step) % period / period) for step in range(steps)]
    assert np.allclose(found, 2.0 * np.minimum(np.array(place) / rise, 1), rtol=1e-5)
    assert np.sum(np.diff(found) < 0) == cycles - 1
    # Validation passes the length of the run, and judges by the final weight.
    assert float(schedule(jnp.asarray(steps))) == 2.0


def test_kl_weight_refuses_impossible_cycles():
    for wrong, words in (
        ({"cycles": 0}, "cycles is 0"),
        ({"cycles": 2}, "2 cycles in a run of None steps"),
        ({"cycles": 4, "steps": 3}, "4 cycles in a run of 3 steps"),
        ({"cycles": 2, "steps": 9, "rise": 0.0}, "rise is 0"),
        ({"cycles": 2, "steps": 9, "warm_up": 3}, "each cycle has its own rise"),
    ):
        with pytest.raises(ValueError, match=words):
            kl_weight(1.0, **wrong)


def test_target_rate_grows_linearly_from_zero():
    assert target_rate(25.0) == 25.0
    schedule = target_rate(25.0, grows=10)
    assert callable(schedule)
    found = [float(schedule(step)) for step in (0, 4, 10, 99)]
    assert np.allclose(found, [0.0, 10.0, 25.0, 25.0])
