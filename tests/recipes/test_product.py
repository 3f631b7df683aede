"""What must hold of a composition holds, whatever parts that fit it is made of."""

import pytest

from elbax.recipes import parts
from elbax.recipes.options import MODEL_PARTS
from tests.product import Composition, cover, exempt, fitting, holds, pairs, traced
from tests.tiers import mostly_slow

MEETING = ("network", "prior", "posterior")  # a likelihood sees of these the network's numbers only
SHARES = 4
FAST = 3  # each of the first compositions of the cover has many pairs of its own


def test_every_part_is_in_a_composition_unless_a_trait_exempts_it():
    for chosen in (cover(), cover(MEETING)):
        for kind in MODEL_PARTS:
            there = {getattr(one, kind) for one in chosen}
            assert there == {name for name in parts.catalogue(kind) if not exempt(kind, name)}
    assert set().union(*map(pairs, cover())) == set().union(*map(pairs, fitting()))


@pytest.mark.parametrize(
    "one", mostly_slow(cover(MEETING), lambda one: one in cover(MEETING)[:FAST]), ids=" ".join
)
def test_composition(one: Composition, tmp_path):
    holds(one, tmp_path)


@pytest.mark.parametrize("share", mostly_slow(range(SHARES), lambda share: share == 0))
def test_every_pair_of_parts_that_fit_has_a_loss(share):
    for one in cover()[share::SHARES]:
        assert traced(one).shape == (), one
