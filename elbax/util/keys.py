"""The randomness that belongs to a seed: one key for each thing that draws."""

from __future__ import annotations

from typing import Any

import jax


def evaluation_key(seed: int) -> Any:
    """The randomness of evaluation that belongs to a seed."""
    return keys(seed)[2]


def keys(seed: int) -> tuple[Any, Any, Any]:
    """The keys of the initial parameters, of the run, and of evaluation."""
    model, run, evaluation = jax.random.split(jax.random.key(seed), 3)
    return model, run, evaluation
