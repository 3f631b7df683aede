"""Words for people: names, errors, numbers, times and sizes."""

import errno
import os

import pytest

from elbax.util import words


def test_a_misspelt_name_gets_the_nearest_and_a_strange_one_the_list():
    known = ["mnist", "mnist-5k", "Shapes"]
    assert words.did_you_mean("mnits", known) == "did you mean 'mnist'?"
    assert words.did_you_mean("SHAPE", known) == "did you mean 'Shapes'?"
    assert words.did_you_mean("qqq", known) == "there are: Shapes, mnist, mnist-5k"
    assert words.hint("mnits", known) == " (did you mean 'mnist'?)"
    assert words.hint("qqq", known) == ""
    assert words.closest("x", []) is None


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("first\nsecond"), "first"),
        (ValueError("\n  indented  \nmore"), "indented"),
        (ValueError("a\x1b[31mred"), "a\\x1b[31mred"),
        (ValueError(), "ValueError"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "no space left on device"),
        (FileNotFoundError(errno.ENOENT, "No such file", "a.csv"), "a.csv: no such file"),
        (OSError("in its own words"), "in its own words"),
    ],
)
def test_any_error_is_one_printable_line(error: Exception, line: str):
    assert words.one_line(error) == line


def test_a_reason_leaves_out_the_file_and_can_be_cut():
    assert words.reason(FileNotFoundError(errno.ENOENT, "No such file", "a.csv")) == "no such file"
    assert words.reason(ValueError("too long a story"), 8) == "too long"


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (-1234.5, 2, "−1,234.50"),
        (-0.001, 2, "0.00"),
        (0.0, 0, "0"),
        (-0.5, 1, "−0.5"),
        (1e6, 0, "1,000,000"),
        (float("-inf"), 2, "−inf"),
        (None, 2, "–"),
    ],
)
def test_a_number_has_a_true_minus_and_no_minus_zero(value: float | None, decimals: int, text: str):
    assert words.number(value, decimals) == text


@pytest.mark.parametrize(
    ("value", "error", "decimals", "text"),
    [
        (-104.214, 0.306, 2, "−104.21 ± 0.31"),
        (-104.214, None, 2, "−104.21"),
        (-104.214, float("nan"), 2, "−104.21"),
        (None, 0.1, 2, "–"),
        (104.214, 0.306, None, "104.2 ± 0.3"),
        (14.2361, 0.0521, None, "14.24 ± 0.05"),
        (1234.5, 12.0, None, "1,234.5 ± 12.0"),
        (1.5, 0.0, None, "1.5 ± 0.0"),
        (1.0, 1e-9, None, "1.0000 ± 0.0000"),
        (1.5, None, None, "1.5"),
    ],
)
def test_a_value_stands_with_its_error(
    value: float | None, error: float | None, decimals: int | None, text: str
):
    assert words.plus_minus(value, error, decimals) == text


def test_counts_times_and_sizes():
    assert words.counted(1, "row") == "1 row"
    assert words.counted(12_000, "row") == "12,000 rows"
    assert words.counted(2, "category", "categories") == "2 categories"
    assert words.listed(["a", "b\n", 3], most=2) == "a, b\\n, …"
    assert [words.duration(s) for s in (40.0, 720.0, 12_240.0)] == ["40 s", "12 min", "3.4 h"]
    assert [words.clock(s) for s in (5.0, 65.4, 7207.0)] == ["0:05", "1:05", "2:00:07"]
    assert [words.size(n) for n in (54_880_000, 1_234_000_000)] == ["54.9 MB", "1.23 GB"]
    assert [words.rough_size(n) for n in (554_000_000, 2_440_000_000)] == [
        "about 550 MB",
        "about 2.4 GB",
    ]
