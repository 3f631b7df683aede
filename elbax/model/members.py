"""Several models of one composition that are one: p(x) is the mean of theirs.

Models that start at other weights err differently, and the mean of them errs less (Lakshminarayanan
et al. 2017). They are trained side by side in one compiled program.
"""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray, PyTree, Scalar

from elbax.model.interfaces import AbstractObjective, Batch, Metrics, MovesModel
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.model.preprocessing import Preprocessing


class Members(eqx.Module):
    """Models of one composition, each with parameters of its own: p(x) = 1/E Σ_e p_e(x).

    Attributes:
        stacked: All of them, every array with a leading axis.
        count: How many there are, E.
    """

    stacked: LatentVariableModel
    count: int = eqx.field(static=True)

    @staticmethod
    def of(models: Sequence[LatentVariableModel]) -> "Members":
        """The models together.

        Args:
            models: At least one; they differ in their arrays alone.
        """
        return Members(_stacked(models), len(models))

    def at(self, i: int) -> LatentVariableModel:
        """One of them."""
        return jax.tree.map(lambda a: a[i] if eqx.is_array(a) else a, self.stacked)

    def map(self, function: Callable[..., Any], *others: PyTree) -> Any:
        """`function(model, *others)` of each, along a leading axis; the others have one too."""
        return eqx.filter_vmap(function)(self.stacked, *others)

    @property
    def preprocessing(self) -> Preprocessing:
        """That of all."""
        return self.at(0).preprocessing

    @property
    def latent_dim(self) -> int:
        """That of each."""
        return self.stacked.latent_dim


class OfMembers(AbstractObjective):
    """An objective for each member, summed: the gradient of each is that of its own.

    All see the same rows, with noise of their own. Metrics are means over the members: of bounds a
    bound on log p of them together, since a logarithm of a mean is above the mean of logarithms.

    Attributes:
        each: Their objectives, every array with a leading axis.
        count: How many there are.
    """

    each: AbstractObjective
    count: int = eqx.field(static=True)

    @staticmethod
    def of(objectives: Sequence[AbstractObjective]) -> "OfMembers":
        """The objectives together, of as many members."""
        return OfMembers(_stacked(objectives), len(objectives))

    def init(self, model: Members) -> PyTree:
        """The states of their objectives."""
        return eqx.filter_vmap(lambda each, member: each.init(member))(self.each, model.stacked)

    def __call__(
        self,
        model: Members,
        batch: Batch,
        *,
        state: PyTree,
        step: Int[Array, ""],
        key: PRNGKeyArray,
    ) -> tuple[Scalar, tuple[PyTree, Metrics]]:
        """The sum of their losses; states of each, and the metrics' means."""

        def of_one(
            each: AbstractObjective, member: LatentVariableModel, state: PyTree, key: PRNGKeyArray
        ) -> Any:
            return each(member, batch, state=state, step=step, key=key)

        keys = jax.random.split(key, self.count)
        losses, (states, metrics) = eqx.filter_vmap(of_one)(self.each, model.stacked, state, keys)
        return jnp.sum(losses), (states, jax.tree.map(lambda m: jnp.mean(m, axis=0), metrics))

    def moved(self, model: Members, state: PyTree) -> Members:
        """The members, each with what its objective moves itself."""
        if not isinstance(self.each, MovesModel):
            return model
        stacked = eqx.filter_vmap(lambda each, member, state: each.moved(member, state))(
            self.each, model.stacked, state
        )
        return Members(stacked, self.count)


def _stacked(modules: Sequence[Any]) -> Any:
    arrays = [eqx.filter(module, eqx.is_array) for module in modules]
    static = eqx.filter(modules[0], eqx.is_array, inverse=True)
    return eqx.combine(jax.tree.map(lambda *a: jnp.stack(a), *arrays), static)
