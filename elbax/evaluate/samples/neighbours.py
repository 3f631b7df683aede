"""The nearest of many rows, by one matrix product."""

import numpy as np
from jaxtyping import Float, Int

_BYTES = 64_000_000  # of distances at a time


def nearest(
    rows: Float[np.ndarray, "n d"], queries: Float[np.ndarray, "m d"], count: int
) -> tuple[Int[np.ndarray, "m count"], Float[np.ndarray, "m count"]]:
    """The `count` rows nearest to each query by Euclidean distance, nearest first.

    |a − b|² = |a|² + |b|² − 2 a·b finds them in float32; their distances come from differences, so
    that of a copy is 0. (scikit-learn does the same, and takes a second to import.)

    Args:
        rows: Where to look; at least `count`.
        queries: What to look for.
        count: How many.

    Returns:
        Their numbers among the rows, and their distances.
    """
    center = rows.mean(axis=0)  # the shorter the rows, the less is rounded
    near, far = (np.asarray(part - center, np.float32) for part in (rows, queries))
    lengths = np.einsum("ij,ij->i", near, near)
    at_once = max(1, _BYTES // (4 * len(rows)))
    found = []
    for start in range(0, len(far), at_once):
        part = far[start : start + at_once]
        chosen = np.argpartition(lengths - 2 * (part @ near.T), count - 1, axis=1)[:, :count]
        differences = near[chosen] - part[:, None]
        distances = np.sqrt(np.einsum("ijk,ijk->ij", differences, differences))
        order = np.lexsort((chosen, distances), axis=1)
        found.append([np.take_along_axis(one, order, axis=1) for one in (chosen, distances)])
    chosen, distances = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return chosen, distances
