"""The product of all parts that fit together, and what must hold of each composition.

The suite takes a cover of the pairs of networks, priors and posteriors, whose compositions go
through all the likelihoods, and traces the loss of a cover of all pairs
(`tests/recipes/test_product.py`); `scripts/test-product` goes through that cover, or through the
whole product. No part is named here: a new one joins by itself, and what is exempt says so by a
trait.
"""

import functools
import itertools
import sys
import tempfile
import time
from collections import Counter
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
from elbax.recipes.compatibility import check
from elbax.recipes.compose import compose, likelihood_family
from elbax.recipes.options import MODEL_PARTS
from tests.laws import MIXED, data_for, filled

SHAPE = (4, 4, 1)
ROWS, DRAWS, STEPS = 6, 100, 40
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
    """One part of each kind, by name, in the order of `MODEL_PARTS`."""

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
        chosen: dict[str, Any] = {kind: self.choice(kind) for kind in MODEL_PARTS}
        return ModelOptions(latent_dim=4, hidden=(3,), activation="tanh", **chosen)

    def model(self) -> Any:
        """The model, with seeded numbers for parameters: of the initialisation nothing compiles."""
        likelihood, key = self.choice("likelihood"), jax.random.key(0)
        make = functools.partial(compose, self.options, shape=SHAPE, likelihood=likelihood, key=key)
        return jax.tree.map(lambda a: 0.5 * a, filled(make, seed=1))


@functools.cache
def fitting() -> tuple[Composition, ...]:
    """Every composition that is not refused."""
    names = [list(parts.catalogue(kind)) for kind in MODEL_PARTS]
    found = []
    for one in itertools.starmap(Composition, itertools.product(*names)):
        try:
            check(one.options, SHAPE, one.choice("likelihood"), GOAL)
        except ValueError:
            continue
        found.append(one)
    return tuple(found)


def exempt(kind: str, name: str) -> bool:
    """Whether a part says by a trait that it has no bound, is of codes, or needs a condition."""
    part = parts.find(kind, name).constructor
    other = getattr(part, "latent", "") == "codes"  # which another objective trains
    return other or not getattr(part, "has_density", True) or getattr(part, "conditional", False)


def pairs(
    one: Composition, kinds: tuple[str, ...] = MODEL_PARTS
) -> set[tuple[tuple[str, str], ...]]:
    """Its pairs of parts of different kinds."""
    return set(itertools.combinations([part for part in named(one) if part[0] in kinds], 2))


def named(one: Composition) -> list[tuple[str, str]]:
    """Its parts as pairs of kind and name."""
    return list(zip(MODEL_PARTS, one, strict=True))


@functools.cache
def cover(kinds: tuple[str, ...] = MODEL_PARTS) -> tuple[Composition, ...]:
    """A few compositions in which every pair of parts of these kinds occurs that fits.

    Greedily: the one with the most new pairs, and of these the one whose other parts were rarest.
    """
    waiting = {one: pairs(one, kinds) for one in fitting()}
    seen: Counter[tuple[str, str]] = Counter()
    chosen = []
    while waiting:
        best = max(waiting, key=lambda one: (len(waiting[one]), -sum(seen[p] for p in named(one))))
        covered = waiting.pop(best)
        chosen.append(best)
        seen.update(named(best))
        waiting = {one: left for one, old in waiting.items() if (left := old - covered)}
    return tuple(chosen)


def traced(one: Composition) -> Any:
    """The loss with a shape in the place of a number: nothing is compiled."""
    likelihood = one.choice("likelihood")
    make = functools.partial(
        compose, one.options, shape=SHAPE, likelihood=likelihood, key=jax.random.key(0)
    )

    def loss(model: Any) -> Any:
        batch = Batch(jnp.zeros((ROWS, *SHAPE)), data_size=ROWS)
        step, key = jnp.asarray(0), jax.random.key(0)
        return GOAL(model, batch, state=None, step=step, key=key)[0]

    return eqx.filter_eval_shape(lambda: loss(make()))


@eqx.filter_jit
def advance(model: Any, moving: Any, rows: jax.Array, first: Any, last: Any) -> tuple[Any, Any]:
    """The model and the optimiser's state after the steps from one number to another."""
    parameters, static = eqx.partition(model, eqx.is_inexact_array)

    def loss(parameters: Any, number: Any) -> Any:
        model, key = eqx.combine(parameters, static), jax.random.fold_in(jax.random.key(3), number)
        return GOAL(model, Batch(rows, data_size=ROWS), state=None, step=number, key=key)[0]

    def step(number: Any, carry: Any) -> Any:
        parameters, moving = carry
        updates, moving = MOVE.update(jax.grad(loss)(parameters, number), moving, parameters)
        return optax.apply_updates(parameters, updates), moving

    after, moving = jax.lax.fori_loop(first, last, step, (parameters, moving))
    return eqx.combine(after, static), moving


@eqx.filter_jit
def bounds(model: Any, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The evidence lower bound at many draws of each row, and the importance-weighted bound."""

    def of_row(row: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        def draw(key: jax.Array) -> jax.Array:
            found = [elbo_terms(model, row, key, kl=kl).elbo for kl in ("closed", "monte-carlo")]
            return jnp.stack(found)

        elbo, weights = jax.vmap(draw)(jax.random.split(key, DRAWS)).T
        return elbo, jax.nn.logsumexp(weights) - jnp.log(DRAWS)

    return jax.vmap(of_row)(rows, jax.random.split(jax.random.key(5), len(rows)))


def holds(one: Composition, folder: Path) -> None:
    """Asserts all that must hold of a composition."""
    model = one.model()
    likelihood = likelihood_family(one.choice("likelihood"), SHAPE)
    rows = jnp.asarray(data_for(likelihood, ROWS, seed=2))
    moving = MOVE.init(eqx.filter(model, eqx.is_inexact_array))
    none, half, all_ = (jnp.asarray(number) for number in (0, STEPS // 2, STEPS))

    # Gradients reach every parameter: Adam's first moment is a tenth of the first of them.
    _, moved = advance(model, moving, rows, none, none + 1)
    for path, leaf in jax.tree_util.tree_leaves_with_path(moved[0].mu):
        assert np.any(np.nan_to_num(leaf) != 0), jax.tree_util.keystr(path)

    # What is saved comes back bit for bit, and a run that goes on from it ends as an unbroken one.
    whole, _ = advance(model, moving, rows, none, all_)
    middle, moved = advance(model, moving, rows, none, half)
    save_model(folder / "model.safetensors", middle)
    loaded = load_model(folder / "model.safetensors")
    same(loaded, middle)
    same(advance(loaded, moved, rows, half, all_)[0], whole)

    # The bound is below the importance-weighted one, before and after, and training raises it.
    start, end = bounds(model, rows), bounds(whole, rows)
    for elbo, weighted in (start, end):
        error = np.sqrt(np.sum(np.var(elbo, axis=1)) / DRAWS) / ROWS
        assert np.mean(elbo) <= np.mean(weighted) + 4 * error
    assert np.mean(end[0]) > np.mean(start[0])

    # Compiled is plain: of the first row's first draw.
    row_key = jax.random.split(jax.random.key(5), ROWS)[0]
    plain = elbo_terms(whole, rows[0], jax.random.split(row_key, DRAWS)[0])
    np.testing.assert_allclose(end[0][0, 0], plain.elbo, rtol=1e-4, atol=1e-4)


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


if __name__ == "__main__":
    jax.config.update("jax_disable_most_optimizations", True)
    sys.exit(min(main(fitting() if sys.argv[1:] == ["all"] else cover()), 1))
