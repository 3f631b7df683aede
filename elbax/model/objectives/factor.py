"""Total correlation by a discriminator."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, Scalar

from elbax.model.interfaces import Batch, Metrics
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.model.networks.dense import MLP
from elbax.model.objectives.stateless import AbstractStatelessObjective
from elbax.model.objectives.terms import batch_draws, check_not_negative, metrics


class FactorVAE(AbstractStatelessObjective):
    """−ELBO + γ TC(z), with total correlation by density ratio (Kim & Mnih 2018, eq. 2 and 3).

    A discriminator learns to distinguish draws z ~ q(z) from draws of ∏ⱼ q(zⱼ): the same draws with
    each latent permuted over the batch. Its log-odds are then log q(z) / ∏ⱼ q(zⱼ), whose average is
    the total correlation that the model is charged for. It is a part of this objective: one
    optimizer trains both, and a stop-gradient on either side keeps each to its own loss. (Theirs
    has an optimizer of its own, and permutes the draws of a second batch; here both come from one.)

    Attributes:
        discriminator: From a latent to two logits: of z ~ q(z), and of permuted draws.
    """

    name: ClassVar[str] = "factor"
    compares_rows: ClassVar[bool] = True
    true_gradient: ClassVar[bool] = False

    gamma: float
    discriminator: MLP

    def __init__(
        self,
        latent_dim: int,
        gamma: float = 10.0,
        width: int = 1000,
        layers: int = 6,
        *,
        key: PRNGKeyArray,
    ) -> None:
        """Makes the objective.

        Args:
            latent_dim: The number of dimensions of z.
            gamma: The weight of the total correlation.
            width: The units of each hidden layer of the discriminator; 1,000 is theirs.
            layers: Its hidden layers; 6 is theirs.
            key: The randomness of its weights.

        Raises:
            ValueError: γ is negative, or a size not positive.
        """
        check_not_negative(gamma=gamma)
        self.gamma = gamma
        self.discriminator = MLP(latent_dim, (width,) * layers, 2, "leaky-relu", key=key)

    def loss(
        self, model: LatentVariableModel, batch: Batch, *, step: Int[Array, ""], key: PRNGKeyArray
    ) -> tuple[Scalar, Metrics]:
        """The model's loss; its gradient is of the discriminator's loss as well.

        Metrics as `NegativeELBO`'s, and `total_correlation`, as the discriminator sees it (not
        below 0 only when it is good), and `discriminator_loss`: its cross-entropy in nats, log 2
        where it cannot distinguish them.
        """
        del step
        noise, order = jax.random.split(key)
        z, mean = batch_draws(model, batch, noise)

        # The model's side of the game: the discriminator is what it is.
        logits = jax.vmap(jax.lax.stop_gradient(self.discriminator))(z)
        total_correlation = jnp.mean(logits[:, 0] - logits[:, 1])
        loss = self.gamma * total_correlation - mean.bound
        # The discriminator's: the draws are what they are. It adds a gradient, and nothing to the
        # loss that training is judged by.
        game = self._cross_entropy(jax.lax.stop_gradient(z), order)
        found = {"total_correlation": total_correlation, "discriminator_loss": game}
        found = {"loss": loss, **metrics(mean), **found}
        return loss + (game - jax.lax.stop_gradient(game)), found

    def _cross_entropy(self, z: Float[Array, "rows latent"], key: PRNGKeyArray) -> Scalar:
        permuted = jax.random.permutation(key, z, axis=0, independent=True)
        together = jax.nn.log_softmax(jax.vmap(self.discriminator)(z))[:, 0]
        apart = jax.nn.log_softmax(jax.vmap(self.discriminator)(permuted))[:, 1]
        return -0.5 * (jnp.mean(together) + jnp.mean(apart))
