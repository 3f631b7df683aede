"""Three minutes of the campaign, the same trials everywhere: none fails."""

import random

import numpy as np
import pytest

from tests.campaign import damage, disks, inputs, kills, surroundings
from tests.campaign.__main__ import PAGE, page
from tests.campaign.trials import FAILED, NAMED, SAME, Line, Trial, run
from tests.campaign.worker import MEMORY, Worker


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


def take(size):
    return {"taken": np.ones(size // 8).nbytes}


@pytest.mark.slow
def test_what_takes_too_much_memory_is_found():
    with Worker(address_space=3 * MEMORY) as worker:
        found = [worker.call("test_campaign:take", n * 10**8) for n in (5, 25, 5, 80)]
    assert found[0] == found[2] == {"taken": 5 * 10**8}
    assert found[1] == {"died": "2.5 GB were taken"}
    assert found[3]["raised"] == "MemoryError"


def test_the_page_is_what_was_recorded():
    # All but the line of the machine.
    written, made = PAGE.read_text().splitlines(), page().splitlines()
    assert [a for a in written if "jax" not in a] == [a for a in made if "jax" not in a]
