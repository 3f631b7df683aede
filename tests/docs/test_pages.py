"""README and docs/: each Python block runs, each command has the options that it is given."""

import ast
import re
import runpy
import shlex
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

import elbax
from elbax.cli.main import COMMANDS
from elbax.cli.parsing import arguments_of, check_flags
from scripts import command_line_page

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# These are run, and looked at more closely, in test_guide.py and test_guide_estimator.py.
ELSEWHERE = ("guide-compose.md", "guide-estimator.md")
RUN = [
    page
    for page in PAGES
    if BLOCK.search(page.read_text(encoding="utf-8")) and page.name not in ELSEWHERE
]
STEPS = 20


def shortened(train, most):
    """`elbax.train` or `elbax.resume`, of few steps and without a report."""

    def call(data, **options):
        options["iterations"] = min(most, options.get("iterations", most))
        return train(data, verbose=False, **options)

    return call


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_every_python_block_uses_names_that_exist(page):
    """What running it would say first, without the time that it takes."""
    tree = ast.parse("\n".join(BLOCK.findall(page.read_text(encoding="utf-8"))))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("elbax"):
            module = import_module(node.module or "")
            there = (
                hasattr(module, alias.name) or find_spec(f"{module.__name__}.{alias.name}")
                for alias in node.names
            )
            assert all(there), ast.unparse(node)
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "elbax":
            assert hasattr(elbax, node.attr), ast.unparse(node)


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_every_python_block_runs(page, tmp_path, monkeypatch):
    train = elbax.train
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        elbax, "train", shortened(lambda x, **o: train(x, **{"report": False, **o}), STEPS)
    )
    monkeypatch.setattr(elbax, "resume", shortened(elbax.resume, 2 * STEPS))
    # One script: later blocks go on where earlier ones stopped.
    Path("page.py").write_text("\n".join(BLOCK.findall(page.read_text(encoding="utf-8"))))
    runpy.run_path("page.py")


def commands(page):
    """The lines of a page that call elbax, as words."""
    for line in page.read_text(encoding="utf-8").splitlines():
        found = re.match(r"\s*(?:\.venv/bin/)?elbax ([a-z]+ .*)$", line)
        if found is not None and page.name != "command-line.md":
            yield shlex.split(found[1], comments=True)
        for quoted in re.findall(r"`elbax ([a-z]+ [^`]*--[^`]*)`", line):
            yield shlex.split(quoted)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_has_its_options(page):
    for name, *words in commands(page):
        module = import_module(f"elbax.cli.{COMMANDS[name][0]}.{name}")
        check_flags(module.Arguments, name, words)


def test_an_option_that_does_not_exist_is_noticed(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("    elbax sample RUN --number 3   # not so\n")
    with pytest.raises(ValueError, match="unknown option '--number'"):
        test_every_command_has_its_options(page)


def test_the_page_of_the_command_line_has_every_option(monkeypatch):
    monkeypatch.setenv("COLUMNS", str(command_line_page.WIDTH))
    monkeypatch.setenv("NO_COLOR", "1")
    text = command_line_page.page()
    # Written anew by: python -m scripts.command_line_page
    assert command_line_page.PAGE.read_text(encoding="utf-8") == text
    assert re.findall(r"^## elbax (\w+)$", text, re.MULTILINE) == list(COMMANDS)
    for name, (folder, _) in COMMANDS.items():
        section = text.split(f"## elbax {name}\n")[1].split("\n## elbax")[0]
        for one in arguments_of(import_module(f"elbax.cli.{folder}.{name}").Arguments):
            shown = (one.called, one.flag.replace("--", "--no-", 1))
            assert any(word in section for word in shown), one.name
