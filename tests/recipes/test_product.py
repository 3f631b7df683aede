"""What must hold of a composition holds, whatever parts that fit it is made of.

All of it is in the slow tier: to find which compositions fit takes ten seconds. The fast tier has
one part at a time among plain ones (`tests/model/test_laws.py`), and the recipes.
"""

import pytest

from elbax.recipes import parts
from elbax.recipes.options import MODEL_PARTS
from tests.product import cover, exempt, fitting, holds, pairs, traced

pytestmark = pytest.mark.slow
MEETING = ("network", "prior", "posterior")  # a likelihood sees of these the network's numbers only
SHARES = 16  # of a cover: which compositions it has is found out when a test runs, not before


def test_every_part_is_in_a_composition_unless_a_trait_exempts_it():
    for chosen in (cover(), cover(MEETING)):
        for kind in MODEL_PARTS:
            there = {getattr(one, kind) for one in chosen}
            assert there == {name for name in parts.catalogue(kind) if not exempt(kind, name)}
    assert set().union(*map(pairs, cover())) == set().union(*map(pairs, fitting()))


one_share = pytest.mark.parametrize("share", range(SHARES))


@one_share
def test_a_composition_holds(share, tmp_path):
    for one in cover(MEETING)[share::SHARES]:
        try:
            holds(one, tmp_path)
        except (AssertionError, ValueError, TypeError) as error:
            raise AssertionError(f"{' '.join(one)}: {error}") from error


@one_share
def test_every_pair_of_parts_that_fit_has_a_loss(share):
    for one in cover()[share::SHARES]:
        assert traced(one).shape == (), one
