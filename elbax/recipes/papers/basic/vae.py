"""The network of the paper summary that elbax started from."""

from __future__ import annotations

from elbax.recipes.options import ModelOptions, TrainingOptions
from elbax.recipes.recipe import Recipe

RECIPE = Recipe(
    name="vae",
    summary="three ReLU layers (512, 384, 256) each way, 10 latents, Adam 1e-3: the default",
    source=(
        "Kingma and Welling (2013), Auto-Encoding Variational Bayes, arXiv:1312.6114, "
        "in the network of its summary"
    ),
    # The summary's code and its results: slim.fully_connected 512, 384, 256 with ReLU, 10 latents;
    # 10,000 iterations, batch 100, learning rate 1e-3.
    model=ModelOptions(latent_dim=10, hidden=(512, 384, 256), activation="relu"),
    training=TrainingOptions(
        iterations=10_000, batch_size=100, optimizer="adam", learning_rate=1e-3
    ),
)
