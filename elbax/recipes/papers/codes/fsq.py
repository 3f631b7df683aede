"""A grid of codes without a codebook: a few numbers, each rounded to one of a few levels."""

from __future__ import annotations

from elbax.recipes.choice import Choice
from elbax.recipes.options import ModelOptions, TrainingOptions
from elbax.recipes.recipe import Recipe

RECIPE = Recipe(
    name="fsq",
    summary="7 × 7 places of 4 numbers at 8, 5, 5 and 5 levels (1,000 codes), by convolutions",
    source=(
        "Mentzer, Minnen, Agustsson and Tschannen (2023), Finite Scalar Quantization: VQ-VAE Made "
        "Simple, arXiv:2309.15505"
    ),
    # Levels of 8, 5, 5, 5 are table 4's for 2^10 codes. Networks, batch and rate are those of the
    # recipe vq-vae: the paper is about other data (ImageNet, by the networks of MaskGIT).
    # Roads not taken: none of the codebook's, which is the point.
    model=ModelOptions(
        latent_dim=7 * 7 * 4,
        network=Choice.named("conv-grid", channels=(32, 64), blocks=2),
        posterior=Choice.named("fsq", levels=(8, 5, 5, 5)),
        prior=Choice("codes"),
    ),
    training=TrainingOptions(
        iterations=15_000, batch_size=32, learning_rate=3e-4, objective=Choice("vq")
    ),
)
