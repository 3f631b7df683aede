"""The notebooks run from top to bottom in a kernel of their own, and show what they promise."""

import os
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[2] / "examples"
ROOT = EXAMPLES.parent
PICTURES = {"paper": 8, "table_with_holes": 0, "new_prior": 0, "disentanglement": 1, "sweep": 1}
SAYS = {
    "paper": r"test ELBO -1[3-7]\d\.\d\d ± \d\.\d\d nats a digit",
    "table_with_holes": r"error 0\.\d\d standard deviations[^%]*[89]\d%",
    "new_prior": r"LaplacePrior: log p -[12]\d\.\d+ ± 0\.\d+ nats a digit",
    "disentanglement": r"beta-tcvae\n[\s\S]*MIG +0\.\d+ ± 0\.\d+",
    "sweep": r"latent_dim",
}


def read(name: str) -> Any:
    return nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)


def test_there_are_no_others():
    assert sorted(path.stem for path in EXAMPLES.glob("*.ipynb")) == sorted(SAYS)


@pytest.mark.parametrize("name", SAYS)
def test_a_notebook_is_valid_and_holds_no_outputs(name):
    notebook = read(name)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


@pytest.mark.slow
@pytest.mark.parametrize("name", SAYS)
def test_a_notebook_runs(name, tmp_path, monkeypatch):
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.delenv("MPLBACKEND", raising=False)  # the kernel's own shows figures
    notebook = read(name)
    where = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=where).execute()
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    said = "\n".join(out.get("text", out.get("data", {}).get("text/plain", "")) for out in outputs)
    assert re.search(SAYS[name], said), said
    assert sum("image/png" in out.get("data", {}) for out in outputs) == PICTURES[name]
    assert said.count("\n") < 200
