"""One rule for values: what a word, TOML, JSON and Python may say, and what is refused."""

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest

from elbax.recipes.choice import Choice, to_word
from elbax.recipes.convert import Bounds, Count, Seed, convert, in_words

WIDTHS = tuple[int, ...]


@pytest.mark.parametrize(
    ("wanted", "values", "found"),
    [
        (int, ["10000", "1e4", " 10000", 10_000, 1e4, np.int64(10_000)], 10_000),
        (float, ["0.5", "5e-1", 0.5, np.float32(0.5)], 0.5),
        (float, ["1", 1], 1.0),
        (bool, ["true", "True", True], True),
        (bool, ["false", False], False),
        (WIDTHS, ["8,4", " 8, 4,", [8, 4], (8.0, 4)], (8, 4)),
        (WIDTHS, ["8", 8, [8]], (8,)),
        (tuple[str, ...], ["a,b", ["a", "b"]], ("a", "b")),
        (int | None, ["none", "None", None], None),
        (str, ["a,b"], "a,b"),
        (str, [{"a": "count", "b": "ignore"}], "a=count,b=ignore"),
        (Path, ["~/x", Path("~/x")], Path.home() / "x"),
        (Literal["x", "y"], ["x"], "x"),
        (Literal["shared"] | float, ["shared"], "shared"),
        (Literal["shared"] | float, ["0.5", 0.5], 0.5),
        (Choice | None, ["vamp", {"name": "vamp"}, Choice("vamp")], Choice("vamp")),
        (Choice | None, ["none", None], None),
    ],
)
def test_however_it_is_said_it_is_the_same(wanted: Any, values: list[Any], found: Any):
    for value in values:
        converted = convert(wanted, value, "x")
        assert converted == found
        assert type(converted) is type(found)
        if not isinstance(converted, Choice):
            assert convert(wanted, to_word(converted), "x") == found


@pytest.mark.parametrize(
    ("wanted", "value", "mend"),
    [
        (int, "2.5", "give a whole number"),
        (int, True, "give a whole number"),
        (int, "inf", "give a whole number"),
        (int, None, "give a whole number"),
        (Count, "x", "give a whole number of at least 1"),
        (Seed, "x", "give a whole number from 0 to 4294967295"),
        (Annotated[float, Bounds(0, above=True)], "x", "give a number above 0"),
        (float, False, "give a number"),
        (bool, "yes", "give true or false"),
        (bool, 1, "give true or false"),
        (WIDTHS, "8,a", "give whole numbers separated by commas"),
        (Literal["relu", "tanh"], "rellu", r"did you mean 'relu'\?"),
        (Literal["relu", "tanh"] | None, 3, "there are: relu, tanh"),
        (Literal["shared"] | float, "x", "give shared or a number"),
        (Choice, 3, "give the name of a part"),
    ],
)
def test_another_type_is_refused_in_one_line(wanted: Any, value: Any, mend: str):
    with pytest.raises(ValueError, match=f"^x is .*: {mend}") as error:
        convert(wanted, value, "x")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("bounds", "inside", "outside"),
    [
        (Bounds(1), [1, 10**400], [0, float("inf"), float("nan")]),
        (Bounds(0, above=True), [5e-324], [0.0, -1.0, float("inf"), float("nan")]),
        (Bounds(0, 400), [0, 400], [-1, 401, float("nan")]),
    ],
)
def test_bounds(bounds: Bounds, inside: list[Any], outside: list[Any]):
    assert all(map(bounds.hold, inside))
    assert not any(map(bounds.hold, outside))


def test_words_leave_out_what_no_word_can_be():
    from collections.abc import Callable

    assert in_words(float | Callable[[int], float] | None) == "a number"
