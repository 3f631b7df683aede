"""From a path to a `Dataset` whose training rows are streamed where they do not fit into memory."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from elbax.data import tables
from elbax.data.cells import Category
from elbax.data.columns import text_of
from elbax.data.errors import DataError
from elbax.data.formats import arrow, images, parquet
from elbax.data.formats.annotated import is_annotated
from elbax.data.kinds import IGNORE, KINDS
from elbax.data.splitting import MINIMUM_ROWS, Part, fingerprint
from elbax.data.streams import arrays, survey
from elbax.data.streams.arrays import ArraySource
from elbax.data.streams.rows import TableRows
from elbax.data.streams.stream import Kept, Stream, Units, block_rows
from elbax.data.streams.survey import TableSource
from elbax.util import sizes
from elbax.util.words import counted, shown

if TYPE_CHECKING:
    from elbax.data.source import Dataset

# Bytes that one stored value takes on its way into memory, as columns of pyarrow, as float64 and as
# float32, here and on the device.
_A_CELL = 8 + 8 + 4 + 4
_MOST_LABELS = 10_000


@dataclass(frozen=True)
class Asked:
    """What was asked of the data (`elbax.data.load`)."""

    validation: int | None = None
    seed: int = 0
    binarize: str = "none"
    kinds: Mapping[str, str] | None = None
    labels: str | None = None
    constraints: Sequence[str] = ()
    likelihood: str | None = None
    missing: tuple[str, ...] = ()
    background: str | None = None


def streamed(data: Any, asked: Asked, memory: int) -> "Dataset | None":
    """Data that take more than so much memory, to be read in pieces; None where they fit.

    Args:
        data: what `elbax.data.load` takes; of names and arrays in memory there is nothing to read.
        asked: what is asked of them.
        memory: bytes that they may take.

    Raises:
        DataError: whatever is wrong with them, in one line.
    """
    source = _opened(data, asked)
    fits = source is None or _needed(source) <= memory
    if source is None or (fits and not isinstance(source, arrays.RandomAccess)):
        return None
    if asked.binarize == "static":
        raise _not_streamed(
            source, "binarize (--binarize) static, one draw for each pixel", "dynamic"
        )
    if isinstance(source, ArraySource):
        return _of_array(source, asked, memory)
    return _of_table(source, asked, memory)


def _not_streamed(source: Any, what: str, instead: str | None = None) -> DataError:
    least = sizes.words(_needed(source) + 10**9)
    mend = "" if instead is None else f"take {instead}, or "
    return DataError(
        f"{source.source} does not fit into memory and is read in pieces, which goes without "
        f"{what}: {mend}give --memory {least} where the machine has it"
    )


def _opened(data: Any, asked: Asked) -> TableSource | ArraySource | None:
    """What can be read in pieces; None of anything else, and of what others say is wrong."""
    from elbax.data.named import NAMES

    if isinstance(data, ArraySource):
        return data
    if not isinstance(data, str | Path) or data in NAMES:
        return _random_access(data)
    if parquet.is_url(data):
        return parquet.open_table(data)
    try:
        path = Path(data).expanduser()
        return _folder(path, asked) if path.is_dir() else _file(path)
    except (OSError, RuntimeError):  # said by whoever reads it
        return None


def _file(path: Path) -> TableSource | ArraySource | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        start = file.read(6)
    if start[:4] == b"PAR1":
        return parquet.open_table(path)
    return arrays.open_npy(path) if start == b"\x93NUMPY" else None


def _folder(path: Path, asked: Asked) -> TableSource | ArraySource:
    if arrow.is_saved(path):
        return arrow.open_saved(path)
    if parquet.is_parquet(path):
        return parquet.open_table(path)
    return images.open_folder(path, asked.background)


def _random_access(data: Any) -> ArraySource | None:
    """An object of Python with a length and rows, such as Grain's; None of arrays and tables."""
    rows = hasattr(data, "__len__") and hasattr(data, "__getitem__")
    plain = isinstance(data, list | tuple | dict | set | bytes | str) or is_annotated(data)
    if plain or not rows or hasattr(data, "__array__") or hasattr(data, "columns"):
        return None
    return arrays.RandomAccess(data)


def _needed(source: TableSource | ArraySource) -> int:
    """Bytes that the data take in memory, about."""
    if isinstance(source, ArraySource):
        count = len(source) * int(np.prod(source.shape))
        return count * (2 if source.dtype.itemsize == 1 else _A_CELL)
    cells = int(source.lengths.sum()) * len(source.schema.names)
    return max(source.size, cells * _A_CELL)


# --- tables -----------------------------------------------------------------------------------


def _of_table(source: TableSource, asked: Asked, memory: int) -> "Dataset":
    from elbax.data.source import Dataset, frozen

    if asked.binarize != "none":
        raise DataError(f"binarize is {asked.binarize}, and a table has no pixels: leave it out")
    if asked.constraints:
        raise _not_streamed(source, "constraints (--constraint)")
    kinds = survey.checked_kinds(source, asked.kinds or {}, asked.labels)
    rows, names = int(source.lengths.sum()), source.schema.names
    read = [name for name in names if kinds.get(name) != IGNORE or name == asked.labels]
    kept = _kept(source.source, rows, 4 * max(1, len(read)), memory, asked)
    found = survey.survey(source, read, kept, asked.missing, asked.seed)
    of_columns = survey.find_columns(source, found, kinds, asked.labels)
    codes, label_names = _labels(source, found, asked.labels)
    labels = None if codes is None or asked.labels is None else (asked.labels, codes)
    encoded = TableRows(source, of_columns.columns, asked.missing, labels)
    part = encoded.encode(found.kept)
    classes = 0 if codes is None else max(codes.values()) + 1
    stream = _stream(encoded, kept, part.x, memory, rows, classes=classes)
    made = _parts(kept, part)
    meaning = json.dumps([column.meaning() for column in of_columns.columns])
    return Dataset(
        name=source.name,
        kind="table",
        source=tables.with_reasons(source.source, of_columns.ignored),
        splits=_splits(kept, stream, asked.seed),
        fingerprint=_fingerprint(source.identity, made, 255, meaning),
        label_names=label_names,
        columns=of_columns.columns,
        ignored=of_columns.ignored,
        notes=(*of_columns.notes, *_mixing(source, stream)),
        train=frozen(made["train"]),
        validation=frozen(made["validation"]),
        test=frozen(made["test"]),
        stream=stream,
    )


def _mixing(source: TableSource, stream: Stream) -> list[str]:
    """A word on row groups that are larger than what is mixed."""
    largest = int(source.lengths.max())
    if largest <= stream.block_rows:
        return []
    words = (
        f"row groups of up to {largest:,} rows are larger than the {stream.block_rows:,} that are "
        "mixed at once: where neighbouring rows are alike, write smaller row groups"
    )
    return [words]


def _labels(
    source: TableSource, found: survey.Survey, name: str | None
) -> tuple[dict[Category, int] | None, tuple[str, ...]]:
    """The code of each label, and the names of labels that are text."""
    if name is None:
        return None, ()
    if name in found.unusable:
        raise DataError(f"the labels ({shown(repr(name))}) {found.unusable[name]}")
    tally = found.tallies[name]
    where = f"the labels ({shown(repr(name))}) of {source.source}"
    if tally.missing:
        raise DataError(
            f"{where} are missing in {counted(tally.missing, 'row')}: fill them, or drop those rows"
        )
    if tally.many or len(tally.counts) > _MOST_LABELS:
        raise DataError(f"{where} are more than {len(tally.counts) - 1:,} different ones")
    if tally.levels is None:
        if not tally.whole or tally.low < 0:
            raise DataError(f"{where} must be whole numbers from 0 or text")
        return {text_of(value): int(float(value)) for value in tally.counts}, ()
    levels = tuple(sorted(text_of(level) for level in tally.used()))
    return {level: code for code, level in enumerate(levels)}, levels


# --- arrays -----------------------------------------------------------------------------------


def _of_array(source: ArraySource, asked: Asked, memory: int) -> "Dataset":
    from elbax.data.source import Dataset, frozen

    images_ = len(source.shape) == 3
    if len(source.shape) not in (1, 3):
        raise DataError(
            f"{source.source} holds rows of shape {source.shape}: give vectors (n, d) or images "
            "(n, height, width) or (n, height, width, channels)"
        )
    if asked.constraints or asked.labels is not None or (images_ and asked.kinds):
        raise DataError(
            "columns (--columns), labels (--labels) and constraints (--constraint) are those of a "
            f"table, and {source.source} is none: leave them out, or give a .parquet file"
        )
    width = 1 if source.dtype.itemsize == 1 else 4
    datum = width * int(np.prod(source.shape))
    kept = _kept(source.source, len(source), datum, memory, asked)
    whole = asked.binarize != "none" or asked.likelihood not in (None, *KINDS)
    kinds = dict(asked.kinds or {})
    if asked.likelihood in KINDS and not images_:
        kinds = {
            **{str(i): str(asked.likelihood) for i in range(source.shape[0])},
            **kinds,
        }
    reading = arrays.read_array(source, kept.held, kinds, whole_array=whole)
    parts = [source.read(int(number), int(number) + 1) for number in kept.all]
    x = reading.rows.encode(np.concatenate([part.x for part in parts]))
    found = [part.label for part in parts if part.label is not None]
    label = np.concatenate(found) if len(found) == len(parts) else None
    classes = len(source.label_names) or (0 if label is None else int(label.max()) + 1)
    stream = _stream(
        reading.rows, kept, x, memory, len(source), classes=classes, holes=reading.holes
    )
    made = _parts(kept, Part(x, label))
    columns = reading.rows.columns
    meaning = json.dumps([column.meaning() for column in columns]) if columns else ""
    holes = ("some elements are missing (NaN)",) if reading.holes else ()
    described = "; ".join(filter(None, [source.source, reading.remark]))
    return Dataset(
        name=source.name,
        kind="images" if images_ else "vectors",
        source=tables.with_reasons(described, reading.ignored),
        splits=_splits(kept, stream, asked.seed),
        fingerprint=_fingerprint(source.identity, made, reading.levels, meaning),
        levels=reading.levels,
        label_names=source.label_names,
        columns=columns,
        ignored=reading.ignored,
        scaling=reading.scaling,
        notes=(*((reading.scaling.words,) if reading.scaling.words else ()), *holes),
        train=frozen(made["train"]),
        validation=frozen(made["validation"]),
        test=frozen(made["test"]),
        stream=stream,
    )


# --- both -------------------------------------------------------------------------------------


def _kept(where: str, rows: int, datum: int, memory: int, asked: Asked) -> Kept:
    """The rows that stay in memory.

    Raises:
        DataError: too few rows, or a validation size that leaves nothing to train on.
    """
    if rows < MINIMUM_ROWS:
        raise DataError(
            f"{where} has {counted(rows, 'row')} only: at least {MINIMUM_ROWS} are needed to split "
            "it into train, validation and test"
        )
    validation = asked.validation
    if validation is not None and validation < 0:
        raise DataError(f"validation = {validation}: the number of rows cannot be negative")
    if validation is not None and (validation + 2 > rows or validation * datum > memory // 4):
        raise DataError(
            f"validation (--validation) is {validation:,}, and those rows are kept in memory: give "
            f"at most {min(rows - 2, memory // (4 * datum)):,}"
        )
    return Kept.of(rows, datum, memory, validation, asked.seed)


def _stream(
    units: Units,
    kept: Kept,
    x: np.ndarray,
    memory: int,
    rows: int,
    *,
    classes: int,
    holes: bool = False,
) -> Stream:
    datum = x.dtype.itemsize * int(np.prod(x.shape[1:]))
    block = block_rows(datum, memory, rows - len(kept.held))
    return Stream(units, kept.held, x.shape[1:], x.dtype, block, memory, classes, holes)


def _parts(kept: Kept, part: Part) -> dict[str, Part]:
    """The rows that are kept, as the three splits."""
    made = {}
    for name in ("train", "validation", "test"):
        numbers = getattr(kept, name)
        places = np.searchsorted(kept.all, numbers)
        label = None if part.label is None else part.label[places]
        made[name] = Part(np.ascontiguousarray(part.x[places]), label, numbers)
    return made


def _splits(kept: Kept, stream: Stream, seed: int) -> str:
    return (
        f"rows drawn at random (Philox, seed {seed}): {len(kept.validation):,} to validate, "
        f"{len(kept.test):,} to test; the other {len(stream):,} to train, of which "
        f"{len(kept.train):,} are kept in memory to be measured and drawn"
    )


def _fingerprint(identity: str, made: dict[str, Part], levels: int, meaning: str) -> str:
    """SHA-256 (hex) over what the files say of their content, the rows kept, and their meaning."""
    kept = fingerprint(made, levels, meaning)
    numbers = b"".join(
        np.ascontiguousarray(part.origin, "<i8").tobytes()
        for part in made.values()
        if part.origin is not None
    )
    sha = hashlib.sha256(f"elbax stream 1; {identity}; {kept}".encode())
    sha.update(numbers)
    return sha.hexdigest()
