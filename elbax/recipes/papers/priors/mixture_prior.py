"""A mixture of normals for a prior, all of it learned."""

from __future__ import annotations

from elbax.recipes.choice import Choice
from elbax.recipes.options import DataOptions, ModelOptions, TrainingOptions
from elbax.recipes.recipe import Recipe

RECIPE = Recipe(
    name="mixture-prior",
    summary=(
        "a mixture of 500 normals for a prior: two gated layers of 300, 40 latents, Adam "
        "5e-4, warm-up"
    ),
    source=(
        "Tomczak and Welling (2018), VAE with a VampPrior, arXiv:1705.07120 (its mixture of "
        "Gaussians)"
    ),
    # A mixture of normals is one of the priors that the VampPrior is compared with; the settings
    # are those of the recipe `vamp`, with as many components as it has pseudo-inputs.
    model=ModelOptions(
        latent_dim=40,
        hidden=(300, 300),
        network=Choice("gated-mlp"),
        prior=Choice.named("mixture", components=500),
    ),
    training=TrainingOptions(
        iterations=50_000,
        batch_size=100,
        learning_rate=5e-4,
        objective=Choice.named("elbo", warm_up=10_000),
    ),
    data=DataOptions(binarize="dynamic"),
)
