"""Two floors of the step: its arithmetic at the rate of XLA's 2048³ product, its products alone."""

import time
from typing import Any

import numpy as np

from benchmarks import protocol, workload

_SIZE = 2048
_BATCHES = 10  # that the products take turns with
_NETWORKS = (workload.ENCODER, workload.DECODER)


class Floor:
    """XLA's float32 matrix product, compiled once."""

    def __init__(self) -> None:
        import jax

        key = jax.random.key(workload.SEED)
        self._a = jax.random.normal(key, (_SIZE, _SIZE))
        self._multiply = jax.jit(lambda a, b: a @ b)
        self.measure(1)

    def measure(self, steps: int) -> dict[str, Any]:
        """Seconds that so many steps' arithmetic takes at the rate measured now."""
        products = max(4, round(steps * workload.flops_per_step() / (2 * _SIZE**3) / 2))
        started = time.perf_counter()
        for _ in range(products):
            self._multiply(self._a, self._a).block_until_ready()
        per_product = (time.perf_counter() - started) / products
        rate = 2 * _SIZE**3 / per_product
        return {
            "seconds": steps * workload.flops_per_step() / rate,
            "steps": steps,
            "gflops": rate / 1e9,
        }


class Products:
    """The step's matrix products and nothing else, as one compiled loop.

    The networks without biases and activations, forward and backward; the latents are the sum of
    the two halves of the encoder's output. What no gradient needs is not computed, as in the step.
    """

    def __init__(self, pixels: np.ndarray) -> None:
        import jax
        import jax.numpy as jnp

        key = jax.random.key(workload.SEED)
        shapes = [(o, i) for sizes in _NETWORKS for i, o in workload.layers(sizes)]
        glorot = jax.nn.initializers.glorot_uniform()
        self._weights = [glorot(jax.random.fold_in(key, n), s) for n, s in enumerate(shapes)]
        self._rows = jnp.asarray(pixels[: _BATCHES * workload.BATCH].astype(np.float32) / 255)

        def loss(weights: list[jax.Array], x: jax.Array) -> jax.Array:
            half = len(weights) // 2
            for weight in weights[:half]:
                x = x @ weight.T
            x = x[:, : workload.LATENT] + x[:, workload.LATENT :]
            for weight in weights[half:]:
                x = x @ weight.T
            return jnp.sum(x**2) / 2  # its gradient by x is x: the last product is needed

        @jax.jit
        def repeat(weights: list[jax.Array], rows: jax.Array, steps: int) -> list[jax.Array]:
            def body(i: jax.Array, _: list[jax.Array]) -> list[jax.Array]:
                first = i % _BATCHES * workload.BATCH
                batch = jax.lax.dynamic_slice_in_dim(rows, first, workload.BATCH)
                return jax.grad(loss)(weights, batch)

            return jax.lax.fori_loop(0, steps, body, weights)

        self._repeat = repeat
        self.measure(1)

    def measure(self, steps: int) -> dict[str, Any]:
        """Seconds of so many steps' products."""
        import jax

        started = time.perf_counter()
        jax.block_until_ready(self._repeat(self._weights, self._rows, steps))
        return {"seconds": time.perf_counter() - started, "steps": steps}


def prepare(_: dict[str, Any]) -> tuple[dict[str, protocol.Action], dict[str, Any]]:
    """The floor in a process of its own; `scripts/bench` measures it in elbax's."""
    import jax

    return {"run": Floor().measure}, {"device": jax.devices()[0].device_kind}


if __name__ == "__main__":
    protocol.serve(prepare)
