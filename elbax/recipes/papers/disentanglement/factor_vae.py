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
    source="Kim and Mnih (2018), Disentangling by Factorising, arXiv:1802.05983, appendix A",
    # For 2D shapes: 4 × 4 convolutions of 32, 32, 64 and 64 channels, a dense layer of 128, 10
    # latents; the discriminator has six layers of 1,000 leaky ReLU units. Batches of 64, Adam 1e-4
    # and γ = 35 as in 1Konny/FactorVAE, a reimplementation; the length is ours.
    # Roads not taken: an optimiser of its own for the discriminator, Adam (0.5, 0.9), as one moves
    # both here; a second batch for the permuted draws.
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
