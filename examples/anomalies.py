"""Strange rows, and why they are: `python examples/anomalies.py [epochs]`.

A wine is given the colour of another; the rows are ranked by log p(x), and the columns of the
strangest by how much less likely than usual they are.
"""

import sys

import numpy as np
from sklearn.datasets import load_wine

import elbax

epochs = int(sys.argv[1]) if len(sys.argv) > 1 else None  # None: by the number of rows

table = load_wine(as_frame=True).data
detector = elbax.VAEOutlierDetector(contamination=0.05, max_iter=epochs, random_state=0).fit(table)

changed = table.copy()
changed.loc[7, "hue"] = 0.5
changed.loc[7, "color_intensity"] = 11.0

scores, shares = detector.score_samples(changed), detector.explain(changed)
strange = np.sum(detector.predict(changed) == -1)
print(f"{strange} of {len(changed)} rows are outliers: log p(x) below {detector.offset_:.1f}")
for row in np.argsort(scores)[:5]:
    reasons = np.argsort(shares[row])[:2]
    why = ", ".join(f"{table.columns[j]} ({shares[row, j]:+.1f} nats)" for j in reasons)
    print(f"row {row}: log p(x) {scores[row]:.1f}; {why}")
