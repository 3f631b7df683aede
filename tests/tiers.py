"""Two tiers of tests: `scripts/test` runs the fast one, `scripts/test --all` both."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest


def mostly_slow(values: Iterable[Any], fast: Callable[[Any], bool]) -> list[Any]:
    """Values to parametrise a test with; those that are not `fast` are in the slow tier."""
    return [
        value if fast(value) else pytest.param(value, marks=pytest.mark.slow) for value in values
    ]
