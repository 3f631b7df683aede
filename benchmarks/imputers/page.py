"""docs/imputers-benchmark.md, from the recorded units alone."""

from typing import Any

import numpy as np

from benchmarks.imputers import methods

Record = dict[str, Any]

_HEAD = """# Imputers on whole tables, as measured

Cells of whole tables are hidden, every imputer is fitted to what is left and fills it. Measured is
the root mean squared error over the hidden cells, in standard deviations of the whole columns
(lower is better). This page is written by `python -m benchmarks.imputers` from
`benchmarks/imputers/results/`; what was not run is not in it.

Tables are those that scikit-learn ships, and of the package statsmodels (its files alone; at most
1,000 rows of each, its columns of numbers). `benchmarks/imputers/sets.py` says how cells are
hidden. elbax is `VAEImputer(likelihood="normal", n_estimators=1)`, "× 5" with five models. The
others are scikit-learn's imputers, of standardised columns: nearest neighbours, and ten rounds of
chained regressions by `BayesianRidge` or by a forest of 100 extra trees. All methods of a row
filled the same holes. Figures are medians over the seeds; the best of a row is bold.
"""

_IDEAS = """## What each idea brings

The same holes by other settings. elbax' own: ELU units, the importance-weighted bound of five
draws, a tenth of the rows kept apart to stop by, and one model or five. "One draw" is the evidence
lower bound; "2,000 steps" trains on all rows, in batches of 64, at a rate that falls along a cosine
to nothing, and stops by no bound.
"""

_SECONDS = """## Seconds

Fitting, filling and intervals; wall time of the whole call on a machine that others used too, so
that it says the order of size, and that of the processor beside it. Programs that were compiled for
an earlier table of the same shape are read from disk.
"""


def render(records: list[Record]) -> str:
    """The page."""
    if not records:
        return _HEAD
    plain = (*methods.RIVALS, methods.ELBAX, methods.FIVE)
    ideas = (methods.ELBAX, methods.FIVE, *methods.IDEAS)
    groups = _groups(records)
    return "\n".join(
        [
            _HEAD,
            *_table(groups, plain, "rmse", 3),
            "\n## Targets\n",
            *_targets(groups, plain),
            "\n## Intervals\n\nThe share of the hidden cells that lie in the 90 % intervals.\n",
            *_table(groups, (methods.ELBAX, methods.FIVE), "coverage", 3, best=None),
            "",
            _IDEAS,
            *_table(groups, ideas, "rmse", 3),
            "",
            _SECONDS,
            *_table(groups, plain, "seconds", 0, best=None, beside="cpu"),
            "",
            *_where(records),
            "",
        ]
    )


Group = tuple[str, list[Record]]


def _groups(records: list[Record]) -> list[Group]:
    found: dict[tuple[str, int, str], list[Record]] = {}
    for r in records:
        found.setdefault((r["mechanism"], r["rate"], r["table"]), []).append(r)
    return [(f"{t.replace('_', ' ')}, {m} {p} %", rs) for (m, p, t), rs in sorted(found.items())]


def _values(records: list[Record], method: str, metric: str) -> list[float]:
    return [r["methods"][method][metric] for r in records if metric in r["methods"].get(method, {})]


def _table(
    groups: list[Group],
    names: tuple[str, ...],
    metric: str,
    digits: int,
    best: Any = min,
    beside: str | None = None,
) -> list[str]:
    lines = [_line(["", *names, "seeds"]), _line(["---"] * (len(names) + 2))]
    for name, records in groups:
        found = {m: _values(records, m, metric) for m in names}
        medians = {m: float(np.median(v)) for m, v in found.items() if len(v) == len(records)}
        if not medians:
            continue
        cells = []
        for method in names:
            cell = f"{medians[method]:.{digits}f}" if method in medians else ""
            if cell and beside:
                cell += f" ({np.median(_values(records, method, beside)):.{digits}f})"
            bold = best is not None and medians.get(method) == best(medians.values())
            cells.append(f"**{cell}**" if bold else cell)
        lines.append(_line([name, *cells, str(len(records))]))
    return lines


def _targets(groups: list[Group], names: tuple[str, ...]) -> list[str]:
    """Each target beside what was reached, over the rows that have all methods."""
    lines = [
        _line(["target", *(ours := (methods.ELBAX, methods.FIVE))]),
        _line(["---"] * 3),
    ]
    full = [rs for _, rs in groups if all(_values(rs, m, "rmse") for m in names)]
    found: dict[str, list[str]] = {}
    for method in ours:
        best, forests, covered, fast = 0, 0, 0, 0
        for records in full:
            medians = {m: np.median(_values(records, m, "rmse")) for m in names}
            own = _values(records, method, "rmse")
            error = np.std(own, ddof=1) / np.sqrt(len(own)) if len(own) > 1 else 0.0
            rivals = [medians[m] for m in methods.RIVALS]
            best += medians[method] <= min(rivals) + error
            forests += medians[method] <= 1.02 * medians["forests"]
            covered += 0.86 <= np.median(_values(records, method, "coverage")) <= 0.94
            seconds = [np.median(_values(records, m, "cpu")) for m in (method, "forests")]
            fast += seconds[0] <= seconds[1]
        for target, count in (
            ("best, or within a standard error of the best rival, in 90 % of the rows", best),
            ("never worse than forests by more than 2 %", forests),
            ("coverage of 90 % intervals from 86 to 94 %", covered),
            ("no more seconds of the processor than forests", fast),
        ):
            found.setdefault(target, []).append(f"{count} of {len(full)} rows")
    return [*lines, *(_line([target, *reached]) for target, reached in found.items())]


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
