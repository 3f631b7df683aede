"""The functions of a model, each traced, written and checked: for every format the same."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from elbax.export import checking
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.program.functions import Function, Units, functions
from elbax.program.lowering import Untraceable
from elbax.program.steps import Program
from elbax.program.tracing import trace, trace_drawing


@dataclasses.dataclass(frozen=True)
class Traced:
    """A function of a model as a program.

    Attributes:
        name: What it is called.
        function: The function.
        program: Its steps.
        noise: From a key to the inputs that stand for it, where it draws.
    """

    name: str
    function: Function
    program: Program
    noise: Callable[[Any], Any] | None = None


@dataclasses.dataclass(frozen=True)
class Exported:
    """A function that was written.

    Attributes:
        name: What it is called.
        words: What it gives.
        deviation: The greatest difference from the model (`checking.deviation`); None where it was
            not compared.
    """

    name: str
    words: str
    deviation: float | None


@dataclasses.dataclass(frozen=True)
class Export:
    """What became of a model's functions.

    Attributes:
        written: Those that were written.
        left_out: Why others were not, by name.
    """

    written: tuple[Exported, ...]
    left_out: dict[str, str]


def traced(
    model: LatentVariableModel, shape: tuple[int, ...], units: Units
) -> tuple[list[Traced], dict[str, str]]:
    """The functions of a model that can be traced, and why others cannot."""
    found, left_out = [], {}
    for name, function in functions(model, shape, units).items():
        try:
            if function.draws:
                program, noise = trace_drawing(function.call, **function.inputs)
            else:
                program, noise = trace(function.call, **function.inputs), None
            found.append(Traced(name, function, program, noise))
        except (Untraceable, NotImplementedError) as error:
            left_out[name] = str(error) or "it has no density"
    return found, left_out


def deviation(
    one: Traced, rows: dict[str, np.ndarray], run: Callable[[dict[str, np.ndarray]], Any]
) -> float:
    """How far what `run` gives is from what the model gives."""
    given, wanted = checking.wanted(one.function, rows, one.noise)
    return checking.deviation([np.asarray(a) for a in run(given)], wanted)
