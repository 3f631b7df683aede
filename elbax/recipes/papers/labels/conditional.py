"""Everything under a label: data of a kind that one asks for."""

from __future__ import annotations

from elbax.recipes.choice import Choice
from elbax.recipes.options import ModelOptions, TrainingOptions
from elbax.recipes.recipe import Recipe

RECIPE = Recipe(
    name="conditional",
    summary=(
        "encoder, decoder and prior are conditioned on the label: ReLU layers of 512 and 256, 10 "
        "latents, Adam 1e-3"
    ),
    source=(
        "Sohn, Lee and Yan (2015), Learning Structured Output Representation using Deep "
        "Conditional Generative Models, NIPS, papers.nips.cc/paper/5775"
    ),
    # A prior p(z|y), an encoder q(z|x, y) and a decoder p(x|z, y), all networks of the condition,
    # and a bound on log p(x|y). Here y is a label as a one-hot vector and x an image; theirs has it
    # the other way round (an image for a condition, a segmentation for the datum). The sizes are
    # ours.
    model=ModelOptions(
        latent_dim=10, hidden=(512, 256), prior=Choice("conditional"), condition="label"
    ),
    training=TrainingOptions(iterations=10_000, batch_size=100, learning_rate=1e-3),
)
