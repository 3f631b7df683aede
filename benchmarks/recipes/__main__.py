"""`scripts/recipes`: trains the recipes that have no row yet, and writes the page."""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.machine import describe
from benchmarks.recipes import table
from elbax.recipes import RECIPES

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
MIG = RESULTS / "mig.json"
PAGE = HERE.parent.parent / "docs" / "recipes.md"


def main() -> int:
    """Runs what was asked for; the exit status says whether every row is better than its start."""
    arguments = _parse()
    RESULTS.mkdir(exist_ok=True)
    if arguments.pictures:
        _draw(arguments.picture_steps)
    elif arguments.mig:
        _compare(arguments.mig_steps, arguments.seeds)
    elif not arguments.page:
        for name in arguments.names or RECIPES:
            _train(name, arguments)
    rows = {path.stem: json.loads(path.read_text()) for path in RESULTS.glob("*.json")}
    mig, pictures = rows.pop("mig", None), rows.pop("pictures", None)
    PAGE.write_text(table.render(rows, mig, pictures), encoding="utf-8")
    worse = [name for name, row in rows.items() if not table.better(row)]
    for name in worse:
        print(f"{name} is not better than its start", file=sys.stderr)
    return 1 if worse else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/recipes", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="RECIPE", help="these (default: all)")
    parser.add_argument("--iterations", type=int, default=1000, help="steps of each")
    parser.add_argument("--seconds", type=float, default=150.0, help="training ends early after")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", action="store_true", help="also those that have a row")
    parser.add_argument("--page", action="store_true", help="only write the page")
    parser.add_argument("--mig", action="store_true", help="the comparison on shapes instead")
    parser.add_argument("--pictures", action="store_true", help="the traversals instead")
    parser.add_argument("--picture-steps", type=int, default=4000)
    parser.add_argument("--mig-steps", type=int, default=3000)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    for name in arguments.names:
        if name not in RECIPES:
            parser.error(f"there is no recipe {name}")
    return arguments


def _train(name: str, arguments: argparse.Namespace) -> None:
    from benchmarks.recipes import work

    path = RESULTS / f"{name}.json"
    if path.exists() and not arguments.again:
        return
    recipe = RECIPES[name]
    print(f"{name}: {arguments.iterations:,} steps on {recipe.meant_for}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        data = work.data_for(recipe, Path(folder))
        plan = work.plan_for(recipe, data, arguments.iterations, arguments.seed)
        row = work.train(plan, arguments.iterations, arguments.seconds)
    _write(path, {**row, "machine": describe()})
    print(f"  {row['before']} → {row['after']}, {row['seconds']} s", flush=True)


def _draw(steps: int) -> None:
    """Traversals and interpolations of `shapes`, by the objective of beta-tcvae."""
    import elbax
    from benchmarks.recipes.disentanglement import BATCH, HIDDEN
    from elbax.figures import figure_png
    from elbax.recipes import find
    from elbax.util.files import write_bytes

    with tempfile.TemporaryDirectory() as folder:
        run = elbax.train(
            "shapes",
            out=Path(folder) / "shapes",
            hidden=HIDDEN,
            batch_size=BATCH,
            iterations=steps,
            objective=find("beta-tcvae").training.objective,
            report=False,
        )
        for name in table.PICTURES:
            write_bytes(PAGE.parent / "pictures" / f"{name}.png", figure_png(run.figure(name)))
    _write(RESULTS / "pictures.json", {"steps": steps, "batch_size": BATCH, "hidden": HIDDEN})


def _compare(steps: int, seeds: int) -> None:
    from benchmarks.recipes import disentanglement as work

    found: dict[str, Any] = json.loads(MIG.read_text()) if MIG.exists() else {}
    if found.get("steps") != steps or len(found.get("seeds", ())) != seeds:
        found = {
            "steps": steps,
            "seeds": list(range(seeds)),
            "rows": work.ROWS,
            "batch_size": work.BATCH,
            "network": "two ReLU layers of 400 each way, 10 latents",
            "recipes": {name: [] for name in work.OBJECTIVES},
        }
    for seed in range(seeds):
        for name in work.OBJECTIVES:
            if len(found["recipes"][name]) == seed:
                found["recipes"][name].append(work.gap(name, seed, steps))
                print(f"{name}, seed {seed}: MIG {found['recipes'][name][-1]:.3f}", flush=True)
                _write(MIG, {**found, "machine": describe()})


def _write(path: Path, row: dict[str, Any]) -> None:
    path.write_text(json.dumps(row, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
