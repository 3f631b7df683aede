"""Every pair of parts that fit together: what must hold of a composition holds."""

import jax
import pytest

from elbax.recipes import parts
from elbax.recipes.options import PARTS
from tests.product import Composition, exempt, fitting, holds, pairs, pairwise


@pytest.fixture(autouse=True)
def quickly_compiled():
    """Each of them is compiled for a few steps only: optimising costs more than it saves."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


def test_every_part_is_in_a_pair_unless_a_trait_exempts_it():
    chosen = pairwise()
    for kind in PARTS:
        there = {getattr(one, kind) for one in chosen}
        assert there == {name for name in parts.catalogue(kind) if not exempt(kind, name)}
    assert set().union(*map(pairs, chosen)) == set().union(*map(pairs, fitting()))


@pytest.mark.parametrize("one", pairwise(), ids=" ".join)
def test_composition(one: Composition, tmp_path):
    holds(one, tmp_path)
