"""The snippets of docs/guide-estimator.md are run, in their order, and do what is written there."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest

GUIDE = Path(__file__).parents[2] / "docs" / "guide-estimator.md"


@pytest.mark.slow
def test_the_guide(tmp_path, monkeypatch, capsys):
    snippets = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(snippets) == 6
    monkeypatch.chdir(tmp_path)
    Path("guide.py").write_text("\n".join(snippets))
    found = runpy.run_path("guide.py")

    said = capsys.readouterr().out
    assert "Rule for what was not given" in said
    assert "[-1]\ncolor_intensity\n" in said
    assert found["z"].shape == (178, 2)
    assert found["back"].shape == found["x"].shape
    assert found["nats"].mean() == pytest.approx(found["vae"].score(found["x"]))
    assert Path("wine.png").stat().st_size > 10_000
    error = (found["filled"][:, :13] - found["x"]) / found["x"].std(axis=0)
    assert np.sqrt(np.mean(error[found["holes"]] ** 2)) < 0.9  # the mean has 1
    drawn, whole = found["drawn"], found["whole"]
    assert drawn.columns.tolist() == ["ward", "admitted", "weight"]
    assert "left out patient: 300 different texts" in said
    by_ward = whole[30:60].groupby("ward")["weight"].mean()  # of the filled ones
    assert by_ward["south"] - by_ward["north"] > 12  # twenty in truth
    assert not whole.isna().to_numpy().any()
    inside = (found["low"] <= found["x"]) & (found["x"] <= found["high"])
    assert 0.75 < inside[found["holes"]].mean() < 0.98
