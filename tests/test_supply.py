"""What elbax brings along and is brought in: licences of the locked packages, and the wheel."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]

# Those that let anybody use elbax and all that it installs for anything, and the Mozilla licence,
# whose share-alike ends at its own files. In the SPDX list's names.
ALLOWED = {
    *("MIT", "MIT-0", "MIT-CMU", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "ISC", "Zlib"),
    *("Apache-2.0", "CC0-1.0", "PSF-2.0", "CNRI-Python", "MPL-2.0", "AFL-2.1"),
}
# What packages without an SPDX expression say, in their field or by their classifiers.
_OTHER_WORDS = {
    "MIT License": "MIT",
    "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "ISC License (ISCL)": "ISC",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}


def licences(about: Mapping[str, Any]) -> set[str]:
    """The licences that metadata name; of an OR all that there are to choose from."""
    said = about.get("license_expression")
    classifiers = [
        line.rpartition(" :: ")[2]
        for line in about.get("classifier", [])
        if line.startswith("License :: OSI Approved :: ")
    ]
    words: list[str] = [said] if said else classifiers or [about.get("license", "")]
    words = [_OTHER_WORDS.get(word) or word for word in words]
    return {name for word in words for name in re.split(r" (?:AND|OR) |[()]", word) if name}


def locked() -> list[str]:
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    return sorted(package["name"] for package in packages if package["name"] != "elbax")


def test_every_locked_package_has_a_licence_that_is_allowed():
    found = {}
    for name in locked():
        try:
            found[name] = licences(importlib.metadata.metadata(name).json)
        except importlib.metadata.PackageNotFoundError:  # of another system, or another Python
            continue
    assert len(found) > 100
    assert {name: words for name, words in found.items() if not words or words - ALLOWED} == {}


def test_a_licence_that_is_not_allowed_would_be_found():
    about = {"license_expression": "MIT AND (GPL-3.0-only OR Apache-2.0)", "license": "MIT"}
    assert licences(about) - ALLOWED == {"GPL-3.0-only"}
    assert licences({"classifier": ["License :: OSI Approved :: BSD License"]}) <= ALLOWED
    assert licences({"license": "All rights reserved"}) - ALLOWED == {"All rights reserved"}
    assert licences({}) == set()


@pytest.mark.slow
def test_a_wheel_is_the_same_bytes_wherever_and_whenever_it_is_built(tmp_path):
    def built(name: str, umask: int, time: int) -> bytes:
        project = tmp_path / name
        project.mkdir()
        for part in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / part, project)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "elbax", project / "elbax", ignore=ignored)
        for path in project.rglob("*"):
            path.chmod((0o777 if path.is_dir() else 0o666) & ~umask)
            os.utime(path, (time, time))
        build = [ROOT / "scripts/uv", "build", "--quiet", "--wheel", "--out-dir", project / "dist"]
        subprocess.run(
            [*build, "--python", sys.executable, project],
            check=True, timeout=120, umask=umask,
            env={**os.environ, "TZ": "UTC+7" if umask else "UTC"},
        )  # fmt: skip
        (wheel,) = (project / "dist").glob("*.whl")
        return wheel.read_bytes()

    first = built("here", umask=0o022, time=1_000_000_000)
    assert first == built("another place", umask=0o077, time=1_700_000_001)
