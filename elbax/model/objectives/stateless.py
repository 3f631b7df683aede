"""The base of the objectives that carry nothing from one step to the next."""

import abc

from jaxtyping import Array, Int, PRNGKeyArray, PyTree, Scalar

from elbax.model.compatibility import check_objective
from elbax.model.interfaces import AbstractObjective, Batch, Metrics
from elbax.model.latent_variable_model import LatentVariableModel


class AbstractStatelessObjective(AbstractObjective):
    """A loss of a batch alone: there is no state, and the model is judged before the loss."""

    def init(self, model: LatentVariableModel) -> None:
        """There is no state."""

    def __call__(
        self,
        model: LatentVariableModel,
        batch: Batch,
        *,
        state: PyTree,
        step: Int[Array, ""],
        key: PRNGKeyArray,
    ) -> tuple[Scalar, tuple[PyTree, Metrics]]:
        """The loss, and the metrics with it among them.

        Raises:
            ValueError: The objective is not defined for the posterior or the prior.
        """
        check_objective(self, model)
        loss, metrics = self.loss(model, batch, step=step, key=key)
        return loss, (state, {"loss": loss, **metrics})

    @abc.abstractmethod
    def loss(
        self, model: LatentVariableModel, batch: Batch, *, step: Int[Array, ""], key: PRNGKeyArray
    ) -> tuple[Scalar, Metrics]:
        """The loss of a batch in nats per datum, and the other metrics.

        Args:
            model: A model that suits the objective.
            batch: Preprocessed rows.
            step: How many steps were taken before this one.
            key: This step's randomness.
        """
