"""What a reader hands over: arrays as they were stored, before they are checked and split."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

SplitRule = Literal["tail", "stratified", "permuted", "given"]


class Part(NamedTuple):
    """One stored array and its labels; row *i* here is row *i* of the file, or `origin[i]`."""

    x: np.ndarray
    label: np.ndarray | None = None
    origin: np.ndarray | None = None


@dataclass(frozen=True)
class Raw:
    """Everything a reader knows.

    Attributes:
        name: the data set's name, or the stem of its path.
        source: citation or path, one line.
        parts: ``all``; or ``train`` and ``test``; or ``train``, ``validation`` and ``test``.
        rule: how the parts become splits. ``tail``: the training part's last rows are the
            validation split; ``stratified`` and ``permuted``: in a fixed random order, each class
            spread evenly or not; ``given``: the file holds all three.
        validation: rows of validation data by default (None: a tenth).
        test: rows of test data when the part is ``all`` (None: a tenth).
        levels: the byte that means 1 (255 for grey levels); None: found from the data.
        label_names: names of the labels 0, 1, …, where there are any.
        where: how messages call the arrays, part by part.
    """

    name: str
    source: str
    parts: dict[str, Part]
    rule: SplitRule = "permuted"
    validation: int | None = None
    test: int | None = None
    levels: int | None = None
    label_names: tuple[str, ...] = ()
    where: dict[str, str] = field(default_factory=dict)
