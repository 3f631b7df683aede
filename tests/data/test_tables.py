"""Tables: what a column is, the way to numbers and back, and what is refused."""

import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from elbax.data import Column, DataError, load, matrix, tables
from elbax.data.cells import read_cells
from elbax.data.columns import in_own_units
from elbax.data.formats import tables as files
from elbax.data.kinds import infer


def mixed(n: int = 200) -> pd.DataFrame:
    """A table of every kind, with holes."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "height": rng.normal(170, 10, n),
            "income": np.exp(rng.normal(8, 1, n)),
            "kids": rng.poisson(1.5, n),
            "smoker": rng.random(n) < 0.3,
            "city": rng.choice(["Ulm", "Bern", "Graz"], n),
            "grade": rng.integers(1, 6, n),
            "size": pd.Categorical(
                rng.choice(["s", "m", "l"], n), categories=["s", "m", "l", "xl"], ordered=True
            ),
            "unit": "cm",
            "year": rng.integers(1990, 2020, n),
        }
    )
    frame.loc[rng.random(n) < 0.1, "height"] = np.nan
    frame.loc[rng.random(n) < 0.1, "kids"] = np.nan
    frame.loc[rng.random(n) < 0.1, "city"] = None
    return frame


KINDS = {
    "height": "continuous",
    "income": "positive",
    "kids": "count",
    "smoker": "binary",
    "city": "categorical",
    "grade": "ordinal",
    "size": "ordinal",
    "unit": "constant",
    "year": "continuous",
}


def in_order(dataset):
    """The rows of all splits in the table's own order."""
    part = dataset.split("all")
    x = np.empty_like(part.x)
    x[part.index] = part.x
    return x


def refused(data, message, **options):
    with pytest.raises(DataError, match=message) as error:
        load(data, **options)
    assert "\n" not in str(error.value)


def csv(tmp_path, text, name="t.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


# --- kinds -------------------------------------------------------------------------------------


def test_each_kind_is_found():
    dataset = load(mixed())
    assert {column.name: column.kind for column in dataset.columns} == KINDS
    assert [column.likelihood for column in dataset.columns] == [
        "normal", "log-normal", "negative-binomial", "binary", "categorical-3", "ordinal-5",
        "ordinal-4", "binary", "normal",
    ]  # fmt: skip
    assert dataset.kind == "table"
    assert dataset.shape == (9,)
    assert np.isnan(dataset.train.x).any()


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0, 1, 1, 0], "binary"),
        ([3, 7, 7, None], "binary"),
        ([1, 2, 3, 2], "ordinal"),
        ([0, 5, 2, 9], "count"),
        ([1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010], "continuous"),
        ([-1, 0, 2], "continuous"),
        ([0.5, 1.5], "continuous"),
        ([0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0], "positive"),
        ([2000.1, 2000.2, 2000.1, 2003.0], "continuous"),
        ([7, 7, None], "constant"),
        ([True, False], "binary"),
        (["a", "b", None], "binary"),
        (["a", "b", "c"], "categorical"),
        (["a", "a"], "constant"),
    ],
)
def test_the_rule(values, kind):
    assert infer("x", read_cells(pa.array(values), "x")).kind == kind


def test_kinds_can_be_asked_for():
    frame = mixed()
    dataset = load(frame, kinds={"grade": "count", "year": "ignore", "kids": "continuous"})
    kinds = {column.name: column.kind for column in dataset.columns}
    assert (kinds["grade"], kinds["kids"]) == ("count", "continuous")
    assert "year" not in kinds
    assert dataset.ignored == {"year": "as asked"}
    assert "left out: year" in dataset.source


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ({"city": "count"}, "'city' holds text, not numbers: it cannot be count"),
        ({"city": "ordinal"}, "no order of its own"),
        ({"city": "binary"}, "3 different values"),
        ({"height": "count"}, "it cannot be count"),
        ({"year": "binary"}, "29 different values: it cannot be binary"),
        ({"kids": "positive"}, "holds 0: it cannot be positive"),
        ({"kids": "counts"}, r"'counts' \(did you mean 'count'"),
        ({"kid": "count"}, r"no column 'kid' \(did you mean 'kids'"),
        ({"income": "categorical"}, "200 different values, more than 100 categories"),
    ],
)
def test_impossible_kinds_are_refused(kinds, message):
    refused(mixed(), message, kinds=kinds)


def test_text_that_differs_in_every_row_is_an_identifier():
    rows = 40  # no more than a category may have values
    frame = mixed(rows).assign(who=[f"W{i}" for i in range(rows)])
    assert "identifier" in load(frame).ignored["who"]
    categories = pd.Categorical(frame["who"])  # declared on purpose
    kinds = {c.name: c.kind for c in load(frame.assign(who=categories)).columns}
    assert kinds["who"] == "categorical"
    asked = load(frame, kinds={"who": "categorical"})
    assert {c.name: c.kind for c in asked.columns}["who"] == "categorical"


def test_marks_and_digits_among_the_values_of_a_categorical():
    values = pa.array(["3", "?", "1", "n/a", "2"])
    codes = pa.array([0, 1, 2, None, 3, 4, 1], pa.int32())
    cells = read_cells(pa.DictionaryArray.from_arrays(codes, values, ordered=True), "x")
    assert cells.levels == ("3", "1", "2")
    np.testing.assert_array_equal(cells.numbers, [0, np.nan, 1, np.nan, np.nan, 2, np.nan])
    assert cells.marks == {"?": 2, "n/a": 1}
    column = infer("x", cells)
    assert (column.kind, column.categories) == ("ordinal", ("3", "1", "2"))


def test_two_sums_of_money_are_two_categories_and_come_back_as_written():
    texts = ["$5.00", "$1,600.00", None] * 20
    frame = pd.DataFrame({"fee": texts, "n": np.random.default_rng(0).normal(size=60)})
    table = files.read(frame)
    coded = tables.find_columns(table, {}, None, check=True)
    assert [column.kind for column in coded.columns] == ["binary", "continuous"]
    x = tables.encode(table, coded.columns).x
    np.testing.assert_array_equal(x[:3, 0], [0, 1, np.nan])
    assert tables.decode(coded.columns, x).column("fee").to_pylist() == texts


def test_text_that_writes_a_category_otherwise_is_known():
    frame = pd.DataFrame({"k": ["1.0", "2.0"] * 20, "n": np.arange(40.0) ** 2})
    table = files.read(frame)
    coded = tables.find_columns(table, {}, None, check=True)
    assert coded.columns[0].kind == "binary"
    np.testing.assert_array_equal(tables.encode(table, coded.columns).x[:, 0], [0, 1] * 20)


def test_kinds_are_for_tables():
    refused(np.zeros((9, 2)), "the array is none", kinds={"a": "count"})


# --- there and back ----------------------------------------------------------------------------


def test_the_table_comes_back_with_its_types_and_categories():
    frame = mixed()
    dataset = load(frame)
    back = tables.decode(dataset.columns, in_order(dataset))
    assert [str(kind) for kind in back.schema.types] == [
        "double", "double", "double", "bool", "string", "int64",
        "dictionary<values=string, indices=int32, ordered=1>", "string", "int64",
    ]  # fmt: skip
    again = back.to_pandas()
    for name in ("kids", "grade", "unit", "year"):
        np.testing.assert_array_equal(again[name].to_numpy(), frame[name].to_numpy())
    for name in ("smoker", "city", "size"):
        there, here = again[name].astype(object), frame[name].astype(object)
        np.testing.assert_array_equal(there.isna(), here.isna())
        assert list(there.dropna()) == list(here.dropna())
    assert list(again["size"].cat.categories) == ["s", "m", "l", "xl"]
    assert again["size"].cat.ordered
    for name in ("height", "income"):
        np.testing.assert_allclose(again[name], frame[name], rtol=1e-6)


def test_shift_and_scale_are_those_of_the_observed_training_cells():
    frame = mixed()
    dataset = load(frame)
    train = frame.iloc[dataset.train.index]
    height, income = dataset.columns[:2]
    assert height.shift == pytest.approx(train["height"].mean())
    assert height.scale == pytest.approx(train["height"].std(ddof=0))
    assert income.scale == pytest.approx(np.exp(np.log(train["income"]).mean()))
    np.testing.assert_allclose(np.nanstd(dataset.train.x[:, 0]), 1, rtol=1e-5)


def test_the_jacobian_is_that_of_finite_differences():
    frame = mixed()
    dataset = load(frame)
    x = in_order(dataset).astype(np.float64)
    step = 0.5  # decoding is linear but for the rounding to what a float32 knows
    expected = np.zeros(len(x))
    for i, column in enumerate(dataset.columns):
        if column.kind in ("continuous", "positive") and not column.integral:
            a, b = (in_own_units(column, x[:, i] + move) for move in (-step, step))
            seen = ~np.isnan(x[:, i])
            expected[seen] += np.log(2 * step / (b - a))[seen]
    year = dataset.columns[-1]
    expected -= np.log(year.scale)
    each = np.array([column.log_jacobian for column in dataset.columns])
    np.testing.assert_allclose(~np.isnan(x) @ each, expected, atol=1e-4)


def test_what_comes_back_has_the_digits_that_are_known():
    frame = pd.DataFrame({"a": [163.2, 145.3, 197.1] * 10, "b": [13795.98, 0.0123, 3.3e7] * 10})
    dataset = load(frame, kinds={"b": "positive"})
    back = tables.decode(dataset.columns, in_order(dataset)).to_pydict()
    assert back["a"] == list(frame["a"])
    assert back["b"] == list(frame["b"])


def test_columns_are_json():
    columns = load(mixed()).columns
    for column in columns:
        assert Column.from_json(json.loads(json.dumps(column.to_json()))) == column
    with pytest.raises(ValueError, match="description of a column is damaged"):
        Column.from_json({**columns[0].to_json(), "kind": "odd"})
    with pytest.raises(ValueError, match="description of a column is damaged"):
        Column.from_json({"name": "x"})


def test_files_hold_what_the_table_in_memory_holds(tmp_path):
    frame = mixed()
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_csv(tmp_path / "t.tsv", index=False, sep="\t")
    frame.to_csv(tmp_path / "semicolon.csv", index=False, sep=";")
    frame.set_index(np.arange(5, 205)).to_parquet(tmp_path / "t.parquet")
    memory = load(frame)
    assert load(tmp_path / "t.parquet").fingerprint == memory.fingerprint
    assert load(pa.Table.from_pandas(frame)).fingerprint == memory.fingerprint
    fingerprints = {load(tmp_path / f).fingerprint for f in ("t.csv", "t.tsv", "semicolon.csv")}
    assert len(fingerprints) == 1
    np.testing.assert_array_equal(load(tmp_path / "t.csv").train.x[:, :6], memory.train.x[:, :6])


def test_what_is_written_is_read_again(tmp_path):
    dataset = load(mixed())
    table = tables.decode(dataset.columns, in_order(dataset))
    for name in ("t.csv", "t.parquet"):
        files.write(tmp_path / name, table, name[1:])
        again = load(tmp_path / name, columns=dataset.columns)
        np.testing.assert_allclose(in_order(again), in_order(dataset), rtol=1e-5, atol=1e-6)


# --- other rows --------------------------------------------------------------------------------


def test_other_rows_are_read_by_the_training_columns(tmp_path):
    frame = mixed()
    trained = load(frame)
    few = frame.head(4)[[*reversed(frame.columns)]].assign(more=1)
    few["unit"] = None
    found = load(few, columns=trained.columns)
    expected = in_order(trained)[:4].copy()
    expected[:, 7] = np.nan
    np.testing.assert_array_equal(in_order(found), expected)
    assert found.columns == trained.columns


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("city", "Rome", "training did not see: column 'city' has 'Rome' in 1 row .row 1 first"),
        ("unit", "mm", "column 'unit' has 'mm' in 1 row .* --unseen missing"),
        ("grade", 9, "column 'grade' has 9"),
        ("kids", -1, "'kids' of .* of whole numbers from 0 on, and holds others in row 1: -1 "),
        ("kids", 1.5, "whole numbers from 0 on"),
        ("income", 0.0, "numbers above 0"),
        ("height", np.inf, "'height' is infinite in row 1 "),
    ],
)
def test_other_rows_that_training_did_not_see_are_refused(column, value, message):
    frame = mixed()
    columns = load(frame).columns
    few = frame.head(4).copy()
    few[column] = few[column].astype(object)
    few.loc[1, column] = value
    few[column] = few[column].infer_objects()
    refused(few, message, columns=columns)


def test_lacking_columns_and_text_for_numbers_are_refused():
    frame = mixed()
    columns = load(frame).columns
    refused(frame.drop(columns=["city", "kids"]), "lacks the columns 'kids', 'city'",
            columns=columns)  # fmt: skip
    refused(frame.assign(height="tall"), "'height' of .* was continuous in training, .* text",
            columns=columns)  # fmt: skip


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is an empty file"),
        ("\n\n", "is an empty file"),
        ("a,b\n", "has column names but no rows"),
        ("a,b\n1,2\n3\n4,5\n", "row 3 has 1 cell, and the first line 2 columns"),
        ("a,b\n1,2\n3,4,5\n", "row 3 has 3 cells"),
        ("a,a\n1,2\n", "two columns called 'a'"),
        ("a,\n0,2\n1,3\n", "column 1 .* has no name.*--no-header"),
        ("1.5,2\n3,4\n5,6\n", "begins with 1.5, 2, which looks like data.*--no-header"),
        ('b\n""\nNA\n?\n', "no column is left .*b: has no observed cell"),
        ("a,b\n1,inf\n2,3\n3,4\n", "'b' is infinite in row 0 "),
        ("a,b\n1,1e200\n2,3\n3,4\n", "beyond 1e100"),
        ("a,b\n1,9007199254740993\n2,3\n3,4\n", "whole numbers beyond 2\\^53"),
        ("a,b\n1,2\n", "has 1 row only: at least 3"),
        (
            "a\n" + "\n".join(f"name{i}" for i in range(101)),
            "a: 101 different texts",
        ),
    ],
)
def test_files_that_cannot_be_used(tmp_path, text, message):
    refused(csv(tmp_path, text), message)


def test_other_encodings_and_damaged_files(tmp_path):
    (tmp_path / "t.csv").write_bytes("a,b\nKöln,1\nB,2\nC,3\n".encode("latin-1"))
    assert load(tmp_path / "t.csv").columns[0].categories == ("B", "C", "Köln")
    (tmp_path / "t.csv").write_bytes(b"a,b\nK\x81ln,1\nB,2\nC,3\n")
    refused(tmp_path / "t.csv", "is not UTF-8 .line 2")
    pq.write_table(pa.table({"a": [1, 2, 3]}), tmp_path / "t.parquet")
    content = (tmp_path / "t.parquet").read_bytes()
    (tmp_path / "t.parquet").write_bytes(content[:40])
    refused(tmp_path / "t.parquet", "damaged .parquet")
    refused(pa.table({"a": [[1], [2], [3]]}), "a: holds values of type list")
    refused(pd.DataFrame({"a": [1, "x", object()]}), "'a' of the pandas table holds mixed")
    refused(pd.DataFrame({"a": [1, 2]}).drop(columns="a"), "no columns")
    refused(mixed(), "a table has no pixels", binarize="static")


def test_a_byte_order_mark_and_quoted_cells_are_read(tmp_path):
    text = '\ufeff"a,1",b\n"x\ny",1\n"p, q",2\nz,2\n'
    columns = load(csv(tmp_path, text)).columns
    assert [column.name for column in columns] == ["a,1", "b"]
    assert columns[0].categories == ("p, q", "x\ny", "z")


def test_without_check_a_bad_column_is_left_out_with_its_reason(tmp_path):
    path = csv(tmp_path, "a,b\n1,1\n2,inf\n4,2\n")
    dataset = load(path, check=False)
    assert [column.name for column in dataset.columns] == ["a"]
    assert "infinite" in dataset.ignored["b"]
    assert "b=ignore" in dataset.problems[0]


# --- labels ------------------------------------------------------------------------------------


def test_a_column_of_labels_is_left_out_of_the_rows():
    frame = mixed()
    frame["city"] = frame["city"].fillna("Ulm")
    dataset = load(frame, labels="city")
    assert dataset.label_names == ("Bern", "Graz", "Ulm")
    assert "city" not in [column.name for column in dataset.columns]
    assert dataset.train.label is not None
    names = np.array(dataset.label_names)[dataset.train.label]
    np.testing.assert_array_equal(names, frame["city"].iloc[dataset.train.index])
    refused(mixed(), "labels .*'city'.* are missing in .* rows", labels="city")
    refused(mixed(), "has no column 'town'", labels="town")


def test_kinds_as_the_command_line_writes_them():
    assert tables.parse_kinds("age=count, a=b=ignore,") == {"age": "count", "a=b": "ignore"}
    assert tables.parse_kinds(None) == {}
    for text, message in (("age", "give NAME=KIND"), ("a=count,a=binary", "'a' twice")):
        with pytest.raises(DataError, match=message):
            tables.parse_kinds(text)


def test_a_polars_table_is_read_as_the_same_pandas_table():
    table = pl.DataFrame(
        {
            "number": [1.5, None, 3.0, 0.2],
            "text": ["x", "y", None, "x"],
            "flag": [True, None, False, True],
            "class": pl.Series(["u", "v", "u", "w"], dtype=pl.Categorical),
            "level": pl.Series(["low", "high", None, "low"], dtype=pl.Enum(["low", "mid", "high"])),
        }
    )
    same = table.to_pandas()
    same["level"] = pd.Categorical(same["level"], ["low", "mid", "high"], ordered=True)
    ours, theirs = (tables.find_columns(files.read(t), {}, None, check=True) for t in (table, same))
    np.testing.assert_array_equal(ours.part.x, theirs.part.x)
    for one, other in zip(ours.columns, theirs.columns, strict=True):
        assert (one.name, one.kind, one.categories) == (other.name, other.kind, other.categories)
    assert [column.kind for column in ours.columns] == [
        "continuous", "binary", "binary", "categorical", "ordinal",
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"lazy: collect\(\) it first"):
        files.read(table.lazy())


# --- a feature matrix --------------------------------------------------------------------------


def columns_of(kinds, *columns):
    names = [f"x{i}" for i in range(len(columns))]
    return matrix.find_columns(names, np.array(columns, float).T, kinds)


@pytest.mark.parametrize(
    ("columns", "kinds"),
    [
        ([[0, 1, 1], [0.5, 1, 2], [3, 7, 7]], ["binary", "continuous", "continuous"]),
        ([[0, 1, np.nan], [-1, 2, 5]], ["binary", "continuous"]),
        ([[0, 1, 1], [0, 16, 3], [0, 0, 0]], ["continuous"] * 3),  # grey levels
        ([[0, 1, 1], [1, 0, 0]], ["binary", "binary"]),
    ],
)
def test_the_rule_of_a_matrix(columns, kinds):
    assert [column.kind for column in columns_of(None, *columns)] == kinds


def test_a_matrix_is_taken_for_what_is_asked():
    grades, incomes = [1, 2, 5, 2], [0.1, 1, 10, 100]
    kinds = [c.likelihood for c in columns_of(["ordinal", "log-normal"], grades, incomes)]
    assert kinds == ["ordinal-3", "log-normal"]
    assert [c.kind for c in columns_of("mixed", grades, incomes)] == ["ordinal", "positive"]
    assert columns_of("ordinal-6", grades)[0].categories == (0, 1, 2, 3, 4, 5)
    for asked, numbers, message in [
        ("ordinal-5", grades, "holds 5: it cannot be ordinal-5, whose codes are 0 to 4"),
        ("bernoulli", grades, "holds 2: it cannot be bernoulli, which is of numbers from 0 to 1"),
        ("binary", grades, "has 3 different values: it cannot be binary"),
        ("gauss", grades, "'x0' is to be 'gauss'"),
    ]:
        with pytest.raises(DataError, match=message):
            columns_of(asked, numbers)


def test_a_matrix_there_and_back():
    rng = np.random.default_rng(0)
    x = np.stack([rng.normal(5, 2, 50), np.exp(rng.normal(8, 1, 50)), rng.integers(1, 4, 50)], 1)
    x[3] = np.nan
    columns = matrix.find_columns(["a", "b", "c"], x, ["student-t", "positive", "ordinal"])
    rows = matrix.encode(columns, x)
    np.testing.assert_allclose(np.nanmean(rows[:, 0]), 0, atol=1e-6)
    np.testing.assert_allclose(np.nanstd(rows[:, 0]), 1, rtol=1e-6)
    np.testing.assert_allclose(np.nanmean(np.log(rows[:, 1])), 0, atol=1e-6)
    assert set(np.unique(rows[~np.isnan(rows[:, 2]), 2])) == {0, 1, 2}
    np.testing.assert_allclose(matrix.decode(columns, rows), x, rtol=1e-6)
    # Between two codes lie the numbers between their values, as of a mean.
    assert matrix.decode(columns, np.array([[0, 1, 0.5]]))[0, 2] == 1.5
