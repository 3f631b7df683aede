"""Strange rows, and why they are: `python examples/anomalies.py [steps]`.

A wine is given the colour of another; the rows are ranked by log p(x), and the columns of the
strangest by how much less likely than usual they are.
"""

import sys

import jax
import numpy as np
from sklearn.datasets import load_wine

import elbax
from elbax import evaluate
from elbax.data import tables

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 3000

table = load_wine(as_frame=True).data
run = elbax.train(table, iterations=steps, out="runs/example-anomalies", force=True, report=False)

changed = table.copy()
changed.loc[7, "hue"] = 0.5
changed.loc[7, "color_intensity"] = 11.0

rows = tables.encode(tables.read(changed), run.dataset.columns)
scores = evaluate.score(run.model, rows, key=jax.random.key(0), samples=500)
strangest = np.argsort(scores.estimate.log_likelihood)[:5]
surprise = np.nanmedian(scores.elements, axis=0) - scores.elements
for row in strangest:
    reasons = np.argsort(-surprise[row])[:2]
    why = ", ".join(f"{table.columns[j]} (−{surprise[row, j]:.1f} nats)" for j in reasons)
    print(f"row {row}: log p {scores.estimate.log_likelihood[row]:.1f}; {why}")
