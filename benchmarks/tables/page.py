"""docs/tables-benchmark.md, from the recorded units alone."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

Record = dict[str, Any]

_HEAD = """# Small tables, as measured

What elbax trains on a table by default, beside scikit-learn, on the tables that scikit-learn ships.
This page is written by `benchmarks/tables/run` from `benchmarks/tables/results/`; what was not run
is not in it.

Rows are split 80 : 20 by the seed; a tenth of the first part validates (elbax stops training by it,
the densities of scikit-learn choose their settings by it and are then fitted to both). Numbers are
scaled by mean and standard deviation of the observed training cells. Each column is taken as
continuous; columns that never vary are left out (where cells are missing: among the training rows),
and where too little of a column is left to have a scale its holes are drawn again. Figures are
means over the seeds ± the standard deviation over them; the best mean of a row is bold. With tables
this small the seeds often differ more than the methods do: linnerud has 20 rows, 14 to train on.
The default model of a table (the importance-weighted bound) was chosen on trials with seed 0 of
breast cancer, wine, iris and diabetes: there seed 0 leans to elbax.

Missing cells and densities are by a model whose columns are linked by a covariance of rank 10
beside z (`--links 10`), as `VAEImputer` has it by default; outliers by one without.

Rows with a † have figures of elbax' earlier defaults (ReLU units, columns independent given z);
`benchmarks/tables/run --anew` measures these again.
"""

_IMPUTE_TEXT = """\
Root mean squared error over the missing cells of the held-out rows, in standard deviations of their
columns (lower is better), with this share of all cells missing completely at random, in the
training rows too. scikit-learn's imputers at their defaults.
"""

_COVERAGE_TEXT = """\
Share of the missing cells that lie in the 90 % intervals that elbax gives them (it should be near
90 %), by the share of cells that are missing. scikit-learn's imputers give no intervals.
"""

_DENSITY_TEXT = """\
Mean log-density of the held-out rows, without holes, in nats (higher is better). elbax: importance
sampling, 1,000 draws a row, in expectation below the true one. scikit-learn's settings are chosen
by the validation rows: the added variance of the Gaussian, that and the number of components of the
mixture, the bandwidth. Tables of whole numbers are spread uniformly over their unit first.
"""

_RIDGES_TEXT = """\
Where a column holds two values or follows from others a narrow ridge of density is worth many nats,
and a likelihood with one scale for each column has none. diabetes has a column of two values, sex,
and two that follow from others: s4 is the ratio of s1 and s3, and s1 nearly the sum of s2 and s3.
As above, without them:
"""

_OUTLIERS_TEXT = """\
Area under the ROC curve (higher is better) where one class is the outlier: training rows are of the
other classes only. Mean over the classes in turn and the seeds. elbax: log p(x); scikit-learn at
its defaults.
"""

_BETTER = {"rmse": min, "nats": max, "auc": max}


def render(records: list[Record]) -> str:
    """The page."""
    records = _newest(records)
    tasks = {task: [r for r in records if r["task"] == task] for task in _SECTIONS}
    parts = [_HEAD]
    for task, section in _SECTIONS.items():
        if tasks[task]:
            parts.append(section(tasks[task]))
    parts.append(_verdict(records))
    parts.append(_where(records))
    return "\n".join(parts)


def _impute(records: list[Record]) -> str:
    rows = [(f"{_table(name)}, {what} %", group) for (name, what), group in _groups(records)]
    return "\n".join(
        [
            "## Missing cells\n",
            _IMPUTE_TEXT,
            *_compare(rows, "rmse", 3),
            "",
            _COVERAGE_TEXT,
            *_coverage(records),
            "",
        ]
    )


def _density(records: list[Record]) -> str:
    rows = [(_table(name), group) for (name, _), group in _groups(records)]
    return "\n".join(
        [
            "## Densities\n",
            _DENSITY_TEXT,
            *_compare(rows, "nats", 2),
            "",
        ]
    )


def _ridges(records: list[Record]) -> str:
    names = {1: "without sex", 3: "without sex, s4, s1"}
    rows = [(f"{_table(name)} {names[what]}", group) for (name, what), group in _groups(records)]
    return "\n".join([_RIDGES_TEXT, *_compare(rows, "nats", 2), ""])


def _outliers(records: list[Record]) -> str:
    rows = [(_table(name), group) for name, group in _by(records, lambda r: r["table"])]
    return "\n".join(
        [
            "## Outliers\n",
            _OUTLIERS_TEXT,
            *_compare(rows, "auc", 3),
            "",
        ]
    )


_SECTIONS = {
    "impute": _impute,
    "density": _density,
    "ridges": _ridges,
    "outliers": _outliers,
}


def _compare(rows: list[tuple[str, list[Record]]], metric: str, digits: int) -> list[str]:
    """A table of means with the best of each row bold."""
    methods = list(rows[0][1][0][metric])
    lines = [_line(["", *methods, "seeds"]), _line(["---"] * (len(methods) + 2))]
    for name, group in rows:
        means, errors = _summary(group, metric)
        best = _BETTER[metric](means.values())
        cells = []
        for method in methods:
            cell = f"{means[method]:.{digits}f}"
            if _seeds(group) > 1:
                cell += f" ± {errors[method]:.{digits}f}"
            cells.append(f"**{cell}**" if means[method] == best else cell)
        dagger = "" if all("settings" in record for record in group) else " †"
        lines.append(_line([name + dagger, *cells, str(_seeds(group))]))
    return lines


def _coverage(records: list[Record]) -> list[str]:
    """A table of coverages: tables down, percentages of missing cells across."""
    shares = sorted({record["what"] for record in records})
    lines = [_line(["", *(f"{share} %" for share in shares)]), _line(["---"] * (len(shares) + 1))]
    for name, group in _by(records, lambda r: r["table"]):
        cells = []
        for share in shares:
            found = [record["coverage"] for record in group if record["what"] == share]
            cells.append(f"{100 * np.mean(found):.0f} %" if found else "")
        lines.append(_line([_table(name), *cells]))
    return lines


def _summary(group: list[Record], metric: str) -> tuple[dict[str, float], dict[str, float]]:
    """Means over everything, and the standard deviation of the means of the seeds."""
    methods = list(group[0][metric])
    means = {m: float(np.mean([r[metric][m] for r in group])) for m in methods}
    spread = {}
    for method in methods:
        seeds = [
            np.mean([r[metric][method] for r in records])
            for _, records in _by(group, lambda r: r["seed"])
        ]
        spread[method] = float(np.std(seeds, ddof=1)) if len(seeds) > 1 else 0.0
    return means, spread


def _verdict(records: list[Record]) -> str:
    """How often each method is the best, and where elbax is not."""
    lines = ["## Where elbax wins and loses\n"]
    for task, metric in (("impute", "rmse"), ("density", "nats"), ("outliers", "auc")):
        of_task = [r for r in records if r["task"] == task]
        if not of_task:
            continue
        groups = _by(of_task, lambda r: r["table"]) if task == "outliers" else _groups(of_task)
        wins, lost = 0, []
        for name, group in groups:
            means, _ = _summary(group, metric)
            best = _BETTER[metric](means, key=means.__getitem__)
            where = _table(name if isinstance(name, str) else name[0])
            if task == "impute":
                where += f" at {name[1]} %"
            wins += best == "elbax"
            if best != "elbax":
                lost.append(f"{where} ({best})")
        share = f"{wins} of {wins + len(lost)} (of {_counted(groups)})"
        but = f"; not in {', '.join(lost)}." if lost else "."
        lines.append(f"- {_TITLES[task]}: the best mean in {share}{but}")
    return "\n".join([*lines, ""])


_TITLES = {"impute": "missing cells", "density": "densities", "outliers": "outliers"}


def _where(records: list[Record]) -> str:
    found: dict[str, int] = {}
    for record in records:
        machine = record["machine"]
        names = ("elbax", "jax", "numpy")
        versions = ", ".join(f"{name} {machine['versions'][name]}" for name in names)
        line = (
            f"{machine['gpu'] or machine['cpu']}, {machine['cores']} cores; Python "
            f"{machine['python']}, {versions}, scikit-learn {record['sklearn']}; commit "
            f"{machine['commit']}"
        )
        found[line] = found.get(line, 0) + 1
    if not records:
        return "Nothing was run yet.\n"
    seconds = [record["seconds"]["elbax"] for record in records]
    lines = ["## Where and when\n"]
    lines += [f"- {count} units: {line}." for line, count in found.items()]
    lines.append(
        f"- Training and answering took elbax {np.median(seconds):.1f} s (median; "
        f"{np.min(seconds):.1f} to {np.max(seconds):.1f} s)."
    )
    return "\n".join([*lines, ""])


def _newest(records: list[Record]) -> list[Record]:
    """Of each row those of the present defaults, where there are any: the two are not mixed."""
    found = []
    for _, group in _by(records, lambda r: (r["task"], r["table"], r["what"])):
        found += [record for record in group if "settings" in record] or group
    return found


def _groups(records: list[Record]) -> list[tuple[Any, list[Record]]]:
    return _by(records, lambda r: (r["table"], r["what"]))


def _by(records: Iterable[Record], key: Callable[[Record], Any]) -> list[tuple[Any, list[Record]]]:
    found: dict[Any, list[Record]] = {}
    for record in records:
        found.setdefault(key(record), []).append(record)
    return sorted(found.items())


def _counted(groups: list[tuple[Any, list[Record]]]) -> str:
    """``1 to 3 seeds``."""
    counts = sorted({_seeds(group) for _, group in groups})
    words = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"{words} seed{'' if words == '1' else 's'}"


def _seeds(group: list[Record]) -> int:
    return len({record["seed"] for record in group})


def _table(name: str) -> str:
    return name.replace("_", " ")


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
