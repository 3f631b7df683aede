"""What the figures' tests share."""

import pytest

from elbax.app.figures import Subject
from tests.app.figures.subjects import make_data, make_history, make_model


@pytest.fixture
def subject():
    """Grey images of 8 × 6, two latents, three labels."""
    return Subject(
        make_model((8, 6, 1), 2, scale=1 / 255), make_data((8, 6, 1)), make_history(), 0, "a run"
    )
