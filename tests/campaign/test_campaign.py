"""Three minutes of the campaign, the same trials everywhere: none fails."""

import random

import pytest

from tests.campaign import damage, disks, inputs, kills, surroundings
from tests.campaign.__main__ import PAGE, page
from tests.campaign.trials import FAILED, NAMED, SAME, Line, Trial, run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "trials", "most"),
    [
        ("damage", damage.trials, 100),
        ("input", inputs.trials, 100),
        ("kills", kills.trials, 6),
        ("disk", disks.trials, 8),
        ("environment", surroundings.trials, 5),
    ],
)
def test_a_part_of_the_campaign(name, trials, most, tmp_path):
    line = run(name, trials, tmp_path, seed=100, seconds=1800, most=most)
    assert sum(line.counts.values()) == most  # without root some disks cannot be broken
    assert line.failed == 0, line.failures


def test_a_line_counts_what_its_trials_were(tmp_path):
    def trials(chance, folder):
        assert folder == tmp_path
        assert chance.random() == random.Random("made up 4").random()
        for verdict in (SAME, FAILED, NAMED, FAILED, SAME):
            yield Trial("kind", "where", verdict, "why")

    line = run("made up", trials, tmp_path, seed=4, seconds=60, most=4)
    assert (line.tried, line.failed) == (4, 2)
    assert line.failures == ["kind, where: why"] * 2
    assert isinstance(line, Line)


def test_the_page_is_what_was_recorded():
    # All but the line of the machine.
    written, made = PAGE.read_text().splitlines(), page().splitlines()
    assert [a for a in written if "jax" not in a] == [a for a in made if "jax" not in a]
