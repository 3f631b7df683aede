"""What the figures' tests share."""

import pytest

from elbax.figures import bound
from tests.figures.runs import make_data, make_history, make_model, make_run


@pytest.fixture
def run():
    """A run of grey images of 8 × 6, two latents, three labels."""
    return make_run(make_model((8, 6, 1), 2, scale=1 / 255), make_data((8, 6, 1)), make_history())


@pytest.fixture(autouse=True)
def _small_bound(monkeypatch):
    """What the bound's figure computes, for models of eight units."""
    monkeypatch.setattr(bound, "SAMPLES", 60)
    monkeypatch.setattr(bound, "ROWS", 6)
    monkeypatch.setattr(bound, "TEMPERATURES", 4)
