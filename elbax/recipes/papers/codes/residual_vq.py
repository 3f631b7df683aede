"""A few codes for each place of a grid: each of what those before leave."""

from __future__ import annotations

from elbax.recipes.choice import Choice
from elbax.recipes.options import ModelOptions, TrainingOptions
from elbax.recipes.recipe import Recipe

RECIPE = Recipe(
    name="residual-vq",
    summary="7 × 7 places of 4 codes each, one out of 64, each of what those before leave",
    source=(
        "Zeghidour, Luebs, Omran, Skoglund and Tagliasacchi (2021), SoundStream: An End-to-End "
        "Neural Audio Codec, arXiv:2107.03312, section III.C"
    ),
    # Algorithm 1, moving averages of 0.99 and codes that start anew are theirs; their data are
    # sound. Networks, batch and rate are those of the recipe vq-vae; 4 codes of 6 bits a place
    # are ours (theirs: 8 of 10 bits).
    # Roads not taken: k-means of the first batch; as many codebooks as a draw says in training, so
    # that a model serves several rates; their discriminators.
    model=ModelOptions(
        latent_dim=7 * 7 * 4 * 32,
        network=Choice.named("conv-grid", channels=(32, 64), blocks=2),
        posterior=Choice.named("residual-vq", count=64, width=32, depth=4),
        prior=Choice("codes"),
    ),
    training=TrainingOptions(
        iterations=15_000, batch_size=32, learning_rate=3e-4, objective=Choice("vq")
    ),
)
