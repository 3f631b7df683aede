"""Sizes in words, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elbax.util import sizes


@pytest.mark.parametrize(
    ("text", "size"),
    [("2GB", 2 * 10**9), ("1.5 g", 1_500_000_000), ("2GiB", 2**31), ("500mb", 5 * 10**8),
     ("12345", 12_345), ("1kB", 1_000), ("3T", 3 * 10**12)],
)  # fmt: skip
def test_words(text, size):
    assert sizes.parse(text, "memory") == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "0", "2 parsecs", "1e9", "nan", "2GB 3MB"])
def test_what_is_no_size_is_refused_by_name(text):
    with pytest.raises(ValueError, match=r"memory is .*: give a size, such as 2GB or 500MB"):
        sizes.parse(text, "memory")


@given(st.integers(1, 10**15))
def test_words_are_read_back_as_no_more_and_hardly_less(size):
    found = sizes.parse(sizes.words(size), "memory")
    assert size * 0.98 <= found <= size
    assert sizes.words(found) == sizes.words(size)


def test_this_machine_has_memory():
    assert (sizes.of_machine() or 10**9) > 10**8
