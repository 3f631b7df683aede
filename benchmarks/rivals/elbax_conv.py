"""elbax with the convolutional pair: `elbax.train.fit` as it really runs."""

from typing import Any

from benchmarks import protocol, workload
from benchmarks.rivals.elbax_step import Training


def prepare(options: dict[str, Any]) -> tuple[dict[str, protocol.Action], dict[str, Any]]:
    """Compiles, and lets the loop find its chunk length."""
    import jax

    training = Training(workload.images()[0], options.get("chunk_seconds", 1.0), network="conv")
    training.run(options["steps"])
    training.run(options["steps"])
    device = jax.devices()[0].device_kind
    return {"run": training.run}, {"device": device, "platform": jax.default_backend()}


if __name__ == "__main__":
    protocol.serve(prepare)
