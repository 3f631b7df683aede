"""Tables in .zip archives: of one file, looked at before they are unpacked."""

import zipfile

import numpy as np
import pandas as pd
import pytest

from elbax.data import DataError, load

ROWS = pd.DataFrame({"a": np.arange(40) * 0.37, "b": np.random.default_rng(0).normal(size=40)})


def archive(path, *members: tuple[str, str]):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in members:
            file.writestr(name, text)
    return path


@pytest.mark.parametrize("name", ["t.csv.zip", "t.zip", "T.ZIP"])
def test_one_table_in_an_archive_is_read(tmp_path, name):
    text = ROWS.to_csv(index=False)
    ROWS.to_csv(tmp_path / "t.csv", index=False)
    extra = ("__MACOSX/._t.csv", "x")
    found = load(str(archive(tmp_path / name, ("folder/t.csv", text), extra)))
    assert found.fingerprint == load(str(tmp_path / "t.csv")).fingerprint
    assert found.name.lower() == "t"


def test_archives_of_something_else_are_refused(tmp_path):
    several = archive(tmp_path / "two.zip", ("a.csv", "x\n1\n"), ("b.csv", "x\n1\n"))
    with pytest.raises(DataError, match="is an archive, and not of one table"):
        load(str(several))
    bomb = archive(tmp_path / "bomb.zip", ("t.csv", "a,b\n" + "1,2\n" * 30_000_000))
    with pytest.raises(DataError, match="unpacks to more than 200 times its size"):
        load(str(bomb))
    damaged = tmp_path / "bad.csv.zip"
    content = archive(damaged, ("t.csv", ROWS.to_csv(index=False))).read_bytes()
    damaged.write_bytes(content[:200] + b"\0" * 40 + content[240:])
    with pytest.raises(DataError, match=r"bad\.csv\.zip is a damaged \.zip file"):
        load(str(damaged))
