"""The page of a table: its numbers against those of `elbax impute` and `elbax score`."""

import functools
import json
import subprocess

import numpy as np
import pytest
import scipy.stats

from elbax.data import columns as one
from elbax.data import tables
from elbax.evaluate import imputation
from elbax.evaluate.imputation import impute
from elbax.evaluate.scores import score
from elbax.explore.explorer import page
from elbax.run.run import Run
from elbax.util.keys import of_seed
from tests.program.test_tracing import NODE

# The page's own scripts and facts, read out of it by a JavaScript engine; then what is asked.
_PAGE = """
const fs = require("fs"), text = fs.readFileSync(process.argv[1], "utf8");
const scripts = [...text.matchAll(/<script>(.*?)<\\/script>/gs)].map((m) => m[1]);
new Function(scripts[3]);  // it is JavaScript
const own = scripts.slice(0, 3).join("\\n") + "; return module.exports";
const parts = new Function("module", own)({});
const facts = JSON.parse(text.match(/type="application\\/json">(.*?)<\\/script>/s)[1]);
const given = JSON.parse(fs.readFileSync(0, "utf8"));
"""
_ASK = """
(async () => {
  const arrays = await parts.unpacked(facts), answers = [];
  const model = { facts, arrays, programs: parts.programsOf(facts, arrays) };
  for (const row of given) {
    const x = Float32Array.from(row, (v) => v === null ? NaN : v);
    const filled = await parts.fill(model, x), scored = await parts.score(model, x);
    answers.push({ filled, scored, stored: Array.from(arrays.rows.subarray(0, x.length)) });
  }
  console.log(JSON.stringify(answers));
})();
"""
_CELLS = """
console.log(JSON.stringify(given.map((row) => facts.columns.map((column, j) => {
  if (row[j] === null) return [null, null];
  const text = parts.written(column, row[j]);
  return [text, parts.numberOf(column, text)];
}))));
"""
_WRONG = (
    "console.log(JSON.stringify(given.map(([j, text]) => parts.numberOf(facts.columns[j], text))))"
)
_COUNTS = """
const random = parts.randomly(7);
console.log(JSON.stringify(given.map(([n, ...parameters]) =>
  Array.from({ length: n }, () => parts.count(random, ...parameters)))));
"""


@pytest.fixture(scope="module")
def ask(table_run, tmp_path_factory):
    """Runs a script beside those of the page, and answers with what it prints."""
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(page(Run(table_run)))

    def call(script, given):
        done = subprocess.run(
            [str(NODE), "-e", _PAGE + script, str(path)],
            input=json.dumps(given), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)

    return call


def plain(x):
    return [[None if np.isnan(v) else float(v) for v in row] for row in np.atleast_2d(x)]


def numbers(values):
    return np.array([np.nan if v is None else v for v in values], float)


@pytest.fixture(scope="module")
def rows(table_run):
    """Rows with cells that are missing in training, and more; the last one is empty."""
    x = np.array(Run(table_run).dataset.test.x[:4])
    x[np.random.default_rng(5).random(x.shape) < 0.4] = np.nan
    x[3] = np.nan
    return x


def test_every_number_is_that_of_impute_and_score(table_run, ask, rows):
    run = Run(table_run)
    answers = ask(_ASK, plain(rows))
    first = np.zeros(len(rows), int)  # each as if it were the first of a table
    draws = imputation.DRAWS
    wanted = impute(
        run.model, rows, key=of_seed(0, "impute"), samples=200, numbers=first, multiple=draws
    )
    scores = score(run.model, rows, key=of_seed(0, "score"), numbers=first)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-3)
    counts = [c.likelihood in ("poisson", "negative-binomial") for c in run.dataset.columns]
    named = [c.kind in ("binary", "categorical") for c in run.dataset.columns]
    assert sum(counts) == 2
    for i, answer in enumerate(answers):
        filled, scored = answer["filled"], answer["scored"]
        close(numbers(filled["value"]), wanted.value[i])
        close(numbers(filled["share"]), wanted.share[i])
        close(filled["effective"], wanted.effective_sample_size[i])
        # A draw whose number falls on the edge between two weights may be its neighbour.
        beside = [np.quantile(wanted.draws[i], [q - 1 / draws, q + 1 / draws], axis=0)
                  for q in (0.05, 0.95)]  # fmt: skip
        for (low, high), name in zip(beside, ("lower", "upper"), strict=True):
            found = np.where(named, low, numbers(filled[name]))
            off = np.maximum(low - found, found - high)
            size = np.where(counts, 2 + 0.2 * np.abs(high), 1e-3)  # these have draws of their own
            assert (off <= size).all(), (name, found, low, high)
        close(scored["logP"], scores.estimate.log_likelihood[i])
        assert scores.estimate.kl_posterior_prior is not None
        close(scored["kl"], scores.estimate.kl_posterior_prior[i])
        close(numbers(scored["shares"]), scores.elements[i])
    np.testing.assert_array_equal(answers[0]["stored"], run.dataset.test.x[0])


def test_cells_are_written_as_the_table_has_them_and_read_back(table_run, ask):
    columns = Run(table_run).dataset.columns
    x = Run(table_run).dataset.test.x[:16]
    cells = ask(_CELLS, plain(x))
    decoded = tables.decode(columns, x).to_pydict()
    for j, column in enumerate(columns):
        for i, (text, number) in enumerate(row[j] for row in cells):
            wanted = decoded[column.name][i]
            if wanted is None:
                assert text is None
                continue
            if column.kind in one.CODED:
                assert text == one.text_of(wanted)
            elif column.notation is not None or column.moment:
                assert text == str(wanted)
            else:
                assert float(text) == pytest.approx(wanted, rel=1e-9, abs=1e-12)
            # At the resolution of what is written, which is that of float32 or coarser.
            step = max(column.resolution, 1e-5 * column.scale) / column.scale
            assert number == pytest.approx(x[i, j], abs=step, rel=1e-5)


def test_what_no_cell_can_hold_is_said_beside_it(table_run, ask):
    names = [column.name for column in Run(table_run).dataset.columns]
    asked = {
        ("height", "tall"): "no number",
        ("size", "-1"): "numbers above 0 are asked for",
        ("kids", "1.5"): "whole numbers from 0 on are asked for",
        ("share", "1.2"): "numbers from 0 to 1 are asked for",
        ("born", "1980-13-01"): "no number",
    }
    found = ask(_WRONG, [[names.index(name), text] for name, text in asked])
    assert found == list(asked.values())


@pytest.mark.parametrize(
    ("parameters", "wanted"),
    [
        ([0.3], scipy.stats.poisson(0.3)),
        ([70.0], scipy.stats.poisson(70)),
        ([4e6], scipy.stats.poisson(4e6)),
        ([3.0, 0.4], scipy.stats.nbinom(0.4, 0.4 / 3.4)),
        ([900.0, 12.0], scipy.stats.nbinom(12, 12 / 912)),
    ],
)
def test_counts_are_drawn_with_their_masses(ask, parameters, wanted):
    n = 4000
    (drawn,) = ask(_COUNTS, [[n, *parameters]])
    quantiles = np.unique(wanted.ppf(np.linspace(0.02, 0.98, 25)))
    below = (np.array(drawn)[:, None] <= quantiles).mean(axis=0)
    # Massart's bound: beyond it once in 10^6 seeds.
    assert np.abs(below - wanted.cdf(quantiles)).max() < np.sqrt(np.log(2e6) / (2 * n))


def test_columns_that_follow_from_others_are_refused_in_a_line(refused, tmp_path):
    from tests.command import called
    from tests.explore.conftest import frame
    from tests.run.tables import FAST

    data = tmp_path / "people.csv"
    frame(80)[["height", "weight"]].to_csv(data, index=False)
    words = ["--constraint", "height >= weight", "--no-report", "--out", tmp_path / "run"]
    called("train", data, *FAST, *words)
    line = refused("explore", tmp_path / "run")
    assert "columns that follow from others (height)" in line or "(weight)" in line
    assert "elbax impute" in line
