"""Runs of an earlier version, served within the process of the tests."""

from collections.abc import Iterator

import pytest

from elbax.run.run import Run
from elbax.serve.service import Service
from tests.serve.serving import LIMITS, MADE, Served


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    """Two runs, of which each program is compiled by the first test that needs it."""
    made = Service([Run(MADE / "table-run"), Run(MADE / "image-run")], LIMITS)
    made.ready = True
    yield made
    made.close()


@pytest.fixture
def served(service) -> Served:
    """The runs, behind HTTP."""
    return Served(service)
