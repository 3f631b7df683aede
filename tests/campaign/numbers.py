"""Numbers: computed again in float64, calibrated, covered by their ±, and rightly trusted."""

import random
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from tests.campaign import calibration, coverage, twice, verdicts
from tests.campaign.trials import Trial


def trials(chance: random.Random, folder: Path) -> Iterator[Trial]:
    """All four, one after the other."""
    lines = (part.trials for part in (twice, calibration, verdicts, coverage))
    return chain.from_iterable(line(chance, folder) for line in lines)
