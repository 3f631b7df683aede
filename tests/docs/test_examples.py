"""The examples run, shortened; what they print is what they say."""

import re
import runpy
import sys
from pathlib import Path

import pytest

from tests.tiers import mostly_slow

EXAMPLES = Path(__file__).parents[2] / "examples"
SAYS = {
    "anomalies": r"row \d+: log p\(x\) -?[\d.]+; [\w/]+ \(-[\d.]+ nats\)",
    "digits": r"log p -\d+\.\d+, to be trusted: ",
    "new_prior": r"LaplacePrior: log p -\d+\.\d+ ± \d+\.\d+ nats a digit",
    "own_images": r"even columns hold reconstructions",
    "table_with_holes": r"error \d\.\d\d standard deviations[^%]*\d%",
}


def test_there_are_no_others():
    assert sorted(path.stem for path in EXAMPLES.glob("*.py")) == sorted(SAYS)


@pytest.mark.parametrize("name", mostly_slow(SAYS, lambda name: name == "anomalies"))
def test_an_example_runs(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "20"])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    assert re.search(SAYS[name], capsys.readouterr().out)
