"""Digits: train, measure, look. `python examples/digits.py [steps]`."""

import sys

import jax

import elbax
from elbax import evaluate

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 5000

run = elbax.train(
    "mnist-5k", latent_dim=2, iterations=steps, out="runs/example-digits", force=True, report=False
)

rows = run.dataset.test.x[:100]
bound = evaluate.elbo(run.model, rows, key=jax.random.key(0), samples=10).means()["elbo"]
log_p = evaluate.importance(run.model, rows, key=jax.random.key(0), samples=500)
print(f"bound {bound.mean:.2f} ± {bound.standard_error:.2f} nats a digit")
print(f"log p {log_p.mean().mean:.2f}, to be trusted: {log_p.trust()[0]}")

run.figure("top_infer").savefig("digits.png")
print("digits.png shows what each place of the latent space decodes to")
