"""Runs on tables with constraints: what they draw and fill keeps to them."""

from typing import Any

import pandas as pd

from tests.data.test_constraints import KEPT, NONE, broken, frame, holed
from tests.run.tables import FAST


def read(path) -> Any:
    return pd.read_csv(path, parse_dates=["start", "end"])


def test_what_a_run_draws_and_fills_keeps_to_the_constraints(elbax, tmp_path):
    data, run = tmp_path / "t.csv", tmp_path / "run"
    holed().to_csv(data, index=False)
    asked = [word for text in KEPT for word in ("--constraint", text)]
    status, _, err = elbax("train", data, *asked, *FAST, "--no-report", "--out", run)
    assert status == 0, err
    assert "total: follows from a, b (total = a + 2*b)" in err
    status, said, _ = elbax("inspect", data, *asked)
    assert status == 0
    assert "end >= start" in said

    def made(name: str, *words) -> Any:
        out = tmp_path / f"{name}.csv"
        status, _, err = elbax(*words, "--out", out)
        assert status == 0, err
        return read(out)

    drawn = made("drawn", "sample", run, "--count", 300)
    assert list(drawn) == list(frame())
    assert broken(drawn) == NONE
    given = made("given", "sample", run, "--given", "end=2022-01-05,total=80", "--count", 50)
    assert broken(given) == NONE
    assert set(given["end"].dt.strftime("%Y-%m-%d")) == {"2022-01-05"}
    assert set(given["total"]) == {80.0}
    within = made("within", "sample", run, "--given", "high=12..13", "--count", 50)
    assert broken(within) == NONE
    assert within["high"].between(12, 13).all()
    empty = made("empty", "sample", run, "--with-missing", "--count", 400)
    assert broken(empty) == NONE
    assert empty.isna().mean().between(0.05, 0.8).all()

    filled = made("filled", "impute", run, "--data", data, "--multiple", 1)
    first = read(tmp_path / "filled.1.csv")
    seen = holed().notna()
    for table in (filled, first):
        assert broken(table) == NONE
        for name in frame():
            expected = holed()[name][seen[name]]
            pd.testing.assert_series_equal(
                table[name][seen[name]], expected.astype(table[name].dtype), check_exact=True
            )
    # A day that follows from its neighbours is near them: lengths are 10 ± 7 days.
    gone = holed()["start"].isna() & holed()["end"].notna()
    days = (filled["end"] - filled["start"])[gone].dt.days
    assert days.between(0, 60).all()

    status, _, err = elbax(
        "sample", run, "--given", "end=2022-01-05,start=2022-02-05", "--out", tmp_path / "no.csv"
    )
    assert status == 2
    assert "breaks --constraint 'end >= start'" in err
    assert not (tmp_path / "no.csv").exists()


def test_rows_that_break_a_constraint_train_nothing(elbax, tmp_path):
    data = tmp_path / "t.csv"
    rows = frame()
    rows.loc[3, "low"] = 99.0
    rows.to_csv(data, index=False)
    words = ["--constraint", "low <= high", *FAST, "--out", tmp_path / "run"]
    for command in ("train", "inspect"):
        keep = words if command == "train" else words[:2]
        status, out, err = elbax(command, data, *keep)
        assert (
            "breaks --constraint 'low <= high' in row 3 (counted from 0), of 400 rows" in out + err
        )
        assert status == (2 if command == "train" else 0)
    assert not (tmp_path / "run").exists()
