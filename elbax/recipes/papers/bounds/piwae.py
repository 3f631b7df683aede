"""One importance-weighted bound for the decoder, several of fewer draws for the encoder."""

from __future__ import annotations

from elbax.recipes.choice import Choice
from elbax.recipes.options import DataOptions, ModelOptions, TrainingOptions
from elbax.recipes.recipe import Recipe

RECIPE = Recipe(
    name="piwae",
    summary=(
        "the bound of 64 draws for the decoder, eight of 8 draws for the encoder: two tanh layers "
        "of 200, 50 latents"
    ),
    source=(
        "Rainforth, Kosiorek, Le, Maddison, Igl, Wood and Teh (2018), Tighter Variational Bounds "
        "are Not Necessarily Better, arXiv:1802.04537, its experiments with MNIST"
    ),
    # The network, the schedule and the batches are Burda et al. 2015's, as in the recipe `iwae`:
    # theirs are that network and 64 draws a datum, for the encoder as 8 bounds of 8 (§6).
    # Roads not taken: the paper's length, 3,280 passes; the stages of the schedule are scaled to
    # the length asked for.
    model=ModelOptions(latent_dim=50, hidden=(200, 200), activation="tanh"),
    training=TrainingOptions(
        iterations=100_000,
        batch_size=20,
        adam_epsilon=1e-4,
        learning_rate=1e-3,
        learning_rate_schedule="staged",
        objective=Choice.named("piwae", samples=8, repeats=8),
    ),
    data=DataOptions(binarize="dynamic"),
)
