"""The pages of docs/ name functions and tests: each of them exists."""

import ast
import importlib
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
THEORY = ROOT / "docs" / "theory.md"


def quoted(page: Path, pattern: str) -> list[str]:
    """What stands between backticks and looks like the pattern, sorted, once."""
    return sorted(set(re.findall(rf"`({pattern})`", page.read_text(encoding="utf-8"))))


def resolve(name: str) -> Any:
    """The object of a dotted name; its module is the longest part of it that can be imported."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_name_exists(page):
    for name in quoted(page, r"elbax(?:\.\w+)+"):
        assert resolve(name).__doc__, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_exists(page):
    for test in quoted(page, r"tests/[\w/]+\.py(?:::\w+)?"):
        path, _, name = test.partition("::")
        module = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        names = {node.name for node in module.body if isinstance(node, ast.FunctionDef)}
        assert not name or name in names, test


def test_each_equation_has_a_function_and_a_test_beside_it():
    text = THEORY.read_text(encoding="utf-8")
    _, *rest = re.split(r"^\$\$\n.*?\n\$\$\n", text, flags=re.MULTILINE | re.DOTALL)
    alone = 0
    for after in rest:
        beside = after.split("\n## ")[0]
        alone += "- computed by" not in beside or "- checked by" not in beside
    # The derivation's first line has none of its own: the identity below it is the same equation.
    assert len(rest) >= 13
    assert alone == 1


def test_a_name_that_does_not_exist_is_noticed():
    with pytest.raises(AttributeError):
        resolve("elbax.model.objectives.elbo_term")
    with pytest.raises(AttributeError):
        resolve("elbax.evaluate.nothing")
