"""Images compared by their structure at several scales."""

from __future__ import annotations

from elbax.recipes.choice import Choice
from elbax.recipes.options import ModelOptions, TrainingOptions
from elbax.recipes.recipe import Recipe

RECIPE = Recipe(
    name="ms-ssim",
    summary=(
        "images compared by multi-scale structural similarity: convolutions, 20 latents, Adam 1e-3"
    ),
    source=(
        "Snell, Ridgeway, Liao, Roads, Mozer and Zemel (2017), Learning to Generate Images with "
        "Perceptual Similarity Metrics, arXiv:1511.06409"
    ),
    # Their error, one minus the similarity of Wang et al. 2003, in the place of squared error.
    # Images of 28 pixels have three scales under a window of 7 in place of five under 11. λ = 300
    # nats for no similarity at all is ours.
    # Roads not taken: their data (CIFAR and faces), networks and five scales.
    model=ModelOptions(
        latent_dim=20, network=Choice.named("conv", channels=(32, 64), dense=(256,))
    ),
    training=TrainingOptions(
        iterations=20_000,
        batch_size=100,
        learning_rate=1e-3,
        objective=Choice.named("ms-ssim", scale=300.0, window=7),
    ),
)
