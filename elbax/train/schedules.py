"""Learning rates and KL weights as functions of the step: optax' schedules, by name."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import optax

LEARNING_RATES = ("constant", "cosine", "exponential", "staged")


def learning_rate(name: str, peak: Any, *, steps: int, warm_up: int = 0) -> Callable[[Any], Any]:
    """A learning rate as a function of the step.

    Args:
        name: "constant"; "cosine", down to 0 at `steps` (Loshchilov & Hutter 2017); "exponential",
            down to a hundredth at `steps`; or "staged", down to a tenth in the last of eight
            stages, each three times as long as the one before (Burda et al. 2015, §5).
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
        "staged": lambda: _staged(peak, length),
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


def _staged(peak: Any, length: int) -> Callable[[Any], Any]:
    """The rate of stage i = 0 … 7 is peak · 10^(−i/7), for 3^i parts of 3,280 of the run."""
    ends = np.cumsum(3.0 ** np.arange(7)) * length / np.sum(3.0 ** np.arange(8))
    starts = np.ceil(ends).astype(np.int32)  # of all stages but the first
    return lambda step: peak * 10.0 ** (-jnp.sum(step >= jnp.asarray(starts)) / 7)


def kl_weight(
    beta: float, *, warm_up: int = 0, cycles: int = 1, steps: int | None = None, rise: float = 0.5
) -> float | Callable[[Any], Any]:
    """The weight of the KL: β, grown from 0 once or again and again.

    Once is the warm-up of Sønderby et al. 2016, §2.3. With several cycles the run of `steps` steps
    is divided into as many equal parts; in each the weight grows linearly from 0 to β over a share
    `rise` of it, and stays there (Fu et al. 2019, eq. 6; four cycles and a half are theirs). From
    the last step on it is β, by which validation judges.

    Args:
        beta: β.
        warm_up: Steps over which it grows, with one cycle.
        cycles: How often it grows.
        steps: The length of the run; needed with several cycles.
        rise: The share of a cycle in which it grows; above 0, at most 1.

    Raises:
        ValueError: A number is out of range, or cycles come with a warm-up.
    """
    if not beta >= 0:
        raise ValueError(f"beta is {beta}; it must be at least 0")
    if cycles < 1 or warm_up < 0:
        raise ValueError(
            f"cycles is {cycles} and warm_up {warm_up}; they must be at least 1 and at least 0"
        )
    if cycles == 1:
        return KLWeight(beta, warm_up) if warm_up else beta
    if warm_up:
        raise ValueError(
            f"warm_up is {warm_up} with {cycles} cycles; each cycle has its own rise: leave it out"
        )
    if not 0 < rise <= 1:
        raise ValueError(f"rise is {rise}; it must be above 0 and at most 1")
    if steps is None or steps < cycles:
        raise ValueError(f"{cycles} cycles in a run of {steps} steps; give at least one step each")
    return KLWeight(beta, 0, cycles, steps, rise)


class KLWeight(eqx.Module):
    """A weight of the KL that grows with the step: what `kl_weight` makes, which says what it is.

    β is a leaf, so that models which differ by it alone train in one program.
    """

    beta: Any
    warm_up: int = eqx.field(static=True)
    cycles: int = eqx.field(static=True, default=1)
    steps: int = eqx.field(static=True, default=0)
    rise: float = eqx.field(static=True, default=0.5)

    def __call__(self, step: Any) -> Any:
        """The weight after so many steps."""
        if self.cycles == 1:
            return optax.linear_schedule(0.0, self.beta, self.warm_up)(step)
        # The remainder is taken of whole numbers: of fractions it would miss the start of a cycle.
        place = (step * self.cycles) % self.steps / self.cycles
        risen = jnp.minimum(place / (self.rise * (self.steps / self.cycles)), 1.0)
        return self.beta * jnp.where(step >= self.steps, 1.0, risen)


def target_rate(rate: float, *, grows: int = 0) -> float | Callable[[Any], Any]:
    """The rate C in nats, grown from 0 over `grows` steps (Burgess et al. 2018, §4.2)."""
    return optax.linear_schedule(0.0, rate, grows) if grows else rate
