"""Residual convolutions each way."""

from __future__ import annotations

from elbax.recipes.choice import Choice
from elbax.recipes.options import ModelOptions, TrainingOptions
from elbax.recipes.recipe import Recipe

RECIPE = Recipe(
    name="resnet",
    summary=(
        "two convolutions with a residual block each, 32 and 64 channels, 10 latents, Adam 1e-3"
    ),
    source=(
        "He, Zhang, Ren and Sun (2016), Deep Residual Learning for Image Recognition, "
        "arXiv:1512.03385 (in autoencoders: Kingma et al. 2016, arXiv:1606.04934, section 6)"
    ),
    # One residual block after each convolution that halves the image; activation first, as in their
    # later paper (arXiv:1603.05027). ELU units are what Kingma et al. settle on (appendix C.7).
    # Road not taken: batch normalisation, under which a datum's bound would depend on its batch.
    # The sizes are ours.
    model=ModelOptions(
        latent_dim=10,
        network=Choice.named("resnet", channels=(32, 64), dense=(256,), blocks=1),
        activation="elu",
    ),
    training=TrainingOptions(iterations=10_000, batch_size=100, learning_rate=1e-3),
)
