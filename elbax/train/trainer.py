"""The driver of `fit`: a model in training, what trains it, and how far it is.

Runs on disk and the estimators both train through `Trainer.fit`; what they save, log and print
comes in as a callback.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from elbax.model.interfaces import AbstractObjective, Batch
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.model.members import Members
from elbax.train.feed import Streamed
from elbax.train.loop import Outcome, Report, fit
from elbax.train.state import Best, State, merge
from elbax.util.layout import Layout


class Diverged(RuntimeError):
    """The loss or a gradient stopped being finite.

    Attributes:
        report: The chunk in which it happened; its state is the last good one.
    """

    def __init__(self, message: str, report: Report) -> None:
        super().__init__(message)
        self.report = report


@dataclass(frozen=True)
class Trainer:
    """A model with its objective and optimiser, and the state that training has reached.

    Attributes:
        model: The model; the parameters in it are the initial ones.
        objective: What is minimised; likewise.
        optimizer: Of optax.
        state: The state, with the trained parameters.
        programs: What `fit` has compiled, by the shapes of the data, to be used again.
    """

    model: LatentVariableModel | Members
    objective: AbstractObjective
    optimizer: optax.GradientTransformation
    state: State
    programs: dict[Any, Any] = field(default_factory=dict)

    @property
    def parameter_count(self) -> int:
        """How many numbers are trained."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.state.parameters))

    @property
    def trained(self) -> tuple[Any, AbstractObjective]:
        """Model and objective with the parameters of the state."""
        return merge(self.state.parameters, self.model, self.objective)

    @property
    def best(self) -> Best | None:
        """The best parameters by validation; None where no validation was finite."""
        best = self.state.best
        return best if best is not None and np.isfinite(float(best.loss)) else None

    def fit(
        self,
        data: Batch | Streamed,
        *,
        batch_size: int,
        steps: int,
        validation: Batch | None = None,
        validate_every: int = 500,
        patience: int | None = None,
        callback: Callable[[Report], None] | None = None,
        interrupted: Callable[[], bool] | None = None,
        layout: Layout | None = None,
    ) -> tuple["Trainer", Outcome]:
        """Trains until `steps` steps are taken in all, patience is out, or it is interrupted.

        Args:
            data: The training rows as stored, on the device; or where they are read block by
                block.
            batch_size: Rows a step.
            steps: The step to train to.
            validation: Rows to validate on; the state must have room for the best parameters.
            validate_every: Steps between two validations; the last step validates too.
            patience: Stop after so many validations without a better one; None never stops early.
            callback: Called with the report of each chunk, of a diverged one too.
            interrupted: Asked after each chunk whether to stop.
            layout: Devices to spread each batch over; None: one.

        Returns:
            The trainer with the new state, and how training ended.

        Raises:
            Diverged: The loss or a gradient stopped being finite.
            ValueError: A batch is larger than the data, a number is not positive, or rows can no
                longer be read.
        """
        state, outcome = self.state, Outcome.FINISHED
        for report in fit(
            self.model,
            self.objective,
            data,
            optimizer=self.optimizer,
            batch_size=batch_size,
            steps=steps,
            state=state,
            transform=self.model.preprocessing,
            validation=validation,
            validate_every=validate_every,
            patience=patience,
            programs=self.programs,
            layout=layout,
        ):
            state = report.state
            if callback is not None:
                callback(report)
            if report.outcome is Outcome.DIVERGED:
                raise Diverged(report.message, report)
            stop = interrupted is not None and interrupted()
            if stop if layout is None else layout.any(stop):
                outcome = Outcome.INTERRUPTED
                break
            outcome = report.outcome or outcome
        return self.with_state(state), outcome

    def with_state(self, state: State) -> "Trainer":
        """The trainer at another state."""
        return dataclasses.replace(self, state=state)

    def with_room_for_best(self) -> "Trainer":
        """The trainer with no best parameters yet: the next validation that is finite sets them."""
        state = self.state
        best = Best(state.parameters, state.optimizer_state, jnp.asarray(jnp.inf), state.step)
        return self.with_state(dataclasses.replace(state, best=best))

    def at_best(self) -> "Trainer":
        """The trainer at its best parameters, where a validation was finite.

        The step stays that of the last parameters, so that training further draws new noise.
        """
        state, best = self.state, self.best
        if best is not None:
            state = dataclasses.replace(
                state, parameters=best.parameters, optimizer_state=best.optimizer_state
            )
        return self.with_state(dataclasses.replace(state, best=None))


class History:
    """A callback of `Trainer.fit` that keeps the metrics of every step and validation.

    Attributes:
        steps: How many steps were taken.
        validation_steps: After how many of them each validation was.
    """

    def __init__(self) -> None:
        self._metrics: list[dict[str, np.ndarray]] = []
        self._validation: list[dict[str, np.ndarray]] = []
        self.steps = 0
        self.validation_steps: list[int] = []

    def __call__(self, report: Report) -> None:
        """Keeps the metrics of a chunk."""
        self.steps += report.step - report.first_step
        self._metrics.append(report.metrics)
        if report.validation is not None:
            self._validation.append(report.validation)
            self.validation_steps.append(self.steps)

    @property
    def metrics(self) -> dict[str, np.ndarray]:
        """The objective's metrics of each step."""
        return _joined(self._metrics, np.concatenate)

    @property
    def validation(self) -> dict[str, np.ndarray]:
        """The same of the validation data, one entry a validation."""
        return _joined(self._validation, np.stack)


def _joined(
    found: list[dict[str, np.ndarray]], join: Callable[[list[np.ndarray]], np.ndarray]
) -> dict[str, np.ndarray]:
    if not found:
        return {}
    return {name: join([each[name] for each in found]) for name in found[0]}
