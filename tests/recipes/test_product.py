"""What must hold of a composition holds, whatever parts that fit it is made of."""

import jax
import pytest

from elbax.recipes import parts
from elbax.recipes.options import MODEL_PARTS
from tests.product import Composition, cover, exempt, fitting, holds, pairs, traced

MEETING = ("network", "prior", "posterior")  # a likelihood sees of these the network's numbers only
SHARES = 4


@pytest.fixture
def quickly_compiled():
    """Each of them runs a few steps only: optimising costs more than it saves."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


def test_every_part_is_in_a_composition_unless_a_trait_exempts_it():
    for chosen in (cover(), cover(MEETING)):
        for kind in MODEL_PARTS:
            there = {getattr(one, kind) for one in chosen}
            assert there == {name for name in parts.catalogue(kind) if not exempt(kind, name)}
    assert set().union(*map(pairs, cover())) == set().union(*map(pairs, fitting()))


@pytest.mark.parametrize("one", cover(MEETING), ids=" ".join)
def test_composition(quickly_compiled, one: Composition, tmp_path):
    holds(one, tmp_path)


@pytest.mark.parametrize("share", range(SHARES))
def test_every_pair_of_parts_that_fit_has_a_loss(share):
    for one in cover()[share::SHARES]:
        assert traced(one).shape == (), one
