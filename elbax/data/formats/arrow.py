"""A data set that Hugging Face's `datasets` has saved on disk: a folder of Arrow streams.

It is read by pyarrow; that library is not needed. (Format: `Dataset.save_to_disk` writes
``state.json``, ``dataset_info.json`` and one Arrow stream a shard.)
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from elbax.data.errors import DataError
from elbax.util.words import counted, listed, reason, shown

if TYPE_CHECKING:
    import pyarrow as pa


def is_saved(path: Path) -> bool:
    """Whether a folder is one that `save_to_disk` made."""
    return (path / "state.json").is_file() or (path / "dataset_dict.json").is_file()


class _Batch(NamedTuple):
    """A record batch: its file, where in this it begins, and how many rows it has."""

    file: Path
    offset: int
    rows: int


@dataclass(frozen=True, eq=False)
class SavedTable:
    """A table in Arrow streams, known by the places of its record batches.

    Attributes:
        name: the folder's name.
        source: its path.
        schema: names and types of its columns.
        parts: its record batches.
        size: bytes of its files.
        identity: SHA-256 (hex) over what the files say of their content.
    """

    name: str
    source: str
    schema: "pa.Schema"
    parts: tuple[_Batch, ...]
    size: int
    identity: str

    @property
    def lengths(self) -> np.ndarray:
        """(units,) how many rows each record batch has."""
        return np.array([part.rows for part in self.parts], np.int64)

    def batches(
        self, unit: int, columns: Sequence[str] | None = None, rows: int = 1 << 16
    ) -> "Iterator[pa.RecordBatch]":
        """The rows of a record batch, in order.

        Args:
            unit: its number.
            columns: which columns; None: all.
            rows: how many at once.

        Raises:
            DataError: it cannot be read, or is no longer what it was.
        """
        import pyarrow as pa

        part = self.parts[unit]
        try:
            with pa.OSFile(str(part.file)) as file:
                file.seek(part.offset)
                batch = pa.ipc.read_record_batch(pa.ipc.read_message(file), self.schema)
                batch.validate(full=True)
        except (pa.ArrowException, ValueError, OSError, EOFError) as error:
            raise _unreadable(part.file, error) from None
        if batch.num_rows != part.rows:
            raise DataError(
                f"{shown(part.file)} has changed while it was read: bring the old one back, or "
                "train a new run"
            )
        chosen = batch.select(list(self.schema.names if columns is None else columns))
        for start in range(0, part.rows, rows):
            yield chosen.slice(start, rows)

    def table(self) -> "pa.Table":
        """All rows.

        Raises:
            DataError: they cannot be read.
        """
        import pyarrow as pa

        found = [batch for unit in range(len(self.parts)) for batch in self.batches(unit)]
        return pa.Table.from_batches(found, self.schema)


def open_saved(path: Path) -> SavedTable:
    """A data set on disk, of which the places of its rows are read alone.

    Raises:
        DataError: it holds several splits, is damaged, or its shards differ in their columns.
    """
    where = shown(path)
    if (path / "dataset_dict.json").is_file():
        splits = sorted(one.name for one in path.iterdir() if is_saved(one))
        raise DataError(
            f"{where} holds several splits ({listed(splits)}): give one of them, such as "
            f"{shown(path / splits[0]) if splits else where}"
        )
    try:
        state = json.loads((path / "state.json").read_text(encoding="utf-8"))
        files = [path / one["filename"] for one in state["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{where} is a damaged data set ({reason(error, 160)})") from None
    if state.get("_indices_data_files"):
        raise DataError(f"{where} holds a selection of rows: save it after flatten_indices()")
    schema, parts, size = None, [], 0
    sha = hashlib.sha256(b"elbax arrow 1")
    for file in files:
        found, inside = _index(file)
        if schema is not None and found.remove_metadata() != schema.remove_metadata():
            raise DataError(f"{shown(file)} has other columns than {shown(files[0])}")
        schema = found
        length = file.stat().st_size
        sha.update(f"; {file.name} {length} {[part[1:] for part in inside]}".encode())
        parts, size = [*parts, *inside], size + length
    if schema is None or not parts:
        raise DataError(f"{where} has no rows: there is nothing to read")
    source = f"{counted(len(files), 'file')} in {where}"
    name = shown(path.resolve().name) or "data"
    return SavedTable(name, source, schema, tuple(parts), size, sha.hexdigest())


def _index(file: Path) -> "tuple[pa.Schema, list[_Batch]]":
    """The columns of an Arrow stream, and where its record batches begin."""
    import pyarrow as pa

    parts: list[_Batch] = []
    try:
        # A map of the file: of each batch the head is looked at, and not its values.
        with pa.memory_map(str(file)) as opened:
            schema: Any = pa.ipc.read_schema(pa.ipc.read_message(opened))
            if any(pa.types.is_dictionary(kind) for kind in schema.types):
                raise DataError(f"{shown(file)} holds dictionaries: save the columns as text")
            while True:
                offset = opened.tell()
                try:
                    message = pa.ipc.read_message(opened)
                except EOFError:
                    break
                rows = pa.ipc.read_record_batch(message, schema).num_rows
                if rows:
                    parts.append(_Batch(file, offset, rows))
    except DataError:
        raise
    except (pa.ArrowException, ValueError, OSError) as error:
        raise _unreadable(file, error) from None
    return schema, parts


def _unreadable(path: Path, error: Exception) -> DataError:
    if isinstance(error, FileNotFoundError):
        return DataError(f"{shown(path)} is gone: bring it back")
    return DataError(f"{shown(path)} is a damaged Arrow file ({reason(error, 160)})")
