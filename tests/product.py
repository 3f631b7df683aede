"""The product of all parts that fit together, and what must hold of each composition.

The suite takes a pairwise cover of it (`tests/recipes/test_product.py`), and
`scripts/test-product` all of it. No part is named here: a new one joins by itself, and what is exempt says so by a trait.
"""

import functools
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from elbax.model import Batch, NegativeELBO, elbo_terms, load_model, save_model
from elbax.recipes import ModelOptions, parts
from elbax.recipes.choice import Choice
from elbax.recipes.compose import compose, likelihood_family
from elbax.recipes.fit import check
from elbax.recipes.options import PARTS
from tests.laws import MIXED, data_for, entries_used, filled

SHAPE = (4, 4, 1)
ROWS, DRAWS, STEPS = 6, 100, 20
# Of whatever part has such an option.
SMALL: dict[str, Any] = {
    "components": 2,
    "layers": 1,
    "width": 3,
    "context": 2,
    "reflections": 2,
    "categories": 2,
    "channels": (2,),
    "dense": (3,),
    "levels": 4,
    "columns": MIXED * 4,
}
MOVE = optax.adam(0.02)
GOAL = NegativeELBO()


class Composition(NamedTuple):
    """One part of each kind, by name, in the order of `PARTS`."""

    network: str
    prior: str
    posterior: str
    likelihood: str

    def choice(self, kind: str) -> Choice:
        """The part of a kind, small."""
        part = parts.find(kind, getattr(self, kind))
        small = {name: value for name, value in SMALL.items() if name in part.options}
        return Choice(part.name).with_options(small)

    @property
    def options(self) -> ModelOptions:
        """The model's options, small."""
        chosen = {kind: self.choice(kind) for kind in PARTS}
        return ModelOptions(latent_dim=4, hidden=(3,), activation="tanh", **chosen)

    def model(self) -> Any:
        """The model with seeded numbers for parameters."""
        options, likelihood = self.options, self.choice("likelihood")
        make = functools.partial(
            compose, options, shape=SHAPE, likelihood=likelihood, key=jax.random.key(0)
        )
        return jax.tree.map(lambda a: 0.5 * a, filled(make, seed=1))


@functools.cache
def fitting() -> tuple[Composition, ...]:
    """Every composition that is not refused."""
    names = [list(parts.catalogue(kind)) for kind in PARTS]
    found = []
    for one in itertools.starmap(Composition, itertools.product(*names)):
        try:
            check(one.options, SHAPE, one.choice("likelihood"), GOAL)
        except ValueError:
            continue
        found.append(one)
    return tuple(found)


def exempt(kind: str, name: str) -> bool:
    """Whether a part says by a trait that it has no bound, or must be told a condition."""
    part = parts.find(kind, name).constructor
    return not getattr(part, "has_density", True) or getattr(part, "conditional", False)


def pairs(one: Composition) -> set[tuple[tuple[str, str], ...]]:
    """Its pairs of parts of different kinds."""
    return set(itertools.combinations(zip(PARTS, one, strict=True), 2))


@functools.cache
def pairwise() -> tuple[Composition, ...]:
    """A few compositions in which every pair of parts that fit occurs: greedily, the most new."""
    waiting = {one: pairs(one) for one in fitting()}
    chosen = []
    while waiting:
        best = max(waiting, key=lambda one: len(waiting[one]))
        covered = waiting.pop(best)
        chosen.append(best)
        waiting = {one: left for one, old in waiting.items() if (left := old - covered)}
    return tuple(chosen)


@eqx.filter_jit
def advance(model: Any, moving: Any, rows: jax.Array, first: Any, last: Any) -> tuple[Any, ...]:
    """Training from one step to another, and what holds of the model before: one program."""
    parameters, static = eqx.partition(model, eqx.is_inexact_array)
    key = jax.random.key(3)

    def loss(parameters: Any, number: Any) -> Any:
        model = eqx.combine(parameters, static)
        batch = Batch(rows, data_size=ROWS)
        key_of_step = jax.random.fold_in(key, number)
        return GOAL(model, batch, state=None, step=number, key=key_of_step)[0]

    def step(number: Any, carry: Any) -> Any:
        parameters, moving = carry
        updates, moving = MOVE.update(jax.grad(loss)(parameters, number), moving, parameters)
        return optax.apply_updates(parameters, updates), moving

    def bounds(row: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        def draw(kl: Any, stream: int) -> jax.Array:
            keys = jax.random.split(jax.random.fold_in(key, stream), DRAWS)
            return jax.vmap(lambda k: elbo_terms(model, row, k, kl=kl).elbo)(keys)

        weights = draw("monte-carlo", 1)
        return draw("closed", 0), jax.nn.logsumexp(weights) - jnp.log(DRAWS)

    found = jax.vmap(bounds)(rows, jax.random.split(jax.random.key(5), ROWS))
    gradient = jax.grad(loss)(parameters, first)
    after, moving = jax.lax.fori_loop(first, last, step, (parameters, moving))
    return eqx.combine(after, static), moving, found, gradient


def holds(one: Composition, folder: Path) -> None:
    """Asserts all that must hold of a composition."""
    model = one.model()
    likelihood = likelihood_family(one.choice("likelihood"), SHAPE)
    rows = jnp.asarray(data_for(likelihood, ROWS, seed=2))
    moving = MOVE.init(eqx.filter(model, eqx.is_inexact_array))
    half, half_moving, start, gradient = advance(model, moving, rows, 0, STEPS)

    # Gradients reach every parameter.
    leaves = jax.tree_util.tree_leaves_with_path(gradient)
    used = jax.tree.leaves(entries_used(eqx.filter(model, eqx.is_inexact_array)))
    for (path, leaf), expected in zip(leaves, used, strict=True):
        assert np.array_equal(leaf != 0, expected), jax.tree_util.keystr(path)

    # What is saved comes back bit for bit, and a run that goes on from it ends as an unbroken one.
    save_model(folder / "model.safetensors", half)
    loaded = load_model(folder / "model.safetensors")
    same(loaded, half)
    whole, _, before, _ = advance(half, half_moving, rows, STEPS, 2 * STEPS)
    same(advance(loaded, half_moving, rows, STEPS, 2 * STEPS)[0], whole)
    same(advance(model, moving, rows, 0, 2 * STEPS)[0], whole)

    # The bound is below the importance-weighted one, at each of these models.
    _, _, end, _ = advance(whole, moving, rows, 0, 0)
    for elbo, weighted in (start, before, end):
        error = np.std(elbo, axis=1) / np.sqrt(DRAWS)
        assert np.mean(elbo) <= np.mean(weighted) + 4 * np.sqrt(np.sum(error**2)) / ROWS

    # Training lowers the loss.
    assert np.mean(end[0]) > np.mean(start[0])

    # Compiled is plain.
    key = jax.random.key(7)
    compiled = eqx.filter_jit(elbo_terms)(whole, rows[0], key)
    with jax.disable_jit():
        plain = elbo_terms(whole, rows[0], key)
    np.testing.assert_allclose(compiled.elbo, plain.elbo, rtol=1e-4, atol=1e-4)


def same(one: Any, other: Any) -> None:
    """Asserts that two models are the same, bit for bit."""
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def main(compositions: tuple[Composition, ...]) -> int:
    """Checks them all; prints what fails; returns how many did."""
    failed = list(_failures(compositions))
    print(f"{len(compositions)} compositions, {len(failed)} failed")
    return len(failed)


def _failures(compositions: tuple[Composition, ...]) -> Iterator[Composition]:
    for number, one in enumerate(compositions, 1):
        started = time.perf_counter()
        try:
            with tempfile.TemporaryDirectory() as folder:
                holds(one, Path(folder))
            said = "holds"
        except (AssertionError, ValueError, TypeError) as error:
            said = f"FAILS: {str(error).strip().splitlines()[0]}"
            yield one
        seconds = time.perf_counter() - started
        print(f"{number:>5} {' '.join(one)}: {said} ({seconds:.1f} s)", flush=True)
        jax.clear_caches()


if __name__ == "__main__":
    share = [int(word) for word in sys.argv[1:2]] or [1]  # every n-th, for a quick look
    sys.exit(min(main(fitting()[:: share[0]]), 1))
