"""A table with holes, filled: `python examples/table_with_holes.py [steps]`.

Half of the cells of scikit-learn's wine table are taken out, and compared with what fills them.
"""

import sys

import jax
import numpy as np
from sklearn.datasets import load_wine

import elbax
from elbax import evaluate
from elbax.data import tables
from elbax.data.formats.tables import read

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 3000

whole = load_wine(as_frame=True).data
holes = np.random.default_rng(0).random(whole.shape) < 0.5
table = whole.mask(holes)

run = elbax.train(table, iterations=steps, out="runs/example-table", force=True, report=False)
columns = run.dataset.columns

x = tables.encode(read(table), columns).x
filled = evaluate.impute(run.model, x, key=jax.random.key(0))
value, lower, upper = (
    tables.decode(columns, cells).to_pandas().to_numpy(float)
    for cells in (filled.value, filled.lower, filled.upper)
)

truth, deviation = whole.to_numpy(), whole.std().to_numpy()
error = np.sqrt(np.mean(((value - truth) / deviation)[holes] ** 2))
mean = np.sqrt(np.mean(((table.mean().to_numpy() - truth) / deviation)[holes] ** 2))
inside = np.mean(((lower <= truth) & (truth <= upper))[holes])
print(f"error {error:.2f} standard deviations (by the column's mean: {mean:.2f})")
print(f"{inside:.0%} of the missing cells lie in their 90 % intervals")
