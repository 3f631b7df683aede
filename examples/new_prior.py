"""A prior of one's own, beside the usual one: `python examples/new_prior.py [steps]`."""

import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro.distributions as dist
import optax

import elbax
from elbax import evaluate
from elbax.model import AbstractPrior
from elbax.train import fit, init_state, merge

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
data = elbax.load_data("digits")


class LaplacePrior(AbstractPrior):
    """Independent Laplace variables, whose scales are learned."""

    latent_dim: int = eqx.field(static=True)
    log_scale: jax.Array

    def __init__(self, latent_dim):
        self.latent_dim = latent_dim
        self.log_scale = jnp.zeros(latent_dim)

    def __call__(self, encoder=None, condition=None):
        scale = jnp.exp(self.log_scale)
        return dist.Laplace(jnp.zeros(self.latent_dim), scale).to_event(1)


for prior in (elbax.StandardNormal(4), LaplacePrior(4)):
    encoder_key, decoder_key, run_key = jax.random.split(jax.random.key(0), 3)
    posterior, likelihood = elbax.DiagonalNormal(4), elbax.Bernoulli((8, 8, 1))
    encoder = elbax.MLP(64, (64,), posterior.parameter_count, key=encoder_key)
    decoder = elbax.MLP(4, (64,), likelihood.parameter_count, key=decoder_key)
    model = elbax.LatentVariableModel(
        prior, elbax.Encoder(encoder, posterior), elbax.Decoder(decoder, likelihood)
    )
    objective, optimizer = elbax.NegativeELBO(), optax.adam(1e-3)
    state = init_state(model, objective, optimizer, run_key, keep_best=False)
    rows = elbax.Batch(jnp.asarray(data.train.x * data.scale), data_size=len(data.train))
    for report in fit(
        model, objective, rows, optimizer=optimizer, batch_size=100, steps=steps, state=state
    ):
        state = report.state
    model, _ = merge(state.parameters, model, objective)
    held_out = (data.test.x[:100] * data.scale).astype("float32")
    estimate = evaluate.importance(model, held_out, key=jax.random.key(1), samples=500)
    mean = estimate.mean()
    print(f"{type(prior).__name__}: log p {mean.mean:.2f} ± {mean.standard_error:.2f} nats a digit")
