"""The thermodynamic variational objective."""

from __future__ import annotations

from elbax.recipes.choice import Choice
from elbax.recipes.options import DataOptions, ModelOptions, TrainingOptions
from elbax.recipes.recipe import Recipe

RECIPE = Recipe(
    name="tvo",
    summary=(
        "the thermodynamic bound in five parts, by covariances: two tanh layers of 200, 50 "
        "latents, 10 draws"
    ),
    source=(
        "Masrani, Le and Wood (2019), The Thermodynamic Variational Objective, arXiv:1907.00031, "
        "its experiments with continuous latents"
    ),
    # By their code (vmasrani/tvo): two layers of 200 tanh units, 50 latents, k = 10 draws, K = 5
    # parts from β = 0.02 on, evenly in log β, Adam 1e-3.
    # Roads not taken: batches of 1,000 (100 here); 1,000 to 5,000 passes; a bias of the decoder's
    # that starts at the mean image.
    model=ModelOptions(latent_dim=50, hidden=(200, 200), activation="tanh"),
    training=TrainingOptions(
        iterations=100_000,
        batch_size=100,
        learning_rate=1e-3,
        objective=Choice.named("tvo", samples=10, partitions=5, first=0.02),
    ),
    data=DataOptions(binarize="dynamic"),
)
