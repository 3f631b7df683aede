"""Every recipe, and a table of every kind of column, as a PyTorch module: how far it deviates.

    .venv-bench/bin/python -m benchmarks.exported

after `scripts/bench --help`, which makes that environment. Prints, for each function, the greatest
difference between the module's and the model's outputs on 1,000 rows, relative to the largest such
number; exits with 1 where one is above 1e-4.
"""

import sys
import tempfile
from pathlib import Path

from elbax.export import torch_module
from elbax.export.checking import LIMIT
from elbax.recipes import RECIPES
from tests.export.models import of_recipe, of_table


def main() -> int:
    wrong = 0
    for name in (*RECIPES, "a table"):
        model, shape, units = of_table() if name == "a table" else of_recipe(name)
        with tempfile.TemporaryDirectory() as folder:
            found = torch_module.export(model, shape, Path(folder), units=units)
        said = ", ".join(f"{one.name} {one.deviation:.1e}" for one in found.written)
        lost = "".join(f"; {what} left out: {why}" for what, why in found.left_out.items())
        print(f"{name:<22} {said}{lost}", flush=True)
        wrong += sum("deviates" in why for why in found.left_out.values())
    print(f"{wrong} of them above {LIMIT}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
