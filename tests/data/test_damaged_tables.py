"""Tables that would read beyond their file, or beyond the memory, are refused in one line."""

import gzip
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pytest

from elbax.data import DataError, load
from elbax.data.formats import tables, text


def test_an_offset_beyond_the_file_is_refused(tmp_path):
    path, words = tmp_path / "table.feather", ["ash", "elm", "oak"] * 4
    table = pa.table({"kind": words})
    pyarrow.feather.write_feather(table, str(path), compression="uncompressed")
    content = path.read_bytes()
    offsets = np.arange(0, 39, 3, dtype="<i4").tobytes()
    assert content.count(offsets) == 1
    far = np.arange(0, 39, 3, dtype="<i4")
    far[5] = 10**9
    path.write_bytes(content.replace(offsets, far.tobytes()))
    with pytest.raises(DataError, match=r"damaged \.feather file"):
        tables.read(path)


def test_what_does_not_fit_into_memory_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "table.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n1,2\n"))

    def full(*_, **__):
        raise MemoryError

    monkeypatch.setattr(text, "_unpacked", full)
    with pytest.raises(DataError, match="does not fit into memory"):
        tables.read(path)


@pytest.mark.parametrize("damage", [b"a bad magic", b"a zip of the future", b"a name of no text"])
@pytest.mark.parametrize(
    ("name", "kind"), [("t.xlsx", "workbook"), ("t.zip", r"\.zip file"), ("t.npz", r"\.npz")]
)
def test_a_damaged_list_of_an_archive_is_one_line(name, kind, damage, tmp_path):
    path = tmp_path / name
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x\u00e9.npy" if name == "t.npz" else "x\u00e9.csv", b"a,b\n1,2\n")
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\x01\x02")
    if damage == b"a bad magic":
        content[entry] = 0
    elif damage == b"a zip of the future":
        content[entry + 6] = 99  # the version that is needed
    else:
        content[content.index("\u00e9".encode(), entry)] = 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match=kind) as error:
        load(path)
    assert "\n" not in str(error.value)
