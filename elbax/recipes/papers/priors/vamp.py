"""A prior made of the encoder's own posteriors."""

from __future__ import annotations

from elbax.recipes.choice import Choice
from elbax.recipes.options import DataOptions, ModelOptions, TrainingOptions
from elbax.recipes.recipe import Recipe

RECIPE = Recipe(
    name="vamp",
    summary=(
        "500 pseudo-inputs for a prior: two gated layers of 300, 40 latents, Adam 5e-4, warm-up"
    ),
    source="Tomczak and Welling (2018), VAE with a VampPrior, arXiv:1705.07120, its experiments",
    # By the authors' code (jmtomczak/vae_vampprior): two gated layers of 300 units each way, 40
    # latents, 500 pseudo-inputs, batches of 100, Adam 5e-4, the KL warmed up over 100 passes
    # (50,000 steps; a fifth of the default length here), static or dynamic binary images; stopped
    # after 50 passes without a better validation.
    # Road not taken: gradients normalised array by array, which that code has.
    model=ModelOptions(
        latent_dim=40,
        hidden=(300, 300),
        network=Choice("gated-mlp"),
        prior=Choice.named("vamp", components=500),
    ),
    training=TrainingOptions(
        iterations=50_000,
        batch_size=100,
        learning_rate=5e-4,
        objective=Choice.named("elbo", warm_up=10_000),
    ),
    data=DataOptions(binarize="dynamic"),
)
