"""The training state: a pytree of arrays, and the same as a flat dictionary of named arrays."""

from collections.abc import Mapping
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray, PyTree

from elbax.model.interfaces import AbstractObjective

M = TypeVar("M", bound=eqx.Module)
O = TypeVar("O", bound=AbstractObjective)  # noqa: E741
T = TypeVar("T")


class Best(eqx.Module):
    """The parameters with the lowest validation loss so far, with their own optimiser state."""

    parameters: PyTree
    optimizer_state: PyTree
    loss: Float[Array, "..."]
    step: Int[Array, "..."]


class State(eqx.Module):
    """All that changes during training: a pytree of arrays, to be saved, sharded, vmapped.

    That of several runs (`elbax.train.abreast`) has one more axis in front of every array.

    Attributes:
        parameters: The trainable arrays of the pair (model, objective), None elsewhere.
        optimizer_state: optax' own.
        objective_state: The objective's own.
        step: How many steps were taken.
        key: The key of the run; it never changes.
        best: The best parameters by validation; None where nothing validates.
    """

    parameters: PyTree
    optimizer_state: PyTree
    objective_state: PyTree
    step: Int[Array, "..."]
    key: Key[Array, "..."]
    best: Best | None


def init_state(
    model: eqx.Module,
    objective: AbstractObjective,
    optimizer: optax.GradientTransformation,
    key: PRNGKeyArray,
    *,
    keep_best: bool = True,
) -> State:
    """The state before the first step.

    Args:
        model: The model with its initial parameters.
        objective: The objective with its own.
        optimizer: An optax optimiser.
        key: The key of the run.
        keep_best: Whether to make room for the best parameters; `fit` fills it when it validates.
    """
    parameters = eqx.filter((model, objective), eqx.is_inexact_array)
    optimizer_state = jax.jit(optimizer.init)(parameters)
    step = jnp.zeros((), jnp.int32)
    best = Best(parameters, optimizer_state, jnp.asarray(jnp.inf), step) if keep_best else None
    return State(parameters, optimizer_state, objective.init(model), step, key, best)


def merge(parameters: PyTree, model: M, objective: O) -> tuple[M, O]:
    """Puts trained parameters (a `State`'s or a `Best`'s) back into the modules they came from."""
    return eqx.combine(parameters, (model, objective))


def to_arrays(state: PyTree) -> dict[str, np.ndarray]:
    """Each leaf of a state under its path; random keys as the integers that they are made of."""
    pairs, _ = jax.tree_util.tree_flatten_with_path(state)
    return {
        jax.tree_util.keystr(path).lstrip("."): np.asarray(_plain(leaf)) for path, leaf in pairs
    }


def from_arrays(like: T, arrays: Mapping[str, np.ndarray]) -> T:
    """The state that `to_arrays` flattened.

    Args:
        like: A state of the same structure, shapes and types.
        arrays: What `to_arrays` gave.

    Raises:
        ValueError: A name, a shape or a type differs.
    """
    expected = {name: (leaf.dtype, leaf.shape) for name, leaf in to_arrays(like).items()}
    found = {name: (leaf.dtype, leaf.shape) for name, leaf in arrays.items()}
    if found != expected:
        names = found.keys() | expected.keys()
        name = min(name for name in names if found.get(name) != expected.get(name))
        raise ValueError(f"the checkpoint is of another model or optimiser: {name} does not fit")
    old, structure = jax.tree.flatten(like)
    new = [
        jax.random.wrap_key_data(jnp.asarray(leaf)) if _is_key(template) else jnp.asarray(leaf)
        for template, leaf in zip(old, (arrays[name] for name in expected), strict=True)
    ]
    return jax.tree.unflatten(structure, new)


def _plain(leaf: Any) -> Any:
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(jnp.asarray(leaf).dtype, jax.dtypes.prng_key)
