"""numpyro's compiled VAE loop, after its own `examples/vae.py`, with the summary's network.

As there: stax networks, `SVI.update` inside a compiled `fori_loop`, batches gathered inside by a
permuted index. Unlike there: the closed-form KL (`TraceMeanField_ELBO`), logits in place of
probabilities, and no binarisation of each batch, so that it does what the others do, and no more.
"""

import time
from typing import Any

from benchmarks import protocol, workload


def _network(sizes: tuple[int, ...]) -> Any:
    from jax.example_libraries import stax

    *hidden, last = sizes[1:]
    parts = [part for width in hidden for part in (stax.Dense(width), stax.Relu)]
    return stax.serial(*parts, stax.Dense(last))


def _model(batch: Any) -> Any:
    import numpyro
    import numpyro.distributions as dist

    rows = batch.shape[0]
    decode = numpyro.module("decoder", _network(workload.DECODER), (rows, workload.LATENT))
    with numpyro.plate("batch", rows):
        z = numpyro.sample("z", dist.Normal(0, 1).expand([workload.LATENT]).to_event(1))
        # Unvalidated, the density of a grey level is its cross-entropy, as everywhere here.
        pixels = dist.Bernoulli(logits=decode(z), validate_args=False)
        return numpyro.sample("obs", pixels.to_event(1), obs=batch)


def _guide(batch: Any) -> Any:
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist

    rows = batch.shape[0]
    encode = numpyro.module("encoder", _network(workload.ENCODER), (rows, workload.PIXELS))
    location, log_variance = jnp.split(encode(batch), 2, axis=-1)
    with numpyro.plate("batch", rows):
        q = dist.Normal(location, jnp.exp(0.5 * log_variance))
        return numpyro.sample("z", q.to_event(1))


def prepare(options: dict[str, Any]) -> tuple[dict[str, protocol.Action], dict[str, Any]]:
    """Compiles the loop."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    from numpyro.infer import SVI, TraceMeanField_ELBO
    from numpyro.optim import Adam

    rows = jnp.asarray(workload.images()[0].astype(np.float32) / 255)
    svi = SVI(_model, _guide, Adam(workload.LEARNING_RATE), TraceMeanField_ELBO())
    state = svi.init(jax.random.key(workload.SEED), rows[: workload.BATCH])
    steps = options["steps"]

    @jax.jit
    def train(state: Any, rows: Any, order: Any) -> Any:
        def body(i: Any, carry: Any) -> Any:
            total, state = carry
            chosen = jax.lax.dynamic_slice_in_dim(order, i * workload.BATCH, workload.BATCH)
            state, loss = svi.update(state, jnp.take(rows, chosen, axis=0))
            return total + loss, state

        return jax.lax.fori_loop(0, steps, body, (0.0, state))

    draw = np.random.default_rng(workload.SEED)

    def run(steps: int) -> dict[str, Any]:
        nonlocal state
        assert steps == options["steps"]
        started = time.perf_counter()
        order = jnp.asarray(draw.permutation(len(rows))[: steps * workload.BATCH])
        total, state = jax.block_until_ready(train(state, rows, order))
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "steps": steps, "loss": float(total) / steps / workload.BATCH}

    run(steps)
    return {"run": run}, {"device": jax.devices()[0].device_kind}


if __name__ == "__main__":
    protocol.serve(prepare)
