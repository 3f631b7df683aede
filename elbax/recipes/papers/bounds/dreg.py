"""The importance-weighted bound with a quieter gradient."""

from __future__ import annotations

from elbax.recipes.choice import Choice
from elbax.recipes.options import DataOptions, ModelOptions, TrainingOptions
from elbax.recipes.recipe import Recipe

RECIPE = Recipe(
    name="dreg",
    summary=(
        "the importance-weighted bound, doubly reparameterised: two tanh layers of 200, 50 "
        "latents, k = 64"
    ),
    source=(
        "Tucker, Lawson, Gu and Maddison (2019), Doubly Reparameterized Gradient Estimators for "
        "Monte Carlo Objectives, arXiv:1810.04152, its experiments with MNIST"
    ),
    # By their code (dreg_estimators in google-research): the network and the data of Burda et al.
    # 2015, one stochastic layer of 50 units between two layers of 200 tanh units, and binary images
    # drawn anew; k = 64, at which the encoder's plain gradient does poorly; Adam at a constant
    # 3e-4.
    # Roads not taken: its length, up to 5,000,000 steps, and batches of 32 (24 here); a bias of the
    # decoder's that starts at the mean image.
    model=ModelOptions(latent_dim=50, hidden=(200, 200), activation="tanh"),
    training=TrainingOptions(
        iterations=100_000,
        batch_size=24,
        learning_rate=3e-4,
        objective=Choice.named("doubly-reparameterised", samples=64),
    ),
    data=DataOptions(binarize="dynamic"),
)
