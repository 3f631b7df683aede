"""docs/published.md, from the recorded runs alone: a row that was not run is not there."""

from typing import Any

from benchmarks.published.targets import TARGETS

_HEAD = """# Published figures

What papers report, and what elbax obtained at their settings. Nats per datum, lower is better.
This page is written by `benchmarks/published/run NAME`, from the runs recorded in
`benchmarks/published/results/`; a figure that was not run is not in it.

"Obtained" is followed by the standard error over the test rows and, in brackets, by the error of
Monte Carlo alone. Neither covers the training's own randomness (other seeds) nor bias: importance
sampling is in expectation on the pessimistic side. A run of fewer steps than published is
*shorter*, and its figure is expected to be worse by it; learning-rate schedules are scaled to the
length of the run, so that it anneals all the same.
"""

_COLUMNS = (
    "run",
    "what",
    "published",
    "obtained",
    "difference",
    "active units (published)",
    "steps",
    "seed",
)


def render(results: list[dict[str, Any]]) -> str:
    """The page, from the contents of all result files."""
    order = list(TARGETS)
    results = sorted(results, key=lambda result: order.index(result["name"]))
    lines = ["| " + " | ".join(_COLUMNS) + " |", "|" + "---|" * len(_COLUMNS)]
    for result in results:
        lines += [_row(result["target"], result["name"], run) for run in _runs(result)]
    return "\n".join([_HEAD, *lines, "", *_settings(results), "", *_machines(results), ""])


def _runs(result: dict[str, Any]) -> list[dict[str, Any]]:
    return sorted(result["runs"], key=lambda run: (run["steps"], run["seed"]))


def _row(target: dict[str, Any], name: str, run: dict[str, Any]) -> str:
    obtained = run["obtained"]
    active = f"{run['active_units']} of {run['latents']}"
    if target["active"] is not None:
        active += f" ({target['active']})"
    error, monte_carlo = obtained["standard_error"], obtained["monte_carlo_error"]
    cells = (
        f"`{name}`",
        target["what"],
        f"{target['figure']:.2f}",
        f"{obtained['nats']:.2f} ± {error:.2f} ({monte_carlo:.2g})",
        f"{obtained['nats'] - target['figure']:+.2f}",
        active,
        _steps(run),
        str(run["seed"]),
    )
    return "| " + " | ".join(cells) + " |"


def _steps(run: dict[str, Any]) -> str:
    taken, published = run["steps"], run["published_steps"]
    words = f"{taken:,} of {published:,}"
    return words if taken == published else f"{words}: {100 * taken / published:.2g} %, shorter"


def _settings(results: list[dict[str, Any]]) -> list[str]:
    lines = ["## How each figure was estimated, and where settings deviate", ""]
    alike: dict[str, list[str]] = {}
    for result in results:
        for run in _runs(result):
            names = alike.setdefault(_how(result["target"], run), [])
            if f"`{result['name']}`" not in names:
                names.append(f"`{result['name']}`")
    lines += [f"- {', '.join(names)}: {how}" for how, names in alike.items()]
    trusts = [
        f"- `{result['name']}`, {run['steps']:,} steps: {run['obtained']['trust']}: "
        f"{run['obtained']['trust_why']}."
        for result in results
        for run in _runs(result)
        if "trust" in run["obtained"]
    ]
    if trusts:
        lines += ["", "## Whether the importance-sampling estimates are to be trusted", "", *trusts]
    return lines


def _how(target: dict[str, Any], run: dict[str, Any]) -> str:
    obtained = run["obtained"]
    rows, draws = obtained["rows"], obtained["samples"]
    on = "all 10,000" if rows == 10_000 else f"the first {rows:,}"
    how = (
        f"−L by importance sampling, {draws:,} draws a row"
        if obtained["estimator"] == "importance"
        else f"−ELBO, {draws} draws a row"
    )
    return (
        f"{target['source']}. {how}, on {on} test rows; {run['training_rows']:,} training rows. "
        f"Deviates: {target['deviations']}."
    )


def _machines(results: list[dict[str, Any]]) -> list[str]:
    lines = ["## Where and when", "", "| run | steps | date | machine | versions | seconds |"]
    lines.append("|---|---|---|---|---|---|")
    for result in results:
        for run in _runs(result):
            machine, seconds = run["machine"], run["seconds"]
            where = machine["gpu"] or f"{machine['cpu']}, {machine['cores']} cores"
            names = ("elbax", "jax", "numpyro", "optax")
            versions = ", ".join(f"{name} {machine['versions'][name]}" for name in names)
            lines.append(
                f"| `{result['name']}` | {run['steps']:,} | {machine['date'][:10]} | {where} | "
                f"{versions} | {seconds['training']:.0f} training, "
                f"{seconds['evaluation']:.0f} evaluation |"
            )
    return lines
