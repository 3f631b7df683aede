"""Total correlation, as a discriminator sees it."""

from __future__ import annotations

from elbax.recipes.choice import Choice
from elbax.recipes.options import ModelOptions, TrainingOptions
from elbax.recipes.recipe import Recipe

RECIPE = Recipe(
    name="factor-vae",
    summary=(
        "total correlation by a discriminator, at 35 times its weight: four convolutions, 10 "
        "latents, Adam 1e-4"
    ),
    source=(
        "Kim and Mnih (2018), Disentangling by Factorising, arXiv:1802.05983, section 5 and "
        "appendix A"
    ),
    # For 2D shapes: convolutions of 32, 32, 64 and 64 channels, a dense layer of 128, 10 latents;
    # batches of 64, Adam 1e-4, 300,000 steps, γ = 35; the discriminator has six layers of 1,000
    # leaky ReLU units.
    # Road not taken: an optimiser of its own for the discriminator, Adam (0.5, 0.9); one moves both
    # here.
    model=ModelOptions(
        latent_dim=10, network=Choice.named("conv", channels=(32, 32, 64, 64), dense=(128,))
    ),
    training=TrainingOptions(
        iterations=300_000,
        batch_size=64,
        learning_rate=1e-4,
        objective=Choice.named("factor", gamma=35.0),
    ),
    meant_for="shapes",
)
