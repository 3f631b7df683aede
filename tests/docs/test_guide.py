"""The snippets of docs/guide-compose.md are run, in their order; the parts in them are short."""

import ast
import re
import runpy
from pathlib import Path

import jax
import numpy as np

GUIDE = Path(__file__).parents[2] / "docs" / "guide-compose.md"
LONGEST = 20  # lines of a part, imports and all


def test_the_guide(tmp_path, monkeypatch):
    snippets = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    classes = 0
    for snippet in snippets:
        if any(isinstance(node, ast.ClassDef) for node in ast.parse(snippet).body):
            classes += 1
            assert len([line for line in snippet.splitlines() if line]) < LONGEST
    assert classes == 4
    monkeypatch.chdir(tmp_path)
    Path("guide.py").write_text("\n".join(snippets))
    found = runpy.run_path("guide.py")

    rows, trained = found["rows"], found["estimate"].mean().mean
    # Of independent exponentials of means 1 … 5 the log-density is −Σ (log m + 1) on average: a
    # model of them comes near it, and cannot be far above on 20 rows.
    best = -np.sum(np.log(np.arange(1, 6)) + rows[:20] / np.arange(1, 6), axis=1)
    assert abs(trained - best.mean()) < 1.0
    for a, b in zip(jax.tree.leaves(found["again"]), jax.tree.leaves(found["model"]), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
