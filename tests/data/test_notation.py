"""Numbers and dates that are written as text: what they are, and that they are written back."""

import datetime

import numpy as np
import pytest

from elbax.data.notation import Found, find, is_mark


def found(texts, counts=None) -> Found:
    found = find(texts, np.ones(len(texts), int) if counts is None else np.array(counts))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["6,013", "4,914", "1,954,000", "12"], [6013, 4914, 1954000, 12]),
        (["$6.59", "-$0.86"], [6.59, -0.86]),
        (["8.9%", "43.1%"], [8.9, 43.1]),
        (["176,6", "179,3"], [176.6, 179.3]),
        (["1.234,50 €", "12,00 €"], [1234.5, 12.0]),
        (["CHF 1'200.50", "CHF 3.00"], [1200.5, 3.0]),
        (["1 234,56", "987,00"], [1234.56, 987.0]),
        (["5.0 kg", "6.5 kg"], [5.0, 6.5]),
        (["12cm", "13cm"], [12, 13]),
        (["-2.50", "3.25"], [-2.5, 3.25]),
    ],
)
def test_numbers_are_read_and_written_back(texts, values):
    notation, numbers, odd = found(texts)
    np.testing.assert_allclose(numbers, values)
    assert odd == []
    assert notation.write(numbers) == texts
    assert [notation.parse(text) for text in texts] == values


@pytest.mark.parametrize(
    ("texts", "values"),
    [(["(12.00)", "3.50"], [-12, 3.5]), (["₹1,00,000", "₹2,500"], [1e5, 2500]),
     (["- 5", "3"], [-5, 3]), (["+1.5", "−2"], [1.5, -2]), (["1e-5", "2E3"], [1e-5, 2000])],
)  # fmt: skip
def test_other_ways_to_write_a_number_are_read(texts, values):
    np.testing.assert_allclose(found(texts).values, values)


@pytest.mark.parametrize(
    ("texts", "format_"),
    [
        (["2025-07-30", "2024-01-02"], "%Y-%m-%d"),
        (["30.07.2025", "01.02.2024"], "%d.%m.%Y"),
        (["12/31/2024", "01/05/2024"], "%m/%d/%Y"),
        (["31/12/2024", "01/05/2024"], "%d/%m/%Y"),
        (["30-Jul-2025", "01-Aug-2024"], "%d-%b-%Y"),
        (["07/30/2025 14:05", "12/01/2024 09:00"], "%m/%d/%Y %H:%M"),
    ],
)
def test_dates_are_seconds_and_are_written_back(texts, format_):
    notation, seconds, _ = found(texts)
    utc = datetime.UTC
    times = [datetime.datetime.strptime(t, format_).replace(tzinfo=utc) for t in texts]
    np.testing.assert_array_equal(seconds, [time.timestamp() for time in times])
    assert notation.write(seconds) == texts


def test_times_of_the_day_keep_their_distances():
    notation, seconds, _ = found(["10:30", "09:00", "11:15"])
    np.testing.assert_array_equal(np.diff(seconds), [-5400, 8100])
    assert notation.write(seconds) == ["10:30", "09:00", "11:15"]


@pytest.mark.parametrize(
    "texts",
    [["P01234", "P99"], ["a", "b"], ["192.168.0.1", "10.0.0.1"], ["10-20", "20-30"], ["yes", "no"],
     ["a: b", "c: d"], ["2024-01", "x"]],
)  # fmt: skip
def test_other_text_is_neither(texts):
    assert find(texts, np.ones(len(texts), int)) is None


def test_the_few_that_are_no_numbers_are_named():
    notation, values, odd = found(["1", "2", "n.k.", "4"], [5, 5, 1, 5])
    assert notation.plain
    assert odd == ["n.k."]
    np.testing.assert_array_equal(values, [1, 2, np.nan, 4])
    assert find(["1", "2", "red", "blue"], np.array([5, 5, 5, 5])) is None


def test_marks_are_told_from_text():
    assert all(map(is_mark, ("", " ?", "-", "N/A", "NULL", "missing", ".")))
    assert not any(map(is_mark, ("0", "unknown", "no", "a.")))
    assert is_mark("Unknown ", frozenset({"unknown"}))
