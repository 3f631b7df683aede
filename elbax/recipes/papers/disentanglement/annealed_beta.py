"""A rate that is prescribed, and grows while the model learns."""

from __future__ import annotations

from elbax.recipes.choice import Choice
from elbax.recipes.options import ModelOptions, TrainingOptions
from elbax.recipes.recipe import Recipe

RECIPE = Recipe(
    name="annealed-beta",
    summary="a KL held to a rate that grows to 25 nats: four convolutions, 10 latents, Adam 5e-4",
    source=(
        "Burgess, Higgins, Pal, Matthey, Watters, Desjardins and Lerchner (2018), Understanding "
        "disentangling in beta-VAE, arXiv:1804.03599, its objective of a growing capacity"
    ),
    # For dSprites: γ = 1,000, and C from 0 to 25 nats over 100,000 steps; Adam 5e-4; four 4 × 4
    # convolutions of 32 channels and stride 2, two dense layers of 256, 10 latents, and back.
    # Batches of 64 are those of the usual reimplementations; theirs we do not know.
    # C rises over the whole of the default length: with fewer --iterations give --objective.warm-up
    # fewer too.
    model=ModelOptions(
        latent_dim=10,
        network=Choice.named("conv", channels=(32, 32, 32, 32), dense=(256, 256)),
    ),
    training=TrainingOptions(
        iterations=100_000,
        batch_size=64,
        learning_rate=5e-4,
        objective=Choice.named("target-rate", rate=25.0, gamma=1000.0, warm_up=100_000),
    ),
    meant_for="shapes",
)
