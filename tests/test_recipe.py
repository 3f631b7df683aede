"""The conda recipe needs what pyproject.toml says, in conda's names."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RECIPE = yaml.safe_load((ROOT / "recipe" / "recipe.yaml").read_text())

# Where conda's name is another: its `matplotlib` brings a window system too.
_NAMES = {"matplotlib": "matplotlib-base", "uv_build": "uv-build"}


def as_conda(lines):
    """Requirements by conda's names, with their bounds."""
    parts = [re.fullmatch(r"([\w.-]+)(?:\[.*\])?(.*)", line) for line in lines]
    return {_NAMES.get(part[1], part[1]): part[2] for part in parts if part}


def of_recipe(section):
    found = dict(line.partition(" ")[::2] for line in RECIPE["requirements"][section])
    return {name: bound for name, bound in found.items() if name not in ("python", "pip")}


def test_it_needs_what_the_project_needs():
    assert of_recipe("run") == as_conda(PROJECT["project"]["dependencies"])
    assert of_recipe("host") == as_conda(PROJECT["build-system"]["requires"])
    pythons = {line for part in RECIPE["requirements"].values() for line in part}
    assert f"python {PROJECT['project']['requires-python']}" in pythons


def test_it_is_the_same_package():
    project, about = PROJECT["project"], RECIPE["about"]
    assert RECIPE["context"]["version"] == project["version"]
    assert (about["license"], about["summary"]) == (project["license"], project["description"])
    points = [f"{name} = {where}" for name, where in project["scripts"].items()]
    assert RECIPE["build"]["python"]["entry_points"] == points
    assert (ROOT / about["license_file"]).exists()
