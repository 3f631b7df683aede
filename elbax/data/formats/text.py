"""Tables in files of text: compressed or not, of any common separator, with a first line or not."""

import csv as text_csv
import io
import itertools
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from elbax.data.arrays import require_room
from elbax.data.errors import DAMAGED_ZIP, DataError
from elbax.util.words import counted, is_number, reason, shown

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".csv", ".tsv", ".txt", ".tab")
COMPRESSED = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
ZIP = ".zip"  # of one file of text
_SEPARATORS = ",;\t|"
_SAMPLE = 20_000  # bytes that tell the separator
_BLOCK = 1 << 22
_MOST_TIMES = 200  # text shrinks to a tenth or a twentieth, seldom further; a bomb to a thousandth
_SMALL = 1 << 26


class Text(NamedTuple):
    """A file of text as a table.

    Attributes:
        table: The columns, in pyarrow's types.
        remarks: What of its dialect is worth a word.
        delimiter: Between the cells.
    """

    table: "pa.Table"
    remarks: list[str]
    delimiter: str


def stem(path: Path) -> tuple[str, str]:
    """The name of a file without its endings, and the ending that says its format."""
    name = path.name
    if name.lower().endswith(ZIP):
        inside = _inside(path)
        return Path(name).stem.removesuffix(Path(inside).suffix), Path(inside).suffix.lower()
    for ending in COMPRESSED:
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
    inner = Path(name)
    return inner.stem, inner.suffix.lower()


def read(path: Path, where: str, *, header: bool | None, as_written: bool = False) -> Text:
    """Reads a file of text.

    Args:
        path: The file.
        where: How messages call it.
        header: Whether the first line names the columns; None: judged by what it holds.
        as_written: Leave every cell the text that it is.

    Raises:
        DataError: It is empty, damaged, of no known encoding, or ragged; or its first line may be
            names or data, and `header` does not say.
    """
    content, remarks = _decoded(_unpacked(path, where), where)
    start = content[:_SAMPLE].decode(errors="ignore")
    if not content.strip():
        raise DataError(f"{where} is an empty file")
    delimiter = _delimiter(start, path)
    if delimiter != "," and stem(path)[1] == ".csv":
        names = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
        remarks.append(f"separated by {names[delimiter]}")
    first = next(text_csv.reader(io.StringIO(start), delimiter=delimiter), [])
    names = [name.strip() for name in first]
    if header is False:
        names = [str(i) for i in range(len(first))]
    table = _parse(content, where, delimiter, names, header is not False, as_written)
    if header is None and not as_written:
        _refuse_data_as_names(names, table, where)
    return Text(table, remarks, delimiter)


def _unpacked(path: Path, where: str) -> bytes:
    """The bytes of a file, or what they unpack to, within the memory of this machine."""
    import pyarrow as pa

    if path.suffix.lower() == ZIP:
        return _unzipped(path, where)
    how = COMPRESSED.get(path.suffix.lower())
    if how is None:
        return path.read_bytes()
    size = path.stat().st_size
    blocks, total = [], 0
    try:
        with pa.CompressedInputStream(pa.OSFile(str(path)), how) as stream:
            while block := stream.read(_BLOCK):
                blocks.append(block)
                total += len(block)
                require_room(4 * total, where)
                if total > max(_SMALL, _MOST_TIMES * size):
                    raise _bomb(where)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{where} is a damaged {path.suffix} file ({reason(error, 120)})") from None
    return b"".join(blocks)


def _inside(path: Path) -> str:
    """The name of the only file in an archive; empty where there is none, or several."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [one.filename for one in archive.infolist() if not one.is_dir()]
    except (OSError, *DAMAGED_ZIP):
        return ""
    names = [name for name in names if not name.startswith("__MACOSX/")]
    return names[0] if len(names) == 1 else ""


def _unzipped(path: Path, where: str) -> bytes:
    """The only file in an archive; its size is looked at before it is unpacked."""
    try:
        with zipfile.ZipFile(path) as archive:
            one = archive.getinfo(_inside(path))
            require_room(4 * one.file_size, where)
            if one.file_size > max(_SMALL, _MOST_TIMES * one.compress_size):
                raise _bomb(where)
            with archive.open(one) as file:
                content = file.read(one.file_size + 1)
    except DAMAGED_ZIP as error:
        raise DataError(f"{where} is a damaged .zip file ({reason(error, 120)})") from None
    except RuntimeError as error:  # a password
        raise DataError(f"{where} cannot be unpacked ({reason(error, 120)})") from None
    return content


def _bomb(where: str) -> DataError:
    return DataError(
        f"{where} unpacks to more than {_MOST_TIMES} times its size, as no table of text does: "
        "unpack it yourself if it is sound"
    )


def _decoded(content: bytes, where: str) -> tuple[bytes, list[str]]:
    """The text in UTF-8, and a remark on its encoding where it was another."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return content.decode("utf-16").encode(), ["UTF-16"]
        except UnicodeDecodeError as error:
            raise DataError(f"{where} is damaged UTF-16 ({error.reason})") from None
    try:
        content.decode()
        return content.removeprefix(b"\xef\xbb\xbf"), []
    except UnicodeDecodeError as error:
        place = content.count(b"\n", 0, error.start) + 1
    # Western Europe's old code, which spreadsheets still write: five bytes have no meaning in it.
    try:
        if b"\0" not in content:
            text = content.decode("cp1252").encode()
            return text, [f"read as Windows-1252 (line {place:,} is no UTF-8)"]
    except UnicodeDecodeError:
        pass
    raise DataError(f"{where} is not UTF-8 (line {place:,}): save it as UTF-8")


def _delimiter(sample: str, path: Path) -> str:
    """What stands between the cells."""
    import clevercsv

    if stem(path)[1] in (".tsv", ".tab"):
        return "\t"
    header = sample.partition("\n")[0]
    likely = max(_SEPARATORS, key=header.count)
    if not header.count(likely):
        return ","
    try:
        found = clevercsv.Sniffer().sniff(sample, delimiters=_SEPARATORS)
    except clevercsv.Error:
        return likely
    delimiter = None if found is None else found.delimiter
    return delimiter if delimiter and header.count(delimiter) else likely


def _parse(
    content: bytes, where: str, delimiter: str, names: Sequence[str], named: bool, as_written: bool
) -> "pa.Table":
    import pyarrow as pa
    from pyarrow import csv

    # Columns of one name are told apart by whoever checks the names: pyarrow is given places.
    places = [str(i) for i in range(len(names))]
    try:
        table = csv.read_csv(
            io.BytesIO(content),
            # One block: a column's type is then that of all its rows.
            csv.ReadOptions(
                use_threads=False,
                block_size=min(len(content) + 1, 1 << 30),
                column_names=places,
                skip_rows_after_names=int(named),
            ),
            csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            csv.ConvertOptions(
                null_values=[] if as_written else csv.ConvertOptions().null_values,
                strings_can_be_null=not as_written,
                column_types=dict.fromkeys(places, pa.string()) if as_written else None,
            ),
        )
    except pa.ArrowException as error:
        raise DataError(_problem(where, reason(error, 160))) from None
    return table.rename_columns(list(names))


def _problem(where: str, reason: str) -> str:
    ragged = re.search(r"(?:Row #(\d+): )?Expected (\d+) columns, got (\d+)", reason)
    if ragged is not None:
        row, expected, found = ragged.groups()
        line = f"row {row}" if row else "a row"
        return (
            f"{where}: {line} has {counted(int(found), 'cell')}, and the first line "
            f"{counted(int(expected), 'column')}: mend it"
        )
    return f"{where} cannot be read as a table: {reason}"


def _refuse_data_as_names(names: Sequence[str], table: "pa.Table", where: str) -> None:
    """Refuses a first line that looks like the rows below it: numbers over columns of numbers.

    Whole numbers in even steps are names, of years for instance.
    """
    import pyarrow as pa

    numeric = [
        name
        for name, field in zip(names, table.schema, strict=True)
        if pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
    ]
    numbers = [float(name) for name in names if is_number(name)]
    steps = {b - a for a, b in itertools.pairwise(numbers)}
    even = len(numbers) > 1 and len(steps) == 1 and all(n.is_integer() for n in numbers)
    if not numbers or even or not table.num_rows:
        return
    if all(is_number(name) for name in numeric):
        raise DataError(
            f"{where} begins with {shown(', '.join(names[:3]))}, which looks like data, not like "
            "the names of its columns: --no-header (header=False) numbers the columns, --header "
            "takes them for names"
        )
