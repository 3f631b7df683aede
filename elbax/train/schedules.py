"""Learning rates and KL weights as functions of the step: optax' schedules, by name."""

from collections.abc import Callable
from typing import Any

import optax

LEARNING_RATES = ("constant", "cosine", "exponential")


def learning_rate(name: str, peak: float, *, steps: int, warm_up: int = 0) -> Callable[[Any], Any]:
    """A learning rate as a function of the step.

    Args:
        name: "constant"; "cosine", down to 0 at `steps` (Loshchilov & Hutter 2017); or
            "exponential", down to a hundredth at `steps`.
        peak: The rate after the warm-up.
        steps: The length of the run.
        warm_up: Steps over which the rate grows linearly from 0; the schedule begins after them.

    Raises:
        ValueError: The name is unknown.
    """
    length = max(steps - warm_up, 1)
    schedules = {
        "constant": lambda: optax.constant_schedule(peak),
        "cosine": lambda: optax.cosine_decay_schedule(peak, length),
        "exponential": lambda: optax.exponential_decay(peak, length, 0.01),
    }
    if name not in schedules:
        raise ValueError(
            f"learning-rate schedule is {name!r}; it can be {', '.join(LEARNING_RATES)}"
        )
    if warm_up == 0:
        return schedules[name]()
    # The first step is already worth taking: warm from peak / warm_up, not from 0.
    rise = optax.linear_schedule(peak / warm_up, peak, max(warm_up - 1, 1))
    return optax.join_schedules([rise, schedules[name]()], [warm_up])


def kl_weight(beta: float, *, warm_up: int = 0) -> float | Callable[[Any], Any]:
    """The weight of the KL: β, grown from 0 over `warm_up` steps (Sønderby et al. 2016)."""
    return optax.linear_schedule(0.0, beta, warm_up) if warm_up else beta
