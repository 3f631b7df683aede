"""A heavier KL, for latents that are each a factor of the data."""

from __future__ import annotations

from elbax.recipes.choice import Choice
from elbax.recipes.options import ModelOptions, TrainingOptions
from elbax.recipes.recipe import Recipe

RECIPE = Recipe(
    name="beta-vae",
    summary="a KL of four times its weight: two ReLU layers of 1,200, 10 latents, Adagrad 1e-2",
    source=(
        "Higgins, Matthey, Pal, Burgess, Glorot, Botvinick, Mohamed and Lerchner (2017), "
        "beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework, ICLR, "
        "openreview.net/forum?id=Sy2fzU9gl, table 1 (2D shapes)"
    ),
    # For 2D shapes: two layers of 1,200 ReLU units to 10 latents, Bernoulli pixels, Adagrad with
    # 1e-2, β = 4. Batches and length are ours.
    # Road not taken: their decoder has three layers of 1,200 tanh units; here it mirrors the
    # encoder.
    model=ModelOptions(latent_dim=10, hidden=(1200, 1200)),
    training=TrainingOptions(
        iterations=100_000,
        batch_size=100,
        optimizer="adagrad",
        learning_rate=1e-2,
        objective=Choice.named("elbo", beta=4.0),
    ),
    meant_for="shapes",
)
