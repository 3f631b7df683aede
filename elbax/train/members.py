"""Several trainers of one composition as one, whose models are trained side by side."""

from collections.abc import Sequence

import jax
import optax

from elbax.model.latent_variable_model import LatentVariableModel
from elbax.model.members import Members, OfMembers
from elbax.train.state import init_state
from elbax.train.trainer import Trainer


def together(trainers: Sequence[Trainer]) -> Trainer:
    """One trainer for the models of all, before its first step.

    All see the same rows in the same order. Each has its own moments in the optimiser, and a norm
    that is clipped is that of its own gradient; validation judges their mean.

    Args:
        trainers: At least one, before their first step; they differ in their arrays alone.
    """
    first, models = (
        trainers[0],
        [t.model for t in trainers if isinstance(t.model, LatentVariableModel)],
    )
    model = Members.of(models)
    objective = OfMembers.of([t.objective for t in trainers])
    of_one = first.optimizer
    optimizer = optax.GradientTransformation(jax.vmap(of_one.init), jax.vmap(of_one.update))
    state = init_state(
        model, objective, optimizer, first.state.key, keep_best=first.state.best is not None
    )
    return Trainer(model, objective, optimizer, state, first.programs)
