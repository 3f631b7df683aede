"""What a recipe is: a named, cited composition with its training settings."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from elbax.recipes.options import (
    DataOptions,
    ModelOptions,
    Options,
    RunOptions,
    TrainingOptions,
)


@dataclass(frozen=True)
class Recipe:
    """A named composition: everything but the data, the seed and the folder.

    Its `data` says how data are read (binarised, say), not which.
    """

    name: str
    summary: str
    """One line: what it is."""
    source: str
    """Where it was published, with the section or table."""
    model: ModelOptions = dataclasses.field(default_factory=ModelOptions)
    training: TrainingOptions = dataclasses.field(default_factory=TrainingOptions)
    data: DataOptions = dataclasses.field(default_factory=DataOptions)
    meant_for: str = "mnist"
    """What it was published for, or what here is nearest: a data set's name, or "table"."""

    def options(self) -> Options:
        """This recipe as the options that a run starts from."""
        return Options(self.name, self.model, self.training, self.data, RunOptions())
