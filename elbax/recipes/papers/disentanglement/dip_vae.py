"""A penalty on the covariance of the aggregate posterior."""

from __future__ import annotations

from elbax.recipes.choice import Choice
from elbax.recipes.options import ModelOptions, TrainingOptions
from elbax.recipes.recipe import Recipe

RECIPE = Recipe(
    name="dip-vae",
    summary=("latents decorrelated over the batch: four convolutions, 10 latents, Adam 1e-4"),
    source=(
        "Kumar, Sattigeri and Balakrishnan (2018), Variational Inference of Disentangled Latent "
        "Concepts from Unlabeled Observations, arXiv:1711.00848, its DIP-VAE-I"
    ),
    # Convolutions, batches of 64 and Adam 1e-4 over 300,000 steps are those of Locatello et al.
    # 2019 (disentanglement_lib) for dSprites, who try λ from 1 to 50 and weigh the variances ten
    # times the covariances in type I, as much in type II (`--objective.type ii --objective.diagonal
    # 10`).
    # Roads not taken: the paper's own perceptrons of 1,200 units and Adagrad.
    model=ModelOptions(
        latent_dim=10, network=Choice.named("conv", channels=(32, 32, 64, 64), dense=(256,))
    ),
    training=TrainingOptions(
        iterations=300_000,
        batch_size=64,
        learning_rate=1e-4,
        objective=Choice.named("dip", type="i", off_diagonal=10.0, diagonal=100.0),
    ),
    meant_for="shapes",
)
