"""What commands say beside their results, on standard error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from elbax.data import Dataset


def note(dataset: Dataset) -> None:
    """What was noticed when other data were read: cells far outside of the training rows."""
    for line in dataset.notes:
        print(f"note    {line}", file=sys.stderr)
