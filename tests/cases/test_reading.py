"""What ordinary data are taken for, and that they come back as they were written."""

import gzip
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from elbax.data import DataError, load, tables
from tests.cases.made import CASES, array, measurements, patients, people, spots, text


def made(name, folder):
    return CASES[name](folder)


def back(dataset):
    """The rows in the order of the file, as they would be written."""
    parts = (dataset.train, dataset.validation, dataset.test)
    order = np.argsort(np.concatenate([part.index for part in parts]))
    x = np.concatenate([part.x for part in parts])[order]
    return tables.decode(dataset.columns, x).to_pandas()


# --- arrays and images -------------------------------------------------------------------------


def test_a_matrix_is_standardised_by_its_training_rows(tmp_path):
    dataset, x = load(made("a matrix of measurements", tmp_path)), measurements()
    train = x[dataset.train.index]
    np.testing.assert_allclose(dataset.train.x, (train - train.mean(0)) / train.std(0), atol=1e-5)
    jacobian = [column.log_jacobian for column in dataset.columns]
    np.testing.assert_allclose(jacobian, -np.log(train.std(0)), rtol=1e-12)
    assert dataset.kind == "vectors"


def test_a_matrix_is_the_same_through_every_door(tmp_path):
    frame = pd.DataFrame(measurements())
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.columns = frame.columns.map(str)
    doors = [measurements(), frame, tmp_path / "t.csv"]
    first, *others = (load(door, header=True).train.x for door in doors)
    for other in others:
        np.testing.assert_array_equal(other, first)


@pytest.mark.parametrize(
    ("name", "levels", "shift", "unit"),
    [
        ("CT slices", False, None, None),
        ("temperatures in Kelvin", False, None, None),
        ("signed bytes", False, None, None),
        ("16-bit images", True, 0.0, 65_535.0),
        ("grey levels as floats", True, 0.0, 255.0),
    ],
)
def test_images_of_numbers_are_levels_or_standardised(tmp_path, name, levels, shift, unit):
    dataset = load(made(name, tmp_path))
    train = dataset.train.x.astype(float)
    scaling = dataset.scaling
    assert scaling.levels == levels
    assert scaling.shift == pytest.approx(train.mean() if shift is None else shift)
    assert scaling.unit == pytest.approx(train.std() if unit is None else unit)
    assert scaling.words in dataset.notes


def test_photographs_are_turned_upright(tmp_path):
    wide = np.zeros((6, 10, 3), np.uint8)
    wide[:, 5:] = 255
    for i in range(4):
        picture = Image.fromarray(wide)
        exif = picture.getexif()
        if i % 2:
            picture, exif[0x0112] = picture.transpose(Image.Transpose.ROTATE_90), 6
        picture.save(tmp_path / f"{i}.jpg", exif=exif, quality=95)
    x = load(tmp_path).split("all").x
    assert x.shape == (4, 6, 10, 3)
    assert x[:, :, :4].max() < 20
    assert x[:, :, 6:].min() > 235


def test_other_files_beside_images_are_named(tmp_path):
    for i in range(4):
        Image.fromarray((255 * spots(4)[i]).astype(np.uint8)).save(tmp_path / f"{i}.webp")
    (tmp_path / "a.pdf").write_text("%PDF")
    (tmp_path / "lost.png").symlink_to(tmp_path / "nowhere.png")
    assert "4 images in" in (source := load(tmp_path).source)
    assert "2 other files left out: a.pdf, lost.png" in source


def test_a_background_is_laid_under_transparent_pixels(tmp_path):
    half = np.full((4, 4, 4), 128, np.uint8)
    for i in range(4):
        Image.fromarray(half).save(tmp_path / f"{i}.png")
    with pytest.raises(DataError, match=r"partly transparent: --background white"):
        load(tmp_path)
    white = load(tmp_path, background="white").train.x
    np.testing.assert_allclose(white, 128 * (128 / 255) + 255 * (127 / 255), atol=1)
    with pytest.raises(DataError, match=r"'whit'.*give a colour"):
        load(tmp_path, background="whit")


# --- columns -----------------------------------------------------------------------------------


def test_patients(tmp_path):
    dataset = load(made("patients", tmp_path))
    assert {column.name: column.kind for column in dataset.columns} == {
        "visit date": "continuous",
        "age": "continuous",
        "BMI": "continuous",
        "smoker": "binary",
        "income": "positive",
        "zip": "categorical",
    }
    assert list(dataset.ignored) == ["patient id"]
    resolutions = {column.name: column.resolution for column in dataset.columns}
    assert (resolutions["income"], resolutions["BMI"], resolutions["age"]) == (10.0, 0.1, 1.0)
    table = patients()
    found = back(dataset)
    assert found["visit date"].astype(str).tolist() == table["visit date"].tolist()
    for name in ("age", "BMI", "income"):
        np.testing.assert_array_equal(found[name].astype(float), table[name].astype(float))


def test_what_is_drawn_has_the_resolution_and_the_range_of_the_cells(tmp_path):
    dataset = load(made("patients", tmp_path))
    rows = np.random.default_rng(0).normal(size=(500, 6)) * 3
    rows[:, [3, 5]] = 0
    drawn = tables.decode(dataset.columns, rows).to_pandas()
    table = patients()
    for name, step in (("age", 1), ("BMI", 0.1), ("income", 10)):
        values, seen = drawn[name].to_numpy(float), table[name].astype(float)
        np.testing.assert_allclose(values / step, np.rint(values / step), atol=1e-6)
        assert seen.min() <= values.min() <= values.max() <= seen.max()


@pytest.mark.parametrize("name", ["decimal commas", "money", "European dates"])
def test_text_that_writes_numbers_comes_back_as_it_was(tmp_path, name):
    path = made(name, tmp_path)
    dataset = load(path)
    written = pd.read_csv(path, sep=";" if name == "decimal commas" else ",", dtype=str)
    assert not dataset.ignored
    pd.testing.assert_frame_equal(
        back(dataset).astype(str), written, check_dtype=False, check_names=False
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_text_is_the_same_in_any_encoding(tmp_path, encoding):
    table = people().replace({"group": {"a": "für", "b": "Ærø"}})
    (tmp_path / "t.csv").write_bytes(table.to_csv(index=False).encode(encoding))
    dataset = load(tmp_path / "t.csv")
    assert [column.name for column in dataset.columns] == ["height", "weight", "group"]
    assert set(dataset.columns[2].categories) == {"für", "Ærø", "c"}


def test_dates_and_moments_keep_their_distances(tmp_path):
    dataset = load(made("moments", tmp_path))
    times = back(dataset)["at"]
    assert (times.diff().dropna() == pd.Timedelta(hours=7)).all()
    assert str(times.dt.tz) == "UTC"


def test_marks_of_missing_cells_are_counted(tmp_path):
    dataset = load(made("marks of missing cells", tmp_path))
    cells = np.isnan(dataset.split("all").x).sum(axis=0)
    np.testing.assert_array_equal(cells, [0, 6, 3])
    assert dataset.columns[1].kind == "continuous"
    assert dataset.columns[2].categories == ("a", "b", "c")
    assert "1 × 'missing'" in dataset.notes[0]
    assert "group: 3 × ' ?' taken as missing" in dataset.notes


def test_a_few_odd_cells_are_a_problem_with_a_name(tmp_path):
    table = people().astype(object)
    table.loc[[3, 9], "weight"] = "heavy"
    path = tmp_path / "t.csv"
    table.to_csv(path, index=False)
    words = r"'weight' holds numbers, and 2 cells that are none: 'heavy' \(row 3\)"
    with pytest.raises(DataError, match=words + r".*--missing-values heavy"):
        load(path)
    assert "'heavy' (row 3)" in load(path, check=False).problems[0]
    asked = load(path, missing_values=["heavy"])
    assert np.isnan(asked.split("all").x).sum() == 2


def test_an_index_is_kept_aside_and_a_column_of_years_is_not(tmp_path):
    dataset = load(made("an index", tmp_path))
    assert dataset.ignored == {"": "an index: it counts the rows"}
    years = people(30).assign(year=np.arange(1990, 2020))
    assert "year" in [column.name for column in load(years).columns]


def test_a_first_line_of_data_is_asked_about(tmp_path):
    path = text("t.csv", lambda: people().to_csv(index=False, header=False))(tmp_path)
    with pytest.raises(DataError, match=r"looks like data.*--no-header"):
        load(path)
    dataset = load(path, header=False)
    assert [column.name for column in dataset.columns] == ["0", "1", "2"]
    assert len(dataset.split("all")) == len(people())
    assert len(load(path, header=True).split("all")) == len(people()) - 1
    wide = pd.DataFrame(measurements(), columns=["2019", "2020", "2021", "2022"])
    wide.to_csv(path, index=False)
    assert [column.name for column in load(path).columns] == ["2019", "2020", "2021", "2022"]


def test_a_sentinel_is_noticed_and_taken_as_missing_when_asked(tmp_path):
    path = made("a sentinel", tmp_path)
    (note,) = load(path).notes
    assert "weight: 10 cells are -999" in note
    assert "--missing-values=-999" in note
    asked = load(path, missing_values=["-999"])
    assert np.isnan(asked.split("all").x).sum() == 10
    table = people()
    table.loc[::6, "height"] = 9999.0
    assert "10 cells are 9999" in load(table).notes[0]
    assert load(people()).notes == ()


def test_whole_numbers_of_large_mean_are_judged_by_fit():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "normal": rng.normal(300, 30, 400).round().astype(int),
            "count": rng.negative_binomial(1.0, 0.01, 400),
            "log-normal": np.exp(rng.normal(7, 0.8, 400)).round().astype(int),
            "few": rng.poisson(4, 400),
        }
    )
    kinds = {column.name: column.kind for column in load(table).columns}
    assert kinds == {
        "normal": "continuous", "count": "count", "log-normal": "positive", "few": "count",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([f"{i:032x}" for i in range(200)], "an identifier or free text"),
        ([f"name {i % 120}" for i in range(400)], "120 different texts, more than 100"),
        (np.random.default_rng(0).permutation(5000)[:200], "an identifier: every row has"),
    ],
)
def test_identifiers_and_texts_of_many_values_are_set_aside(values, why):
    table = people(len(values)).assign(user_id=values)
    assert why in load(table).ignored["user_id"]
    assert "user_id" not in [column.name for column in load(table).columns]


# --- other rows --------------------------------------------------------------------------------


def test_unseen_categories_are_counted_together_and_may_be_missing():
    table = people().assign(site=np.resize(["x", "y", "z"], len(people())))
    columns = load(table).columns
    other = table.head(10).copy()
    other.loc[[2, 5], "group"], other.loc[7, "site"] = "q", "w"
    words = r"'group' has 'q' in 2 rows \(row 2 first\).*'site' has 'w' in 1 row \(row 7 first\)"
    with pytest.raises(DataError, match=words + ".*--unseen missing"):
        load(other, columns=columns)
    x = load(other, columns=columns, unseen="missing").split("all").x
    assert np.isnan(x).sum() == 3


def test_cells_far_outside_of_the_training_range_are_named():
    columns = load(people()).columns
    other = people().head(5).copy()
    other.loc[3, "weight"] = 1e9
    (note,) = load(other, columns=columns, check=False).notes
    assert note.startswith("weight is far outside of what was trained on")
    assert "1e+09 in row 3" in note
    assert load(people().head(5), columns=columns, check=False).notes == ()


# --- bad input ---------------------------------------------------------------------------------


def test_bombs_are_refused_before_they_are_unpacked(tmp_path, monkeypatch):
    packed = io.BytesIO()
    with gzip.open(packed, "wb") as file:
        for _ in range(8):
            file.write(b"0,0\n" * (1 << 22))
    (tmp_path / "bomb.csv.gz").write_bytes(packed.getvalue())
    with pytest.raises(DataError, match="unpacks to more than 200 times its size"):
        load(tmp_path / "bomb.csv.gz")


def test_damaged_files_are_named(tmp_path):
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n" * 100)[:30])
    (tmp_path / "t.feather").write_bytes(b"ARROW1\0\0" + bytes(20))
    (tmp_path / "t.xlsx").write_bytes(b"PK\3\4" + bytes(20))
    for name, kind in (("t.csv.gz", ".gz"), ("t.feather", ".feather"), ("t.xlsx", "workbook")):
        with pytest.raises(DataError, match=f"{name} is a damaged {kind}"):
            load(tmp_path / name)


def test_a_matrix_within_the_unit_interval_stays_what_it_was(tmp_path):
    x = np.random.default_rng(0).random((20, 3))
    dataset = load(array("unit", lambda: x)(tmp_path))
    assert not dataset.columns
    np.testing.assert_array_equal(dataset.train.x, x[dataset.train.index].astype(np.float32))
