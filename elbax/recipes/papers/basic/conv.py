"""Convolutions each way, in place of perceptrons."""

from __future__ import annotations

from elbax.recipes.choice import Choice
from elbax.recipes.options import ModelOptions, TrainingOptions
from elbax.recipes.recipe import Recipe

RECIPE = Recipe(
    name="conv",
    summary=(
        "two 4 × 4 convolutions of 32 and 64 channels and a dense layer of 256 each way, 10 latents"
    ),
    source=(
        "Radford, Metz and Chintala (2016), Unsupervised Representation Learning with Deep "
        "Convolutional Generative Adversarial Networks, arXiv:1511.06434 (the networks)"
    ),
    # Strides in the place of pooling, transposed convolutions back. The sizes are ours.
    # Roads not taken: batch normalisation, under which a datum's bound would depend on its batch;
    # leaky units.
    model=ModelOptions(
        latent_dim=10, network=Choice.named("conv", channels=(32, 64), dense=(256,))
    ),
    training=TrainingOptions(iterations=10_000, batch_size=100, learning_rate=1e-3),
)
