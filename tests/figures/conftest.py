"""What the figures' tests share."""

import pytest

from elbax.figures import RatePoint, Subject, bound
from tests.figures.subjects import make_data, make_history, make_model

CURVE = (
    RatePoint("β = 0.5", 12.0, 80.0, 0.1, 1.2, 0.5),
    RatePoint("β = 1", 9.0, 82.0, 0.1, 1.1, 1.0),
    RatePoint("β = 4", 3.0, 95.0, 0.1, 1.3, 4.0),
)


@pytest.fixture
def subject():
    """Grey images of 8 × 6, two latents, three labels."""
    return Subject(
        make_model((8, 6, 1), 2, scale=1 / 255),
        make_data((8, 6, 1)),
        make_history(),
        0,
        "a run",
        CURVE,
    )


@pytest.fixture(autouse=True)
def _small_bound(monkeypatch):
    """What the bound's figure computes, for models of eight units."""
    monkeypatch.setattr(bound, "SAMPLES", 60)
    monkeypatch.setattr(bound, "ROWS", 6)
    monkeypatch.setattr(bound, "TEMPERATURES", 4)
