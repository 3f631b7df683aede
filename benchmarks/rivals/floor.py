"""The floor: what the step's arithmetic would take at the rate of XLA's own 2048³ product."""

import time
from typing import Any

from benchmarks import protocol, workload

_SIZE = 2048


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


def prepare(_: dict[str, Any]) -> tuple[dict[str, protocol.Action], dict[str, Any]]:
    """The floor in a process of its own; `scripts/bench` measures it in elbax's."""
    import jax

    return {"run": Floor().measure}, {"device": jax.devices()[0].device_kind}


if __name__ == "__main__":
    protocol.serve(prepare)
