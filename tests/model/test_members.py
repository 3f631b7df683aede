"""Several models as one: the mixture of them in closed form, and gradients that stay apart."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy.special import softmax
from scipy.stats import multivariate_normal

from elbax.evaluate.imputation import impute, impute_means
from elbax.model import ImportanceWeightedELBO, LatentVariableModel, Members, OfMembers
from elbax.model.interfaces import Batch
from elbax.train.members import together
from elbax.train.state import init_state
from elbax.train.trainer import Trainer
from tests.evaluate.test_imputation import conditional, holed
from tests.linear_gaussian import LinearGaussian


def two() -> tuple[list[LinearGaussian], list[LatentVariableModel], np.ndarray]:
    """The exact model, and another whose data lie elsewhere."""
    oracle, model, x = holed()
    shift = np.array([0.3, -0.4, 0.8, -0.5])
    other = dataclasses.replace(oracle, bias=oracle.bias + shift)
    moved = eqx.tree_at(
        lambda m: m.decoder.network.layers[-1].bias,
        model,
        replace_fn=lambda bias: bias + shift.astype(np.float32),
    )
    return [oracle, other], [model, moved], x


def test_cells_are_filled_by_the_mixture_of_the_members():
    oracles, models, x = two()
    found = impute_means(Members.of(models), x, key=jax.random.key(0), samples=20_000)
    apart = []
    for i, row in enumerate(x[:3]):
        gone, logs, means = np.isnan(row), [], []
        for oracle in oracles:
            covariance = oracle.weight @ oracle.weight.T + oracle.scale**2 * np.eye(4)
            inner: Any = covariance[np.ix_(~gone, ~gone)]
            seen = multivariate_normal(oracle.bias[~gone], inner)
            logs.append(seen.logpdf(row[~gone]))
            means.append(conditional(oracle, row)[0])
        wanted = softmax(logs) @ np.array(means)
        error = 10 * oracles[0].scale / np.sqrt(found.effective_sample_size[i])
        np.testing.assert_allclose(found.value[i, gone], wanted, atol=error)
        apart.append(np.abs(np.array(means) - wanted).max(axis=1).min() / error)
    assert max(apart) > 3  # no member alone has the mixture's mean


def test_one_member_is_the_model_itself():
    _, (model, _), x = two()
    alone = impute(model, x, key=jax.random.key(1), samples=30)
    found = impute(Members.of([model]), x, key=jax.random.key(1), samples=30)
    for field in dataclasses.fields(alone):
        wanted = getattr(alone, field.name)
        np.testing.assert_allclose(getattr(found, field.name), wanted, rtol=1e-4, atol=1e-4)


def test_a_member_has_the_gradient_and_the_clipped_step_of_its_own():
    _, models, x = two()
    goal, mover = (
        ImportanceWeightedELBO(3),
        optax.chain(optax.clip_by_global_norm(0.1), optax.sgd(1.0)),
    )
    trainers = []
    for i, model in enumerate(models):
        state = init_state(model, goal, mover, jax.random.key(i), keep_best=False)
        trainers.append(Trainer(model, goal, mover, state))
    both = together(trainers)
    members, of_both = both.model, both.objective
    assert isinstance(members, Members)
    assert isinstance(of_both, OfMembers)
    batch, key, step = Batch(jnp.asarray(x)), jax.random.key(5), jnp.asarray(0)

    def loss(model: Any, objective: Any, key: jax.Array) -> jax.Array:
        return objective(model, batch, state=None, step=step, key=key)[0]

    whole = eqx.filter_grad(loss)(members, of_both, key)
    pair: Any = (whole, None)
    states: Any = both.optimizer.update(pair, both.optimizer.init(pair))[0]
    for i, (model, own) in enumerate(zip(models, jax.random.split(key, 2), strict=True)):
        gradient = eqx.filter_grad(loss)(model, goal, own)
        step_of_one = mover.update(gradient, mover.init(gradient))[0]
        for a, b in ((whole, gradient), (states[0], step_of_one)):
            for stacked, alone in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
                np.testing.assert_allclose(stacked[i], alone, rtol=2e-3, atol=1e-4)
