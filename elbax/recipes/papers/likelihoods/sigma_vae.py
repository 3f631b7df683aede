"""A normal likelihood that learns its own scale, so that no β need be chosen."""

from __future__ import annotations

from elbax.recipes.choice import Choice
from elbax.recipes.options import ModelOptions, TrainingOptions
from elbax.recipes.recipe import Recipe

RECIPE = Recipe(
    name="sigma-vae",
    summary="normal pixels of one learned scale: convolutions, 10 latents, Adam 1e-3",
    source=(
        "Rybkin, Daniilidis and Levine (2021), Simple and Effective VAE Training with Calibrated "
        "Decoders, arXiv:2006.13202, its shared σ-VAE"
    ),
    # One σ for all elements, learned with everything else, balances reconstruction and KL by
    # itself.
    # Road not taken: the σ that is best for each batch in closed form (their optimal σ-VAE); its
    # bound is of no one model. The sizes are ours.
    model=ModelOptions(
        latent_dim=10,
        network=Choice.named("conv", channels=(32, 64), dense=(256,)),
        likelihood=Choice.named("normal", scale="shared"),
    ),
    training=TrainingOptions(iterations=20_000, batch_size=100, learning_rate=1e-3),
)
