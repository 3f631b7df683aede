"""What the data are, and which likelihood suits them. Plain data; nothing is printed."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from elbax.data.arrays import check_finite, row_chunks
from elbax.data.columns import cells_of, decode
from elbax.data.errors import DataError
from elbax.data.source import Dataset, Split
from elbax.data.splitting import check_probabilities

_DISTINCT_LIMIT = 256
# Over [0, 1]: the classic mistake, bytes given as floats, gets a message of its own.
_PROBABILITIES = ("bernoulli", "continuous-bernoulli")


@dataclass(frozen=True)
class Description:
    """What `describe` found, over the three splits together.

    Attributes:
        name: as in `Dataset`, like kind, source, splits, fingerprint and scale.
        kind: ``images`` or ``vectors``.
        source: citation or path.
        shape: of one datum.
        dtype: ``uint8`` or ``float32``.
        counts: rows of train, validation and test.
        splits: how the split was made.
        minimum: smallest finite value, as stored (None when there is none).
        maximum: largest finite value.
        mean: of the finite values.
        missing: number of NaN cells.
        missing_rows: number of rows with at least one.
        infinite: number of infinite cells.
        constant: columns or pixels that never vary (missing cells left out).
        columns: columns or pixels in all.
        distinct: number of distinct finite values, or None when there are more than 256.
        scale: what one unit is worth.
        label_counts: rows of each label, or None without labels.
        label_names: names of the labels 0, 1, …, where there are any.
        n_bytes: memory of the three splits' values.
        fingerprint: SHA-256 (hex).
    """

    name: str
    kind: str
    source: str
    shape: tuple[int, ...]
    dtype: str
    counts: dict[str, int]
    splits: str
    minimum: float | None
    maximum: float | None
    mean: float | None
    missing: int
    missing_rows: int
    infinite: int
    constant: int
    columns: int
    distinct: int | None
    scale: float
    label_counts: dict[int, int] | None
    label_names: tuple[str, ...]
    n_bytes: int
    fingerprint: str

    @property
    def binary(self) -> bool:
        """Whether the data hold two values only."""
        return self.distinct == 2


def _splits(dataset: Dataset) -> dict[str, Split]:
    return {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}


class _Tally:
    """Running totals over chunks of rows, in float64 (sums of bytes exactly)."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.low = np.full(shape, np.inf)
        self.high = np.full(shape, -np.inf)
        self.total = 0.0
        self.finite = self.missing = self.missing_rows = self.infinite = 0
        self.whole = True
        self.values: np.ndarray | None = np.empty(0)

    def add(self, chunk: np.ndarray) -> None:
        """Count one chunk (rows, *shape) in."""
        if chunk.dtype == np.uint8:
            self._add_bytes(chunk)
            return
        finite = np.isfinite(chunk)
        missing = np.isnan(chunk)
        self.missing += int(missing.sum())
        self.missing_rows += int(missing.reshape(len(chunk), -1).any(axis=1).sum())
        self.infinite += int(chunk.size - finite.sum() - missing.sum())
        self.finite += int(finite.sum())
        self.total += float(chunk.sum(where=finite, dtype=np.float64))
        self.low = np.minimum(self.low, chunk.min(axis=0, where=finite, initial=np.inf))
        self.high = np.maximum(self.high, chunk.max(axis=0, where=finite, initial=-np.inf))
        self.whole = self.whole and bool(np.all(chunk == np.rint(chunk), where=finite))
        if self.values is not None:
            self.values = np.union1d(self.values, chunk[finite])
            if len(self.values) > _DISTINCT_LIMIT:
                self.values = None

    def _add_bytes(self, chunk: np.ndarray) -> None:
        counts = np.bincount(chunk.reshape(-1), minlength=256)
        self.finite += chunk.size
        self.total += float(counts @ np.arange(256))
        self.low = np.minimum(self.low, chunk.min(axis=0))
        self.high = np.maximum(self.high, chunk.max(axis=0))
        if self.values is not None:
            self.values = np.union1d(self.values, np.flatnonzero(counts))


def _tally(dataset: Dataset) -> _Tally:
    tally = _Tally(dataset.shape)
    for part in _splits(dataset).values():
        for rows in row_chunks(part.x):
            tally.add(part.x[rows])
    return tally


def describe(dataset: Dataset) -> Description:
    """Count and summarise a data set, missing and infinite values included (never refused)."""
    tally = _tally(dataset)
    parts = _splits(dataset)
    some = tally.finite > 0
    labels = [part.label for part in parts.values() if part.label is not None]
    label_counts = None
    if labels:
        values, counts = np.unique(np.concatenate(labels), return_counts=True)
        label_counts = dict(zip(values.tolist(), counts.tolist(), strict=True))
    return Description(
        name=dataset.name,
        kind=dataset.kind,
        source=dataset.source,
        shape=dataset.shape,
        dtype=dataset.train.x.dtype.name,
        counts={name: len(part) for name, part in parts.items()},
        splits=dataset.splits,
        minimum=float(tally.low.min()) if some else None,
        maximum=float(tally.high.max()) if some else None,
        mean=tally.total / tally.finite if some else None,
        missing=tally.missing,
        missing_rows=tally.missing_rows,
        infinite=tally.infinite,
        constant=int((tally.low >= tally.high).sum()),
        columns=tally.low.size,
        distinct=None if tally.values is None else len(tally.values),
        scale=dataset.scale,
        label_counts=label_counts,
        label_names=dataset.label_names,
        n_bytes=sum(part.x.nbytes for part in parts.values()),
        fingerprint=dataset.fingerprint,
    )


def describe_columns(dataset: Dataset) -> list[dict[str, Any]]:
    """What each column of a table is: name, kind, likelihood, range or categories, missing cells.

    A range is in the column's own units, of dates and of numbers in text as text. Columns that are
    left out have a `reason` instead.
    """
    x, missing = dataset.split("all").x, dataset.missing("all").sum(axis=0)
    found: list[dict[str, Any]] = []
    for i, column in enumerate(dataset.columns):
        seen = np.asarray(x[~np.isnan(x[:, i]), i], np.float64)
        ends = [None, None]
        if column.relation is not None:
            both = cells_of(column.own, np.array([column.own.lower, column.own.upper])).to_pylist()
            ends = [end if isinstance(end, int | float) else str(end) for end in both]
        elif not column.categories and len(seen) > 0:
            both = decode(column, np.array([seen.min(), seen.max()])).to_pylist()
            ends = [end if isinstance(end, int | float) else str(end) for end in both]
        found.append(
            {
                "name": column.name,
                "kind": column.kind,
                "likelihood": column.likelihood,
                "minimum": ends[0],
                "maximum": ends[1],
                "categories": [] if column.relation else list(column.categories),
                "constraint": column.relation.text if column.relation else None,
                "missing": int(missing[i]),
            }
        )
    return found + [{"name": name, "reason": why} for name, why in dataset.ignored.items()]


def choose_likelihood(dataset: Dataset, binarize: str = "none") -> tuple[str, str]:
    """The likelihood that suits the data, and the reason in one line.

    Args:
        dataset: what `load` gave.
        binarize: ``none``, ``static`` or ``dynamic``, as given to `load`.

    Returns:
        ``bernoulli``, ``normal`` or, of a table, ``mixed``, and why.
    """
    if dataset.columns:
        return "mixed", "each column has a family of its own"
    if binarize != "none":
        return "bernoulli", f"pixels are binarised ({binarize})"
    if dataset.train.x.dtype == np.uint8 and dataset.levels > 1:
        return "bernoulli", f"grey levels 0–{dataset.levels} are read as probabilities"
    if dataset.scaling.words:
        return "bernoulli" if dataset.scaling.levels else "normal", dataset.scaling.words
    return _by_values(dataset)


def _by_values(dataset: Dataset) -> tuple[str, str]:
    tally = _tally(dataset)
    low, high = float(tally.low.min()) + 0.0, float(tally.high.max()) + 0.0  # never −0
    if low > high:
        return "normal", "there are no finite values"
    if 0 <= low <= high <= 1:
        if tally.whole:
            return "bernoulli", "the data are binary (0 and 1)"
        return "bernoulli", "values within [0, 1] are read as probabilities"
    return "normal", f"real values from {low:g} to {high:g}"


def check_support(dataset: Dataset, likelihood: str) -> None:
    """Refuse data that no likelihood can describe, or not one of probabilities.

    Args:
        dataset: what `load` gave.
        likelihood: ``bernoulli`` and ``continuous-bernoulli`` want values in [0, 1] once scaled; of
            every other one this looks at finite values only (its `support` says more).

    Raises:
        DataError: infinity, with count and first place (in the file or array that was split
            where `Split.index` tells, otherwise in the first split that has any); under these two
            values outside [0, 1]; bytes given as floats 0–255 are named as such.
    """
    if dataset.columns:  # each column was compared with its kind when it was read
        return
    parts = {f"{dataset.name} ({name} split)": s.x for name, s in _splits(dataset).items()}
    try:
        _check(parts, dataset.scale, likelihood)
    except DataError:
        whole = _in_file_order(dataset)
        if whole is None:
            raise
    else:
        return
    _check({dataset.name: whole}, dataset.scale, likelihood)


def _check(parts: dict[str, np.ndarray], scale: float, likelihood: str) -> None:
    for where, x in parts.items():
        check_finite(x, where)
    if likelihood in _PROBABILITIES:
        for where, x in parts.items():
            check_probabilities(x, scale, where, likelihood)


def _in_file_order(dataset: Dataset) -> np.ndarray | None:
    """The rows of the three splits as the file has them (a copy), where their numbers are known."""
    if dataset.stream is not None:  # some of the rows are at hand
        return None
    parts = _splits(dataset).values()
    whole = np.empty((sum(map(len, parts)), *dataset.shape), dataset.train.x.dtype)
    for part in parts:
        if part.index is None:
            return None
        whole[part.index] = part.x
    return whole
