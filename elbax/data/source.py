"""`load`: from a name, a path or an array to a `Dataset` with fixed splits and a fingerprint."""

import json
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from elbax.data import tables
from elbax.data.arrays import (
    Scaling,
    check_finite,
    holes_in_words,
    image_shape,
    is_levels,
    scaling_of,
    to_labels,
    to_numbers,
)
from elbax.data.columns import Column
from elbax.data.errors import DataError
from elbax.data.formats import annotated
from elbax.data.formats import tables as table_files
from elbax.data.formats.files import KNOWN_SUFFIXES, read_path
from elbax.data.kinds import KINDS
from elbax.data.named import NAMES, read_named
from elbax.data.splitting import Part, Raw, binarise, check_probabilities, fingerprint, split
from elbax.data.streams.load import Asked, streamed
from elbax.data.streams.stream import Stream
from elbax.util.words import hint, shown


@dataclass(frozen=True, eq=False)
class Split:
    """Rows of data, read-only.

    Attributes:
        x: (n, h, w, c) images or (n, d) vectors; uint8 or float32. In a table NaN is a cell that
            was not observed.
        label: (n,) int64, or None.
        index: (n,) the rows' numbers in the file or array that was split here; None for named data
            and for files that come split.
    """

    x: np.ndarray
    label: np.ndarray | None = None
    index: np.ndarray | None = None

    def __len__(self) -> int:
        return self.x.shape[0]

    def __repr__(self) -> str:
        labelled = "" if self.label is None else ", labelled"
        return f"<Split {len(self):,} rows of {self.x.shape[1:]} {self.x.dtype}{labelled}>"


@dataclass(frozen=True, eq=False)
class Dataset:
    """Data in three fixed splits.

    Attributes:
        name: the data set's name, or the stem of its path.
        kind: ``images`` (n, h, w, c), ``vectors`` (n, d) or a ``table`` (n, d).
        source: citation or path, one line.
        train: what the model learns from.
        validation: what decides when to stop and which parameters are best; may be empty.
        test: what the reported numbers are measured on.
        splits: one line saying how the split was made.
        fingerprint: SHA-256 (hex) over the arrays, shapes, dtypes and the split.
        levels: the byte that means 1: 255 for grey levels, 1 for binary data, 16 for ``digits``.
        label_names: names of the labels 0, 1, …, where there are any.
        columns: what the columns of a table are; empty for other data.
        ignored: columns of the table that are left out of the rows, and why.
        scaling: how the numbers of other data are read, where they are no bytes.
        notes: what was recognised and is worth a word, a line each.
        problems: why training would refuse the data, a line each (empty unless `load` did not
            check).
        lacking: of a table with constraints, (rows, d) which cells it lacks, in its own order.
        stream: the rows to train on, where they are read in pieces; `train` holds some of them.
    """

    name: str
    kind: str
    source: str
    train: Split
    validation: Split
    test: Split
    splits: str
    fingerprint: str
    levels: int = 255
    label_names: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    ignored: Mapping[str, str] = field(default_factory=dict)
    scaling: Scaling = Scaling()  # noqa: RUF009 - frozen
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    lacking: np.ndarray | None = None
    stream: Stream | None = None

    @property
    def training_rows(self) -> int:
        """How many rows there are to train on."""
        return len(self.train) if self.stream is None else len(self.stream)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one datum: (h, w, c) or (d,)."""
        return self.train.x.shape[1:]

    @property
    def holes(self) -> bool:
        """Whether elements of images, or of vectors of one scale, were not observed: are NaN."""
        if self.stream is not None:
            return self.stream.holes
        parts = (self.train.x, self.validation.x, self.test.x)
        return not self.columns and bool(holes_in_words(parts))

    @property
    def scale(self) -> float:
        """What one unit is worth: 1/levels for bytes, else as `scaling` says."""
        return 1.0 / (self.levels if self.train.x.dtype == np.uint8 else self.scaling.unit)

    def split(self, name: str) -> Split:
        """One split by its name, or ``all``: the three, one after another (a copy).

        Raises:
            DataError: no such split.
        """
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        if name in splits:
            return splits[name]
        if name != "all":
            raise DataError(
                f"no split {shown(repr(name))}{hint(str(name), [*splits, 'all'])}: "
                "there are train, validation, test and all"
            )
        x = np.concatenate([part.x for part in splits.values()])
        labels = [part.label for part in splits.values() if part.label is not None]
        index = [part.index for part in splits.values() if part.index is not None]
        return Split(
            x,
            np.concatenate(labels) if len(labels) == 3 else None,
            np.concatenate(index) if len(index) == 3 else None,
        )

    def missing(self, name: str) -> np.ndarray:
        """Which cells of a split were not observed: (n, …) bool.

        With constraints a cell that was observed may be NaN in `x`, a distance from one that was
        not, and one that was not may follow from others.
        """
        part = self.split(name)
        if self.lacking is not None and part.index is not None:
            return self.lacking[part.index]
        return np.isnan(part.x)

    def __repr__(self) -> str:
        rows = (self.training_rows, len(self.validation), len(self.test))
        counts = " / ".join(f"{count:,}" for count in rows)
        dtype = self.train.x.dtype
        return f"<Dataset {self.name}: {counts} {self.kind} of {self.shape} {dtype}>"


def load(  # noqa: PLR0913 - each a question that data may ask
    data: Any,
    *,
    validation: int | None = None,
    binarize: str = "none",
    seed: int = 0,
    check: bool = True,
    kinds: Mapping[str, str] | None = None,
    labels: str | None = None,
    constraints: Sequence[str] = (),
    columns: Sequence[Column] | None = None,
    likelihood: str | None = None,
    header: bool | None = None,
    missing_values: Sequence[str] = (),
    background: str | None = None,
    unseen: Literal["refuse", "missing"] = "refuse",
    memory: int | None = None,
) -> Dataset:
    """Load data by name, from a file or folder, or from an array.

    Vectors of real numbers, of several scales or with holes, are read by their columns as a table
    is, and standardised; bytes and numbers within [0, 1] are not.

    Args:
        data: ``mnist``, ``fashion-mnist``, ``mnist-5k``, ``digits`` or ``shapes``; or a path to
            ``.npy``, ``.npz``, IDX (gzip or not), ``.csv``, ``.tsv`` (compressed or not),
            ``.parquet`` (a file, or a folder of them with hive partitions, also elsewhere:
            ``s3://bucket/folder``), ``.feather``, ``.xlsx``, ``.h5ad``, a folder of images or one
            that Hugging Face's ``save_to_disk`` made; or an array, (n, d), (n, h, w) or
            (n, h, w, c); or a pandas, polars or pyarrow table, or an AnnData; or, to be streamed,
            what has ``__len__`` and ``__getitem__``, as Grain's sources have. A name wins over a
            file of that name: say ``./mnist``.
        validation: rows of validation data (0: none). By default 5,000 for MNIST and
            Fashion-MNIST, a tenth elsewhere.
        binarize: ``static`` draws each pixel once, P(1) = its grey level, the same for everybody;
            ``none`` and ``dynamic`` (drawn anew at every step, by the model) leave the data alone,
            but ``dynamic`` checks that they are probabilities.
        seed: of the random order in which one's own data are split; named data ignore it.
            Not the seed of a run: keep it, and the splits stay the same.
        check: refuse NaN (but in tables), infinity and too few rows. `elbax inspect` looks without.
        kinds: of a table, what columns are, by name, where not as found (`elbax.data.columns`);
            "ignore" leaves one out.
        labels: of a table, the column with the labels, which is left out of the rows; of an
            AnnData a column of its `obs`.
        constraints: of a table, what all rows keep to, such as ``end >= start`` or
            ``total = a + b``: so do the rows that a model of it makes.
        columns: of a table, what the columns were in training: the rows are then read by these.
        likelihood: of vectors, the family that all columns are to have; where it is none of a
            column's, the array is read as a whole.
        header: of a file of text, whether its first line names the columns; None: judged.
        missing_values: what stands for a cell that was not observed, besides the usual marks.
        background: of images, the colour that transparent pixels are laid on.
        unseen: with `columns`, whether categories that training did not see are refused or missing.
        memory: bytes that the data may take; files and folders that take more are streamed
            (`Dataset.stream`), an AnnData that does is refused. None: nothing is.

    Raises:
        DataError: whatever is wrong with the data, in one line.
    """
    if binarize not in ("none", "static", "dynamic"):
        raise DataError(f"binarize = {shown(repr(binarize))}: it is none, static or dynamic")
    held = None if validation is None else _whole("validation", validation)
    seed = _whole("seed", seed)
    if memory is not None and columns is None:
        wanted = Asked(
            held,
            seed,
            binarize,
            kinds,
            labels,
            constraints,
            likelihood,
            tuple(missing_values),
            background,
        )
        found = streamed(data, wanted, memory)
        if found is not None:
            return found
    raw: Raw | None = None
    if table_files.is_table(data) and not (isinstance(data, str) and data in NAMES):
        if binarize != "none":
            raise DataError(f"binarize is {binarize}, and a table has no pixels: leave it out")
        table = table_files.read(data, header=header, missing=missing_values)
        asked = _Asked(kinds or {}, labels, columns, unseen, tuple(constraints))
        return _of_table(table, asked, held, seed, check=check)
    if annotated.is_annotated(data):
        raw, labels = annotated.read(data, labels, memory), None
    else:
        raw = _read(data, background)
    table = _by_columns(raw, likelihood, columns) if binarize == "none" else None
    if table is not None:
        asked = _Asked(kinds or {}, None, columns, unseen, tuple(constraints))
        family = likelihood if likelihood in KINDS else annotated.family(raw)
        if family is not None:
            asked = asked._replace(kinds={**dict.fromkeys(table.columns, family), **asked.kinds})
        table = replace(table, missing=tuple(missing_values))
        return _of_table(table, asked, held, seed, check=check, raw=raw)
    if constraints:
        raise DataError(
            "constraints (--constraint) are those of a table's columns, and "
            f"{shown(data) if isinstance(data, str | Path) else 'the array'} has no names: leave "
            "them out, or give a .csv or .parquet file"
        )
    if kinds or labels is not None or columns is not None:
        raise DataError(
            "columns (--columns) and labels (--labels) are those of a table, and "
            f"{shown(data) if isinstance(data, str | Path) else 'the array'} is none: leave them "
            "out, or give a .csv or .parquet file"
        )
    return _of_array(raw, binarize, held, seed, check=check)


class _Asked(NamedTuple):
    """What was asked of a table."""

    kinds: Mapping[str, str]
    labels: str | None
    columns: Sequence[Column] | None
    unseen: Literal["refuse", "missing"]
    constraints: tuple[str, ...] = ()


def _by_columns(raw: Raw, likelihood: str | None, columns: Any) -> table_files.Table | None:
    """Vectors as a table, where they are read by their columns."""
    arrays = [part.x for part in raw.parts.values()]
    if any(x.ndim != 2 or x.size == 0 or x.dtype.kind not in "iuf" for x in arrays):
        return None
    if len({x.shape[1] for x in arrays}) > 1:
        return None
    levels = not raw.names and all(is_levels(x) for x in arrays)
    if columns is None and (levels or likelihood not in (None, *KINDS)):
        return None
    arrays = [
        np.ma.filled(x.astype(float), np.nan) if np.ma.isMaskedArray(x) else x for x in arrays
    ]
    x = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    return table_files.from_array(x, raw.name, raw.where.get("all", raw.source), raw.names)


def _of_array(raw: Raw, binarize: str, held: int | None, seed: int, *, check: bool) -> Dataset:
    """Images, and vectors of one scale: bytes or float32, split."""
    parts, remarks, names = _normalise(raw, check=check)
    kind = "vectors" if parts[next(iter(parts))].x.ndim == 2 else "images"
    levels = raw.levels if raw.levels is not None else _levels(parts)
    stored = next(iter(raw.parts.values())).x.dtype
    if binarize != "none":
        scaling = scaling_of([p.x for p in parts.values()], stored, images=kind == "images")
        scale = 1.0 / (levels if _is_bytes(parts) else scaling.unit if scaling.levels else 1)
        for stream, (name, part) in enumerate(parts.items()):
            where = raw.where.get(name, raw.name)
            if binarize == "static":
                parts[name] = Part(binarise(part.x, scale, stream, where), part.label)
            elif check:
                check_probabilities(part.x, scale, where)
        if binarize == "static":
            levels = 1
            remarks.append("one fixed Bernoulli draw per pixel")
    made, line = split(raw, parts, held, seed, check=check)
    in_order = [made[name].x for name in ("train", "validation", "test")]
    scaling = scaling_of(in_order, stored, images=kind == "images")
    return Dataset(
        name=raw.name,
        kind=kind,
        source="; ".join([raw.source, *dict.fromkeys(remarks)]),
        train=frozen(made["train"]),
        validation=frozen(made["validation"]),
        test=frozen(made["test"]),
        splits=line,
        fingerprint=fingerprint(made, levels),
        levels=levels,
        label_names=names,
        scaling=scaling,
        notes=tuple(filter(None, (scaling.words, holes_in_words(in_order), _without_names(raw)))),
    )


def _without_names(raw: Raw) -> str:
    return "its columns are taken by their places, not by their names" if raw.names else ""


def _of_table(
    table: table_files.Table,
    asked: _Asked,
    validation: int | None,
    seed: int,
    *,
    check: bool,
    raw: Raw | None = None,
) -> Dataset:
    """A table's columns as numbers, split, and scaled by the training rows."""
    if asked.columns is None:
        coded = tables.find_columns(
            table, asked.kinds, asked.labels, asked.constraints, check=check
        )
    else:
        x = tables.encode(table, asked.columns, asked.unseen).x
        coded = tables.Coded(Part(x), tuple(asked.columns), notes=tables.far(asked.columns, x))
    if raw is None:
        raw = Raw(table.name, table.source, {"all": coded.part}, where={"all": table.source})
    label, names = _labels(raw)
    ends = np.cumsum([len(part.x) for part in raw.parts.values()])[:-1]
    # The numbers of the rows are split, and the rows then taken once.
    rows = np.split(np.arange(len(coded.part.x))[:, None], ends)
    parts = {name: Part(x, label[name]) for name, x in zip(raw.parts, rows, strict=True)}
    made, line = split(raw, parts, validation, seed, check=check)
    fitted, x = coded.columns, coded.part.x
    if asked.columns is None:
        fitted = tables.fit(coded.columns, x, made["train"].x[:, 0])
        made = {k: p._replace(x=tables.scaled(fitted, x, p.x[:, 0])) for k, p in made.items()}
    else:
        made = {k: p._replace(x=x[p.x[:, 0]]) for k, p in made.items()}
    known = json.dumps([column.meaning() for column in fitted])
    return Dataset(
        name=table.name,
        kind="vectors" if table.matrix else "table",
        source=tables.with_reasons(table.source, coded.ignored),
        train=frozen(made["train"]),
        validation=frozen(made["validation"]),
        test=frozen(made["test"]),
        splits=line,
        fingerprint=fingerprint(made, 255, known),
        label_names=names or raw.label_names,
        columns=fitted,
        ignored=coded.ignored,
        notes=(*table.remarks, *coded.notes),
        problems=tuple(coded.problems),
        lacking=coded.missing,
    )


def _read(data: Any, background: str | None) -> Raw:
    if isinstance(data, str) and data in NAMES:
        return read_named(data)
    if isinstance(data, (str, Path)):
        return _read_own(data, background)
    if isinstance(data, (list, tuple, dict, set, bytes)) or not hasattr(data, "__array__"):
        raise DataError(
            f"data is of type {type(data).__name__}: give a name, a path or a NumPy array "
            "(numpy.asarray)"
        )
    try:
        array = data if isinstance(data, np.ndarray) else np.asarray(data)
    except (TypeError, ValueError, RuntimeError) as error:  # a tensor on a device, for instance
        raise DataError(
            f"the {type(data).__name__} cannot be made a NumPy array: {shown(error)}"
        ) from None
    return Raw("array", "array in memory", {"all": Part(array)}, where={"all": "the array"})


def _read_own(data: str | Path, background: str | None) -> Raw:
    if not str(data).strip() or "\0" in str(data):
        raise DataError("the name of the data is empty or holds a null character: give a path")
    try:
        path = Path(data).expanduser()
        exists = path.exists()
    except (OSError, RuntimeError) as error:  # too long a name; ~somebody without a home
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"cannot read {shown(data)}: {shown(reason)}") from None
    if exists:
        return read_path(path, background)
    text = str(data)
    is_path = isinstance(data, Path) or "/" in text or "\\" in text
    if is_path or path.suffix.lower() in KNOWN_SUFFIXES:
        raise DataError(f"no such file or folder: {shown(text)}")
    raise DataError(
        f"no data set (and no file) is called {shown(repr(text))}{hint(text, NAMES)}: "
        f"there are {', '.join(NAMES)}, or give a path to .npy, .npz, IDX, .csv, .parquet, .h5ad, "
        "or to a folder of images"
    )


def _normalise(raw: Raw, *, check: bool) -> tuple[dict[str, Part], list[str], tuple[str, ...]]:
    """Every part in rows of bytes or float32, labels in int64; remarks; names of the labels."""
    parts: dict[str, Part] = {}
    remarks: list[str] = []
    labels, names = _labels(raw)
    for name, part in raw.parts.items():
        where = raw.where.get(name, raw.name)
        x, remark = to_numbers(image_shape(part.x, where), where, check=check)
        if remark:
            remarks.append(remark)
        if check:
            check_finite(x, where)
        parts[name] = Part(x, labels[name])
    first, *others = parts
    for other in others:
        a, b = parts[first].x, parts[other].x
        if (a.shape[1:], a.dtype) != (b.shape[1:], b.dtype):
            raise DataError(
                f"{raw.where.get(first, first)} has rows of {a.shape[1:]} {a.dtype}, "
                f"{raw.where.get(other, other)} of {b.shape[1:]} {b.dtype}: save both alike"
            )
    return parts, remarks, names or raw.label_names


def _labels(raw: Raw) -> tuple[dict[str, np.ndarray | None], tuple[str, ...]]:
    """Labels of every part. Text is coded over all parts together, so that codes agree."""
    given = {name: part.label for name, part in raw.parts.items() if part.label is not None}
    if not given:
        return dict.fromkeys(raw.parts), ()
    if len(given) < len(raw.parts):
        lacking = ", ".join(name for name in raw.parts if name not in given)
        raise DataError(f"{raw.source}: some parts have labels, but not {lacking}")
    sizes = {name: raw.parts[name].x.shape[0] if raw.parts[name].x.ndim else 0 for name in given}
    labels: dict[str, np.ndarray | None] = {}
    texts = {name: np.asarray(y) for name, y in given.items() if np.asarray(y).dtype.kind in "US"}
    names: tuple[str, ...] = ()
    for name, y in given.items():
        where = raw.where.get(name, raw.name)
        if name == "all" and where.startswith(f"{raw.source}["):
            where = raw.source  # the .npz, not the array in it: the labels are another
        labels[name], names = to_labels(y, sizes[name], where)
    if texts and len(texts) < len(given):
        raise DataError(f"{raw.source}: labels are text in some parts and numbers in others")
    if len(texts) > 1:
        joined, names = to_labels(
            np.concatenate([texts[name].reshape(-1) for name in given]), sum(sizes.values()), ""
        )
        bounds = np.cumsum(list(sizes.values()))[:-1]
        labels = dict(zip(given, np.split(joined, bounds), strict=True))
    return labels, names


def _is_bytes(parts: dict[str, Part]) -> bool:
    return all(part.x.dtype == np.uint8 for part in parts.values())


def _levels(parts: dict[str, Part]) -> int:
    """Bytes of 0 and 1 only are binary data, others are grey levels up to 255."""
    highest = max(int(part.x.max()) for part in parts.values()) if _is_bytes(parts) else 255
    return 1 if highest <= 1 else 255


def frozen(part: Part) -> Split:
    """Rows that nobody can write to."""
    # Views, so that an array of the caller's stays writeable for the caller.
    views = [None if array is None else array.view() for array in (part.label, part.origin)]
    x = part.x.view()
    for view in (x, *views):
        if view is not None:
            view.flags.writeable = False
    return Split(x, *views)


def _whole(name: str, value: Any) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise DataError(f"{name} = {shown(repr(value))}: give a whole number") from None
    if name == "seed" and not 0 <= number < 1 << 63:
        raise DataError(f"seed = {number}: give a whole number from 0 to 2^63 − 1")
    return number
