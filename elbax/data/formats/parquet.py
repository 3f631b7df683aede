"""Parquet: one file, or a folder of files with hive partitions, on this machine or elsewhere.

Row groups are found by pyarrow's dataset, which knows of partitions, and read by its `ParquetFile`,
which decodes them a few thousand rows at a time: the dataset's own scanner holds a whole row group
(measured: 631 MB for one of 400 MB, against 136 MB).
"""

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from elbax.data.errors import DataError
from elbax.data.formats.images import IMAGE_SUFFIXES
from elbax.util.extras import need
from elbax.util.words import counted, reason, shown

if TYPE_CHECKING:
    import pyarrow as pa

_SUFFIXES = (".parquet", ".parq", ".pq")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_OF_PYARROW = ("file", "s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs")
_BUFFER = 1 << 20  # bytes read at once
_INDEX = "__index_level_"  # what pandas calls an index of its own


def is_url(data: Any) -> bool:
    """Whether this names data elsewhere: ``s3://bucket/table.parquet``."""
    return isinstance(data, str) and bool(_URL.match(data))


def is_parquet(data: Any) -> bool:
    """Whether this is a folder of Parquet files, or names such a folder or file elsewhere."""
    if is_url(data):
        return True
    path = Path(data).expanduser()
    if not path.is_dir():
        return False
    for _, folders, files in os.walk(path):
        folders.sort()
        for name in sorted(files):
            if name.endswith(_SUFFIXES):
                return not name.startswith(".")
            if name.lower().endswith(IMAGE_SUFFIXES):
                return False
    return False


class Group(NamedTuple):
    """A row group.

    Attributes:
        file: the number of its file.
        place: its number in this.
        rows: how many rows it has.
    """

    file: int
    place: int
    rows: int


@dataclass(frozen=True, eq=False)
class ParquetTable:
    """A table in Parquet, known by what its files say of themselves.

    Attributes:
        name: the stem of its path.
        source: its path.
        schema: names and types of its columns, those of partitions last.
        files: where the files are.
        partitions: what the folders of each file say: values by column.
        groups: all row groups.
        size: bytes of all values, before they are compressed.
        identity: SHA-256 (hex) over what the files say of their content.
        filesystem: of pyarrow.
    """

    name: str
    source: str
    schema: "pa.Schema"
    files: tuple[str, ...]
    partitions: tuple[dict[str, Any], ...]
    groups: tuple[Group, ...]
    size: int
    identity: str
    filesystem: Any

    @property
    def lengths(self) -> np.ndarray:
        """(groups,) how many rows each has."""
        return np.array([group.rows for group in self.groups], np.int64)

    def batches(
        self, unit: int, columns: Sequence[str] | None = None, rows: int = 1 << 16
    ) -> "Iterator[pa.RecordBatch]":
        """The rows of a row group, in order.

        Args:
            unit: its number.
            columns: which columns; None: all.
            rows: how many at once.

        Raises:
            DataError: it cannot be read, or is no longer what it was.
        """
        import pyarrow as pa
        from pyarrow import parquet as pq

        group = self.groups[unit]
        path, known = self.files[group.file], self.partitions[group.file]
        names = list(self.schema.names) if columns is None else list(columns)
        own, left = [name for name in names if name not in known], group.rows
        try:
            with (
                self.filesystem.open_input_file(path) as opened,
                pq.ParquetFile(opened, pre_buffer=False, buffer_size=_BUFFER) as file,
            ):
                self._check_still(file, path, own)
                if file.metadata.num_row_groups <= group.place:
                    raise DataError(self._changed(path))
                found = file.iter_batches(rows, [group.place], own, use_threads=False)
                for batch in found:
                    left -= batch.num_rows
                    batch.validate(full=False)
                    yield self._whole(batch, names, known)
        except (pa.ArrowException, ValueError, OSError) as error:
            if isinstance(error, DataError):
                raise
            raise _unreadable(path, error) from None
        if left:
            raise DataError(self._changed(path))

    def _check_still(self, file: Any, path: str, names: Sequence[str]) -> None:
        """Refuses a file that has other columns than it had.

        Raises:
            DataError: naming the column.
        """
        found = file.schema_arrow
        for name in names:
            kind = found.field(name).type if name in found.names else None
            known = self.schema.field(name).type
            if kind != known:
                now = "is gone" if kind is None else f"holds {shown(kind)}"
                raise DataError(
                    f"column {shown(repr(name))} of {shown(path)} held {shown(known)} and now "
                    f"{now}: bring the old file back, or train a new run"
                )

    def _whole(
        self, batch: "pa.RecordBatch", names: list[str], known: dict[str, Any]
    ) -> "pa.RecordBatch":
        """A batch with the columns of its partition."""
        import pyarrow as pa

        if not known:
            return batch
        arrays = [
            pa.repeat(pa.scalar(known[name], self.schema.field(name).type), batch.num_rows)
            if name in known
            else batch.column(name)
            for name in names
        ]
        return pa.RecordBatch.from_arrays(arrays, names=names)

    def _changed(self, path: str) -> str:
        return (
            f"{shown(path)} has changed while it was read: bring the old one back, or train a new "
            "run"
        )

    def table(self) -> "pa.Table":
        """All rows.

        Raises:
            DataError: they cannot be read.
        """
        import pyarrow as pa

        found = [batch for unit in range(len(self.groups)) for batch in self.batches(unit)]
        if not found:
            return self.schema.empty_table()
        return pa.Table.from_batches(found)


def open_table(data: str | Path) -> ParquetTable:
    """A table in Parquet, of which the ends of the files are read alone.

    Args:
        data: a file, a folder, or the address of one, such as ``s3://bucket/folder``.

    Raises:
        DataError: there is none, it cannot be read, or files differ in their columns.
    """
    import pyarrow as pa
    from pyarrow import dataset as ds

    where = shown(str(data))
    filesystem, root = _place(data)
    try:
        files = _files(filesystem, root, where)
        found = ds.dataset(
            files,
            filesystem=filesystem,
            format="parquet",
            partitioning=ds.partitioning(flavor="hive"),
            partition_base_dir=root,
        )
        fragments = sorted(found.get_fragments(), key=lambda fragment: fragment.path)
        first = _schema(fragments[0])
        sha, groups, known, size = hashlib.sha256(b"elbax parquet 1"), [], [], 0
        for number, fragment in enumerate(fragments):
            known.append(dict(ds.get_partition_keys(fragment.partition_expression)))
            if known[-1].keys() != known[0].keys():
                raise DataError(
                    f"{where} has files in folders of different partitions: "
                    f"{shown(fragments[0].path)} and {shown(fragment.path)}"
                )
            _check_same(first, fragments[0].path, _schema(fragment), fragment.path)
            relative = fragment.path.removeprefix(root)
            sha.update(f"; {relative} {_footer(filesystem, fragment.path)}".encode())
            for place, group in enumerate(fragment.row_groups):
                size += group.total_byte_size
                if group.num_rows:
                    groups.append(Group(number, place, group.num_rows))
    except DataError:
        raise
    except (pa.ArrowException, ValueError, OSError) as error:
        raise _unreadable(where, error) from None
    fields = list(first) + [
        found.schema.field(name) for name in known[0] if name not in first.names
    ]
    return ParquetTable(
        shown(Path(root).stem) or "table",
        f"{where}" if len(files) == 1 else f"{counted(len(files), 'file')} in {where}",
        pa.schema(fields),
        tuple(fragment.path for fragment in fragments),
        tuple(known),
        tuple(groups),
        size,
        sha.hexdigest(),
        filesystem,
    )


def _place(data: str | Path) -> tuple[Any, str]:
    """The file system of some data, and their path in it.

    Raises:
        DataError: an address that cannot be.
    """
    import pyarrow as pa
    from pyarrow import fs

    if not is_url(data):
        return fs.LocalFileSystem(), str(Path(data).expanduser().absolute())
    address = str(data)
    try:
        if address.partition("://")[0].lower() in _OF_PYARROW:
            return fs.FileSystem.from_uri(address)
        core = need("fsspec.core", None, f"reading {shown(address)}")
        there, path = core.url_to_fs(address)
        return fs.PyFileSystem(fs.FSSpecHandler(there)), path
    except (pa.ArrowException, ValueError, OSError, ImportError) as error:
        raise DataError(f"cannot read {shown(address)}: {reason(error, 160)}") from None


def _files(filesystem: Any, root: str, where: str) -> list[str]:
    """The Parquet files of a folder, or the file itself."""
    from pyarrow import fs

    info = filesystem.get_file_info(root)
    if info.type == fs.FileType.NotFound:
        raise DataError(f"no such file or folder: {where}")
    if info.type != fs.FileType.Directory:
        return [root]
    inside = filesystem.get_file_info(fs.FileSelector(root, recursive=True))
    found = sorted(
        one.path
        for one in inside
        if one.type == fs.FileType.File
        and one.path.endswith(_SUFFIXES)
        and not any(part[:1] in "._" for part in _parts(one.path, root))
    )
    if not found:
        raise DataError(f"{where} holds no Parquet files (.parquet)")
    return found


def _parts(path: str, root: str) -> list[str]:
    return [part for part in path.removeprefix(root).split("/") if part]


def _schema(fragment: Any) -> "pa.Schema":
    schema = fragment.physical_schema
    import pyarrow as pa

    return pa.schema([field for field in schema if not field.name.startswith(_INDEX)])


def _check_same(first: "pa.Schema", path: str, other: "pa.Schema", other_path: str) -> None:
    """Refuses a file that has other columns than the first one.

    Raises:
        DataError: naming the column and both files.
    """
    if other.names == first.names and other.types == first.types:
        return
    file, one = shown(other_path), shown(path)
    for name in first.names:
        if name not in other.names:
            raise DataError(f"{file} has no column {shown(repr(name))}, which {one} has")
    for name in other.names:
        if name not in first.names:
            raise DataError(f"{file} has a column {shown(repr(name))}, which {one} has not")
    for name in first.names:
        mine, theirs = first.field(name).type, other.field(name).type
        if mine != theirs:
            raise DataError(
                f"column {shown(repr(name))} of {file} holds {shown(theirs)}, and that of {one} "
                f"{shown(mine)}: write all files alike"
            )


def _footer(filesystem: Any, path: str) -> str:
    """SHA-256 (hex) over the end of a file, which says where all values lie, and its length."""
    with filesystem.open_input_file(path) as file:
        size = file.size()
        length = int.from_bytes(file.read_at(8, size - 8)[:4], "little")
        footer = file.read_at(length, size - 8 - length)
    return f"{size} {hashlib.sha256(footer).hexdigest()}"


def _unreadable(path: str, error: Exception) -> DataError:
    """What is said of a file that cannot be read."""
    if isinstance(error, FileNotFoundError):
        return DataError(f"{shown(path)} is gone: bring it back")
    if isinstance(error, OSError) and error.strerror:
        return DataError(f"cannot read {shown(path)}: {shown(error.strerror)}")
    return DataError(f"{shown(path)} is a damaged .parquet file ({reason(error, 160)})")
