"""docs/missing-benchmark.md is made of what was recorded; what is hidden is what it says."""

import zipfile

import numpy as np
import pytest

from benchmarks.missing import __main__ as missing_benchmark
from benchmarks.missing import page, sets


def test_the_page_is_made_of_the_records():
    written = missing_benchmark.PAGE.read_text(encoding="utf-8")
    assert written == page.render(missing_benchmark.recorded())


def test_the_upper_half_of_the_first_columns_is_hidden():
    x = sets.load("diabetes")
    rows = sets.holed(x, seed=1)
    hidden = np.isnan(rows.seen)
    np.testing.assert_allclose(rows.whole.mean(axis=0), 0.0, atol=1e-9)
    np.testing.assert_allclose(rows.whole.std(axis=0), 1.0)
    np.testing.assert_array_equal(hidden[:, :5], rows.whole[:, :5] > 0)
    assert not hidden[:, 5:].any()
    # The mean of the observed cells: its error is that of all hidden cells from it.
    mean = np.nanmean(rows.seen, axis=0)
    expected = np.sqrt(np.mean(np.square(rows.whole - mean)[hidden]))
    assert sets.error(np.where(hidden, mean, rows.seen), rows) == pytest.approx(expected)


def test_each_white_wine_is_taken_once_from_either_file(tmp_path):
    rows = np.arange(55.0).reshape(5, 11)
    text = [",".join(map(str, row)) for row in rows]
    wheel = tmp_path / "keel.whl"
    kinds = {
        "3-9_vs_5.dat": [text[0] + ",positive", text[1] + ",negative"],
        "3_vs_7.dat": [text[0] + ",positive", text[2] + ", negative"],
        "9_vs_4.dat": [text[0] + ",positive", text[3] + ",negative"],
    }
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, lines in kinds.items():
            archive.writestr(sets._KEEL + name, "\n".join(["@data", *lines]))
    np.testing.assert_array_equal(sets.load("white_wine", wheel), rows[:4])
    csv = tmp_path / "winequality-white.csv"
    csv.write_text("\n".join(["a;b", *(t.replace(",", ";") + ";6" for t in text)]))
    np.testing.assert_array_equal(sets.load("white_wine", csv), rows)
    with pytest.raises(ValueError, match="needs --wine FILE"):
        sets.load("white_wine")
