"""`elbax explore`: one file, whose programs are the model's, and what it is refused for."""

import json
import re
import subprocess

import numpy as np
import pytest

from elbax.evaluate import decode, posterior_moments
from elbax.run.run import Run
from tests.program.test_tracing import NODE

_FACTS = re.compile(r'<script id="facts" type="application/json">(.*?)</script>', re.DOTALL)
# The page's own programs on its first row, read out of the page by a JavaScript engine.
_RUN = """
const text = require("fs").readFileSync(process.argv[1], "utf8");
const scripts = [...text.matchAll(/<script>(.*?)<\\/script>/gs)].map((m) => m[1]);
scripts.forEach((script) => new Function(script));  // each is JavaScript
const parts = new Function("module", scripts[0] + "; return module.exports")({});
const { programsOf, runner, unpacked } = parts;
const facts = JSON.parse(text.match(/type="application\\/json">(.*?)<\\/script>/s)[1]);
unpacked(facts).then((arrays) => {
  const programs = programsOf(facts, arrays);
  const size = facts.shape.reduce((a, b) => a * b), condition = new Float32Array(facts.classes);
  condition[0] = 1;
  const [mean, scale] = runner(programs.encode)({ x: arrays.rows.subarray(0, size), condition });
  const [picture] = runner(programs.decode)({ z: mean, condition });
  console.log(JSON.stringify([mean, scale, picture].map((a) => Array.from(a))));
});
"""


def test_the_page_holds_the_model(elbax, finished_run, tmp_path):
    out = tmp_path / "page.html"
    status, said, err = elbax("explore", finished_run, "--out", out)
    assert status == 0, err
    assert str(out) in said
    text = out.read_text()
    assert "{{" not in text
    assert not re.search(r"https?://|src=|@import", text)  # nothing is loaded
    facts = json.loads(_FACTS.search(text)[1])  # pyright: ignore[reportOptionalSubscript]
    run = Run(finished_run)
    assert facts["shape"] == list(run.dataset.shape)
    assert sorted(facts["order"]) == list(range(run.model.latent_dim))
    held = [facts["held"][j] for j in facts["order"]]
    assert held == sorted(held, reverse=True)
    done = subprocess.run(
        [str(NODE), "-e", _RUN, str(out)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    mean, scale, picture = map(np.array, json.loads(done.stdout))
    row = run.dataset.test.x[:1]
    wanted = posterior_moments(run.model, row)
    np.testing.assert_allclose(mean, wanted["mean"][0], atol=2e-3)
    np.testing.assert_allclose(scale, wanted["scale"][0], atol=2e-3)
    np.testing.assert_allclose(picture, decode(run.model, wanted["mean"])[0].ravel(), atol=2e-3)


def test_it_stands_in_the_run_and_goes_with_it(elbax, finished_run, tmp_path):
    import shutil

    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    assert elbax("explore", run)[0] == 0
    assert (run / "explorer.html").stat().st_size < 3_000_000


@pytest.mark.parametrize("out", ["page.png", "none/page.html"])
def test_a_file_that_cannot_be_written_is_refused_before_any_work(elbax, finished_run, out):
    status, _, err = elbax("explore", finished_run, "--out", out)
    assert status == 2
    assert "--out" in err or "folder" in err
