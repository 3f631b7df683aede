"""The order in which the steps of a run see the rows."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from elbax.train.step import MAX_CHUNK, ORDER
from elbax.util.orders import permutation


class BatchOrder:
    """Which rows each step sees: a new order every epoch, as far as it fills whole batches."""

    def __init__(self, key: PRNGKeyArray, size: int, batch_size: int) -> None:
        self._key = jax.random.fold_in(key, ORDER)
        self._shape = (size // batch_size, batch_size)
        self._size = size
        self._epoch, self._batches = -1, np.empty(self._shape, np.int32)

    def fill(self, first_step: int, count: int) -> np.ndarray:
        """The rows of `count` steps, at the head of a buffer of `MAX_CHUNK`."""
        buffer = np.zeros((MAX_CHUNK, self._shape[1]), np.int32)
        for i in range(count):
            epoch, batch = divmod(first_step + i, self._shape[0])
            if epoch != self._epoch:
                self._epoch, self._batches = epoch, self._draw(epoch)
            buffer[i] = self._batches[batch]
        return buffer

    def _draw(self, epoch: int) -> np.ndarray:
        seed = np.asarray(_seed(self._key, epoch))
        order = permutation(self._size, np.random.Philox(key=seed.astype(np.uint64)))
        return order[: self._shape[0] * self._shape[1]].reshape(self._shape).astype(np.int32)


@jax.jit  # one call instead of two dozen: of small data an epoch is over in milliseconds
def _seed(key: PRNGKeyArray, epoch: Any) -> Array:
    return jax.random.key_data(jax.random.fold_in(key, epoch))
