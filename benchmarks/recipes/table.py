"""docs/recipes.md from the rows that are there."""
# ruff: noqa: E501, ISC004 - lines of a page

import math
import statistics
from collections.abc import Mapping
from typing import Any

from elbax.recipes import RECIPES

_HEAD = """# Recipes, as trained

`elbax recipes` lists them with their sources; each is one short file below `elbax/recipes/papers/`. This page is made by
`scripts/recipes`, which trains each for a short while on the data it is meant for: it shows that every one runs and learns,
and what a step costs, not how good it gets. Where that would have lasted longer than a set number of seconds it was ended
early: the steps say after how many. (Their own lengths are 10,000 to 300,000 steps.) Warm-ups of the KL are shortened
with the run, so bounds of recipes with one are of a KL at its full weight for part of the run only.

Numbers are nats per datum on the first 1,000 test rows, one draw a row, ± one standard error over the rows. Bounds of different
likelihoods, or of data that are binarised or not, do not compare: the column says which is which. log p(x) is by importance
sampling, 500 draws a row, of the first 100 of these rows, with the estimate's own verdict where it is not "yes" (so few
draws are not to be trusted: they say where the bound lies, roughly); of grey pixels under a Bernoulli likelihood it is of binarised
images, as the bound is. Of a model without a bound (its posterior is a point) the reconstruction log p(x|z) stands in brackets. Of a `conditional` model
everything is given the label; of a `semi-supervised` one the bound is on log p(x), the label summed out. Of latents that are codes the
uniform prior costs the logarithm of their number for each place, most of the bound; the codes that these rows use stand in the place of active
latents.

"""


PICTURES = ("traverse", "interpolate")


def render(
    rows: Mapping[str, Mapping[str, Any]],
    mig: Mapping[str, Any] | None,
    pictures: Mapping[str, Any] | None,
) -> str:
    """The page."""
    lines = [
        "| recipe | data | likelihood | steps | bound at the start | at the end | log p(x) | active | "
        "seconds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_row(name, rows[name]) for name in RECIPES if name in rows]
    missing = [name for name in RECIPES if name not in rows]
    text = _HEAD + "\n".join(lines) + "\n"
    if missing:
        text += f"\nNot run: {', '.join(missing)}.\n"
    worse = [name for name, row in rows.items() if not better(row)]
    text += (
        "\nEvery row is better than its start.\n"
        if not worse
        else f"\nNot better than their start: {', '.join(worse)}.\n"
    )
    for name, row in rows.items():
        if row["classified"] is not None:
            text += _classified(name, row["classified"])
    machines = sorted({_machine(row["machine"]) for row in rows.values()})
    text += "\nMade on " + "; ".join(machines) + f". Seed {_seeds(rows)}.\n"
    return text + (_mig(mig) if mig else "") + (_pictures(pictures) if pictures else "")


def _pictures(found: Mapping[str, Any]) -> str:
    text = (
        "\n## What the latents do\n\n"
        f"`shapes`, the objective of `beta-tcvae`, {found['steps']:,} steps of {found['batch_size']}, hidden layers "
        f"{', '.join(map(str, found['hidden']))}, seed 0; `elbax plot RUN traverse interpolate`, made by `scripts/recipes --pictures`.\n"
    )
    return text + "".join(f"\n![{name}](pictures/{name}.png)\n" for name in PICTURES)


def _classified(name: str, found: Mapping[str, Any]) -> str:
    def share(p: float) -> str:
        error = math.sqrt(p * (1 - p) / found["rows"])
        return f"{100 * p:.1f} ± {100 * error:.1f} %"

    return (
        f"\n`{name}` with {found['labels']} labels classifies {share(found['accuracy'])} of {found['rows']:,} test rows rightly; "
        f"scikit-learn's logistic regression on these {found['labels']} rows alone {share(found['logistic_regression'])}."
        + (
            ""
            if found["accuracy"] > found["logistic_regression"]
            else " After so few steps it is not the better one."
        )
        + "\n"
    )


def better(row: Mapping[str, Any]) -> bool:
    """Whether the end is above the start."""
    name = "elbo" if "elbo" in row["after"] else "reconstruction"
    return row["after"][name] > row["before"][name]


def _row(name: str, row: Mapping[str, Any]) -> str:
    binarised = "" if row["binarize"] == "none" else ", binarised"
    active = "–" if row["active"] is None else f"{row['active']} of {row['latent_dim']}"
    if row.get("codes"):
        active = f"{', '.join(map(str, row['codes']['used']))} of {row['codes']['codes']:,} codes"
    short = "" if row["iterations"] == row["asked"] else f" of {row['asked']:,}"
    cells = [
        f"`{name}`",
        row["data"],
        row["likelihood"].split(" (")[0] + binarised,
        f"{row['iterations']:,}{short} × {row['batch_size']}",
        _bound(row["before"]),
        _bound(row["after"]),
        _likelihood(row["log_likelihood"]),
        active,
        f"{row['seconds']:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def _bound(found: Mapping[str, Any]) -> str:
    if "elbo" in found:
        return _pm(found["elbo"], found["standard_error"]["elbo"])
    return f"({_pm(found['reconstruction'], found['standard_error']['reconstruction'])})"


def _likelihood(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "–"
    verdict = "" if found["trust"] == "yes" else f" ({found['trust']})"
    return _pm(found["mean"], found["standard_error"]) + verdict


def _pm(value: float, error: float) -> str:
    return f"{value:,.1f} ± {error:.1f}".replace("-", "−")


def _seeds(rows: Mapping[str, Mapping[str, Any]]) -> str:
    return ", ".join(sorted({str(row["seed"]) for row in rows.values()}))


def _machine(found: Mapping[str, Any]) -> str:
    versions = found["versions"]
    told = ", ".join(f"{name} {versions[name]}" for name in ("elbax", "jax", "numpyro", "numpy"))
    return f"{found['cpu']}, {found['cores']} cores, shared with other work; {told}"


def _mig(found: Mapping[str, Any]) -> str:
    names = list(found["recipes"])
    lines = [
        "",
        "## Disentanglement on `shapes`",
        "",
        f"Mutual information gap of the posterior means over {found['rows']:,} rows and the five known factors, seeds "
        f"{', '.join(map(str, found['seeds']))}; {found['steps']:,} steps of {found['batch_size']} with one network for all "
        f"({found['network']}) and Adam 1e-3: a short budget, far below the published ones. The network and the optimiser are "
        "the same, and the objective is the recipe's.",
        "",
        "| objective of | " + " | ".join(f"seed {seed}" for seed in found["seeds"]) + " | mean |",
        "|---|" + "---|" * (len(found["seeds"]) + 1),
    ]
    means = {}
    for name in names:
        values = found["recipes"][name]
        means[name] = sum(values) / len(values)
        shown = " | ".join(f"{value:.3f}" for value in values)
        lines.append(f"| `{name}` | {shown} | {means[name]:.3f} ± {statistics.stdev(values):.3f} |")
    lines.append("")
    lines.append("± is the standard deviation over the seeds.")
    for name in names[1:]:
        wins = sum(
            a > b for a, b in zip(found["recipes"][name], found["recipes"]["vae"], strict=True)
        )
        verb = "beats" if means[name] > means["vae"] else "does not beat"
        lines.append(
            f"`{name}` {verb} `vae` on average, and in {wins} of {len(found['seeds'])} seeds."
        )
    return "\n".join(lines) + "\n"
