"""Tables with text, dates and categories, as the estimators take them and give them back."""

import datetime
import pickle
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pandas.testing import assert_frame_equal
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from elbax import VAE, VAEImputer, VAEOutlierDetector
from elbax.data import load
from elbax.data.errors import DataError

ROWS = 120
SMALL: dict[str, Any] = {
    "hidden_layer_sizes": (8,), "n_components": 2, "batch_size": 10, "n_draws": 20,
    "max_iter": 2, "random_state": 0,
}  # fmt: skip
WARDS, GRADES = ["north", "south", "west"], ["low", "mid", "high"]


def cells(rows: int = ROWS, holes: float = 0.15) -> dict[str, list[Any]]:
    """Columns as Python's values, None where a cell is missing: an id, and others of every sort."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=rows)
    begin = datetime.datetime(2024, 1, 1)
    whole: dict[str, list[Any]] = {
        "age": np.rint(50 + 12 * z).astype(int).tolist(),
        "bmi": (24 + z + rng.normal(size=rows)).round(1).tolist(),
        "smoker": np.where(z + 0.3 * rng.normal(size=rows) > 0, "yes", "no").tolist(),
        "ward": [WARDS[i] for i in rng.integers(0, 3, rows)],
        "grade": [GRADES[i] for i in np.digitize(z, [-0.5, 0.5])],
        "day": [begin.date() + datetime.timedelta(int(k)) for k in rng.integers(0, 700, rows)],
        "at": [begin + datetime.timedelta(hours=int(k)) for k in rng.integers(0, 700, rows)],
        "ok": (z > 0).tolist(),
        "paid": [f"${value:,.2f}" for value in np.exp(rng.normal(7, 1, rows))],
        "score": [str(k) for k in rng.integers(10, 99, rows)],
        "price": [Decimal(f"{value:.2f}") for value in rng.normal(5, 1, rows)],
    }
    made = {
        name: [None if gone else cell for cell, gone in zip(column, hole, strict=True)]
        for (name, column), hole in zip(
            whole.items(), rng.random((len(whole), rows)) < holes, strict=True
        )
    }
    made["paid"][5] = "n/a"
    numbers = rng.permutation(10 * rows)[:rows]
    return {"id": [f"P{k:05d}" for k in numbers], **made}


def as_pandas(columns: dict[str, list[Any]]) -> pd.DataFrame:
    kinds: dict[str, Any] = {
        "age": "Int16", "ward": pd.CategoricalDtype(WARDS), "at": "datetime64[ns]",
        "grade": pd.CategoricalDtype(GRADES, ordered=True), "score": object,
    }  # fmt: skip
    made = {name: pd.Series(column, dtype=kinds.get(name)) for name, column in columns.items()}
    frame = pd.DataFrame(made)
    return frame.set_axis(np.arange(len(frame)) * 2 + 5, axis=0)


def as_polars(columns: dict[str, list[Any]]) -> pl.DataFrame:
    kinds = {
        "age": pl.Int16, "ward": pl.Categorical, "grade": pl.Enum(GRADES),
        "at": pl.Datetime("ms"), "price": pl.Decimal(10, 2),
    }  # fmt: skip
    return pl.DataFrame({name: pl.Series(c, dtype=kinds.get(name)) for name, c in columns.items()})


def as_pyarrow(columns: dict[str, list[Any]]) -> pa.Table:
    kinds = {
        "age": pa.int16(),
        "smoker": pa.string_view(),
        "ward": pa.dictionary(pa.int8(), pa.string()),
        "grade": pa.dictionary(pa.int8(), pa.string()),
    }
    return pa.table({name: pa.array(c, type=kinds.get(name)) for name, c in columns.items()})


LIBRARIES: dict[str, Any] = {"pandas": as_pandas, "polars": as_polars, "pyarrow": as_pyarrow}


def python(table: Any) -> dict[str, list[Any]]:
    """The cells of a table as Python's values, None where missing."""
    if isinstance(table, pd.DataFrame):
        return {
            str(name): [None if pd.isna(cell) else cell for cell in column.tolist()]
            for name, column in table.items()
        }
    return table.to_dict(as_series=False) if isinstance(table, pl.DataFrame) else table.to_pydict()


def types(table: Any) -> dict[str, Any]:
    if isinstance(table, pa.Table):
        return dict(zip(table.schema.names, table.schema.types, strict=True))
    return dict(table.dtypes if isinstance(table, pd.DataFrame) else table.schema)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return as_pandas(cells())


@pytest.fixture(scope="module")
def fitted(table) -> VAE:
    """A short fit that many tests look at; none changes it."""
    return VAE(**SMALL).fit(table)


# --- one reading -------------------------------------------------------------------------------


@pytest.mark.parametrize("library", LIBRARIES)
def test_columns_and_numbers_are_those_of_load(library):
    table = LIBRARIES[library](cells())
    model: Any = VAE(**SMALL).fit(table)
    reading, dataset = model._reading, load(table, validation=0)
    ours, theirs = (
        [{**c.to_json(), "shift": 0, "scale": 0} for c in found]  # of other training rows
        for found in (reading.columns, dataset.columns)
    )
    assert ours == theirs
    everything = dataset.split("all")

    def own(x: np.ndarray, columns: Any) -> np.ndarray:
        return x * [c.scale for c in columns] + [c.shift for c in columns]

    np.testing.assert_allclose(
        own(reading.encode(model._read(table)), reading.columns)[everything.index],
        own(everything.x, dataset.columns),
        rtol=1e-5,
    )
    assert model.likelihood_ == tuple(column.likelihood for column in dataset.columns)
    assert dataset.ignored.keys() == {"id"}
    assert model.feature_names_in_.tolist() == list(cells())


def test_verbose_says_what_inspect_says(table, capsys):
    VAE(**SMALL, verbose=1).fit(table)
    said = capsys.readouterr().out.splitlines()
    dataset = load(table)
    for line in dataset.notes:
        assert f"[VAE] {line}" in said
    assert f"[VAE] left out id: {dataset.ignored['id']}" in said
    assert any("'n/a' taken as missing" in line for line in said)


def test_the_jacobian_puts_scores_in_the_units_of_the_table(table):
    """A change of unit moves log p by its logarithm; dates and categories have none to change."""
    numbers = table[["bmi", "smoker", "at"]]
    larger = numbers.assign(bmi=numbers["bmi"] * 4)
    before, after = (VAE(**SMALL).fit(x).score_samples(x) for x in (numbers, larger))
    seen = numbers["bmi"].notna().to_numpy()
    np.testing.assert_allclose(after, before - np.log(4) * seen, atol=1e-6)


def test_kinds_as_asked_by_name(table):
    asked = {"age": "count", "bmi": "student-t", "id": "ignore", "day": "ignore"}
    fitted = VAE(**SMALL, likelihood=asked).fit(table)
    found = {column.name: column.kind for column in fitted._reading.columns}
    assert found["age"], found["bmi"] == ("count", "student-t")
    assert "day" not in found
    assert found == {c.name: c.kind for c in load(table, kinds=asked).columns}
    each = ["ignore" if name in ("id", "day") else None for name in table]
    with pytest.raises(ValueError, match=r"'age' is to be 'None'.*: a column is continuous"):
        VAE(**SMALL, likelihood=each).fit(table)
    with pytest.raises(ValueError, match="likelihood names 2 columns, and X has 12"):
        VAE(**SMALL, likelihood=["normal", "binary"]).fit(table)


def test_kinds_by_name_of_a_matrix():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"visits": rng.poisson(3, 60), "size": rng.normal(size=60)})
    fitted = VAE(**SMALL, likelihood={"visits": "poisson"}).fit(frame)
    assert fitted.likelihood_ == ("poisson", "normal")
    assert isinstance(fitted.sample(3), np.ndarray)  # numbers in, numbers out
    by_place = VAE(**SMALL, likelihood={"x1": "laplace"}).fit(frame.to_numpy(float))
    assert by_place.likelihood_ == ("normal", "laplace")
    with pytest.raises(ValueError, match=r"names the column 'visit' .did you mean 'visits'"):
        VAE(**SMALL, likelihood={"visit": "poisson"}).fit(frame)
    with pytest.raises(ValueError, match="leave the column out of X"):
        VAE(**SMALL, likelihood={"visits": "ignore"}).fit(frame)


def test_nullable_numbers_are_a_matrix_with_holes():
    rng = np.random.default_rng(0)
    x = rng.normal(100, 9, (60, 2)).round()
    x[rng.random(x.shape) < 0.1] = np.nan
    nullable = pd.DataFrame(x, columns=["a", "b"]).convert_dtypes()
    assert set(map(str, nullable.dtypes)) == {"Int64"}
    expected = VAE(**SMALL).fit(x).transform(x)
    for frame in (nullable, pl.from_pandas(nullable), pa.Table.from_pandas(nullable)):
        np.testing.assert_array_equal(VAE(**SMALL).fit(frame).transform(frame), expected)


# --- and back ----------------------------------------------------------------------------------


@pytest.mark.parametrize("library", LIBRARIES)
def test_samples_are_a_table_like_that_of_fit(library):
    table = LIBRARIES[library](cells())
    fitted = VAE(**SMALL).fit(table)
    drawn = fitted.sample(100, random_state=0)
    back = fitted.inverse_transform(fitted.transform(table))
    # Of numbers in text, and of decimals in pandas' objects, numbers come back.
    free = {"score", "price"} if library == "pandas" else {"score"}
    names = [name for name in cells() if name != "id"]
    for made in (drawn, back):
        assert type(made) is type(table)
        found, asked = types(made), types(table)
        assert [*found] == names
        assert {n: t for n, t in found.items() if n not in free} == {
            n: t for n, t in asked.items() if n in found and n not in free
        }
        values = python(made)
        assert set(values["ward"]) <= set(WARDS)
        assert set(values["smoker"]) == {"yes", "no"}
        np.testing.assert_allclose(np.array(values["bmi"]) * 10 % 1 % 1, 0, atol=1e-9)
        assert all(text.startswith("$") for text in values["paid"])
        own = [cell for cell in cells()["day"] if cell is not None]
        assert min(own) <= min(values["day"]) <= max(values["day"]) <= max(own)
        assert all(moment.minute == 0 for moment in values["at"])  # the resolution is an hour
    assert len(set(python(drawn)["age"])) > 10
    again = VAE(**SMALL).fit(drawn)  # what was drawn is read as what it was drawn like
    assert len(again.likelihood_) == len(names)


@pytest.mark.parametrize("library", LIBRARIES)
def test_holes_are_filled_and_all_else_is_untouched(library):
    table = LIBRARIES[library](cells())
    imputer = VAEImputer(**SMALL)
    filled = imputer.fit_transform(table)
    assert type(filled) is type(table)
    assert types(filled) == types(table)
    assert imputer.get_feature_names_out().tolist() == list(cells())
    before, after = python(table), python(filled)
    assert after["id"] == before["id"]
    for name, column in before.items():
        for was, now in zip(column, after[name], strict=True):
            assert now is not None
            assert now == was or was in (None, "n/a")
    assert after["paid"][5].startswith("$")
    assert all(cell.isdigit() for cell in after["score"])
    if library == "pandas":
        assert filled.index.equals(table.index)
    low, high = map(python, imputer.intervals(table))
    for row, cell in enumerate(before["bmi"]):
        assert low["bmi"][row] <= after["bmi"][row] <= high["bmi"][row]
        assert (cell is None) or low["bmi"][row] == high["bmi"][row] == cell
    assert low["smoker"] == high["smoker"] == before["smoker"]  # a category has no ends


def test_the_indicator_of_a_table(table):
    imputer = VAEImputer(**SMALL, add_indicator=True).fit(table)
    out = imputer.transform(table)
    assert out.columns.tolist() == imputer.get_feature_names_out().tolist()
    gone = table.isna()
    gone.loc[table["paid"] == "n/a", "paid"] = True
    names = [name for name in table if gone[name].any()]
    for name in names:
        np.testing.assert_array_equal(out[f"missingindicator_{name}"], gone[name])
    assert len(out.columns) == len(table.columns) + len(names)


@pytest.mark.slow
def test_missing_categories_and_numbers_are_told_from_the_others():
    rng = np.random.default_rng(0)
    kind = rng.choice(["ash", "elm", "oak"], 400)
    height = np.select([kind == "ash", kind == "elm"], [10.0, 20.0], 30.0) + rng.normal(size=400)
    whole = pd.DataFrame({"kind": kind, "height": height.round(1)})
    holed = whole.copy()
    holed.loc[:39, "kind"] = None
    holed.loc[40:79, "height"] = np.nan
    filled = VAEImputer(random_state=0).fit_transform(holed)
    assert (filled["kind"][:40] == whole["kind"][:40]).mean() > 0.9
    error = (filled["height"] - whole["height"])[40:80]
    assert np.sqrt((error**2).mean()) < 2.0  # one is the best that can be; the mean has nine
    drawn = VAE(random_state=0).fit(whole).sample(500, random_state=0)
    means = drawn.groupby("kind")["height"].mean()
    np.testing.assert_allclose(means[["ash", "elm", "oak"]], [10, 20, 30], atol=3)


# --- with scikit-learn -------------------------------------------------------------------------


def test_pickled_and_cloned(table, fitted):
    again = pickle.loads(pickle.dumps(fitted))  # noqa: S301 - our own
    np.testing.assert_array_equal(again.score_samples(table), fitted.score_samples(table))
    assert_frame_equal(again.sample(9, random_state=1), fitted.sample(9, random_state=1))
    anew: Any = clone(fitted)
    anew.fit(table)
    np.testing.assert_array_equal(anew.transform(table), fitted.transform(table))
    for each in (again, fitted := pickle.loads(pickle.dumps(fitted))):  # noqa: S301
        each.partial_fit(table)
    np.testing.assert_array_equal(again.transform(table), fitted.transform(table))


def test_a_pickle_of_before_tables_were_taken():
    x = np.random.default_rng(0).normal(size=(30, 3))
    x[:, 1] = np.nan
    fitted = VAEImputer(**SMALL).fit(x)
    state = fitted.__getstate__()
    reading = state.pop("_reading")
    old = VAEImputer()
    old.__setstate__({**state, "_columns": reading["columns"], "_empty": ~reading["kept"]})
    x[0, 0] = np.nan
    np.testing.assert_array_equal(old.transform(x), fitted.transform(x))


def test_cross_validation_and_pipelines(table):
    word: Any = "raise"
    scores = cross_val_score(VAE(**SMALL), table, cv=3, error_score=word)
    assert len(set(scores)) == 3
    assert np.isfinite(scores).all()
    names = FunctionTransformer(lambda frame: frame[["age", "ward", "day"]])
    piped = make_pipeline(names, VAE(**SMALL)).fit(table)
    assert piped.transform(table).shape == (ROWS, 2)
    parts = [("code", VAE(**SMALL), ["age", "ward"]), ("keep", "passthrough", ["bmi"])]
    both = ColumnTransformer(parts)
    out: Any = both.set_output(transform="pandas").fit_transform(table)
    assert out.columns.tolist() == ["code__vae0", "code__vae1", "keep__bmi"]
    assert out.index.equals(table.index)
    chain = make_pipeline(VAEImputer(**SMALL), VAE(**SMALL)).fit(table)
    assert np.isfinite(chain.score(table))


def test_a_warm_start_goes_on(table):
    twice = VAE(**{**SMALL, "max_iter": 1}, early_stopping=False, warm_start=True)
    whole = VAE(**SMALL, early_stopping=False).fit(table)
    np.testing.assert_array_equal(
        twice.fit(table).fit(table).transform(table), whole.transform(table)
    )


@pytest.mark.slow
def test_outliers_in_a_table_are_told_and_explained():
    rng = np.random.default_rng(0)
    kind = rng.choice(["ash", "elm"], 400)
    height = np.where(kind == "ash", 10.0, 30.0) + rng.normal(size=400)
    usual = pd.DataFrame({"tree": [f"T{i}" for i in range(400)], "kind": kind, "height": height})
    detector = VAEOutlierDetector(contamination=0.05, random_state=0).fit(usual)
    strange = usual[:60].assign(height=usual["height"][:60] + 40)
    x = pd.concat([usual, strange])
    truth = np.repeat([1, 0], [400, 60])
    assert roc_auc_score(truth, detector.decision_function(x)) > 0.95
    assert np.mean(detector.predict(usual) == -1) == pytest.approx(0.05, abs=0.02)
    why = detector.explain(strange)
    assert why.shape == (60, 3)
    assert (why[:, 0] == 0).all()  # the identifier is set aside
    assert np.mean(why.argmin(axis=1) == 2) > 0.9
    assert detector.fit_predict(usual).shape == (400,)


# --- what is refused ---------------------------------------------------------------------------


def test_new_categories_are_all_named_in_one_line(table, fitted):
    other = table.astype({"ward": object, "smoker": object})
    other.iloc[3, other.columns.get_loc("ward")] = "east"
    other.iloc[7, other.columns.get_loc("smoker")] = "sometimes"
    for method in ("transform", "score_samples", "score"):
        with pytest.raises(ValueError, match=r"'east' in 1 row .row 3") as caught:
            getattr(fitted, method)(other)
        said = str(caught.value)
        assert said.startswith("X has categories that training did not see")
        assert "'sometimes' in 1 row (row 7" in said
        assert said.endswith("set these cells to None, or fit to a categorical that declares them")
        assert "--" not in said
        assert "\n" not in said
    mended = other.replace({"ward": {"east": None}, "smoker": {"sometimes": None}})
    assert np.isfinite(fitted.score(mended))
    declared = table.assign(ward=table["ward"].cat.add_categories(["east"]))
    assert np.isfinite(VAE(**SMALL).fit(declared).score(other.assign(smoker="yes")))


def test_other_columns_are_refused_as_by_scikit_learn(table, fitted):
    for other in (table.drop(columns="id"), table[[*table.columns][::-1]]):
        with pytest.raises(ValueError, match="feature names should match"):
            fitted.transform(other)
    with pytest.raises(ValueError, match="fitted to a table with text, dates or categories"):
        fitted.transform(table.to_numpy())
    numbers = VAE(**SMALL).fit(np.arange(40.0).reshape(20, 2))
    with pytest.raises(ValueError, match=r"column 'smoker' of X is not of numbers, and in fit"):
        numbers.transform(table[["bmi", "smoker"]])


def test_mistakes_in_a_table_are_one_line_with_a_mend_for_python():
    rows = 40
    odd = pd.DataFrame({"a": [*map(str, range(rows - 1)), "many"], "b": ["x", "y"] * (rows // 2)})
    with pytest.raises(
        DataError, match=r"'many'.*: mend them, or set these cells to None"
    ) as caught:
        VAE(**SMALL).fit(odd)
    assert "likelihood={'a': 'ignore'}" in str(caught.value)
    assert "--" not in str(caught.value)
    VAE(**SMALL, likelihood={"a": "ignore"}).fit(odd)
    with pytest.raises(ValueError, match="n_samples = 1: give at least 2"):
        VAE(**SMALL).fit(odd[:1])
    with pytest.raises(ValueError, match="lazy: collect"):
        VAE(**SMALL).fit(pl.DataFrame(odd).lazy())
    with pytest.raises(DataError, match="column 'a' of the pandas table holds mixed objects"):
        VAE(**SMALL).fit(pd.DataFrame({"a": [1, "x"] * 20, "b": range(40)}))
