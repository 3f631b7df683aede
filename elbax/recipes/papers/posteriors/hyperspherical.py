"""Latents on a sphere, with a uniform prior."""

from __future__ import annotations

from elbax.recipes.choice import Choice
from elbax.recipes.options import DataOptions, ModelOptions, TrainingOptions
from elbax.recipes.recipe import Recipe

RECIPE = Recipe(
    name="hyperspherical",
    summary="latents on the sphere of 10 dimensions: ReLU layers of 256 and 128, Adam 1e-3",
    source=(
        "Davidson, Falorsi, De Cao, Kipf and Tomczak (2018), Hyperspherical Variational "
        "Auto-Encoders, arXiv:1804.00891 (with the power spherical of De Cao and Aziz, "
        "arXiv:2006.04437)"
    ),
    # The authors' example for MNIST (nicola-decao/s-vae-pytorch): an encoder of 256 and 128 ReLU
    # units, the decoder in reverse, Adam 1e-3, batches of 64, binary images drawn anew. The 10
    # dimensions of the sphere (11 of the space around it) and the length are ours.
    # Road not taken: the von Mises–Fisher distribution, whose normaliser JAX lacks; the power
    # spherical one has the same shape and a smooth sampler.
    model=ModelOptions(
        latent_dim=11,
        hidden=(256, 128),
        prior=Choice("hypersphere"),
        posterior=Choice("power-spherical"),
    ),
    training=TrainingOptions(iterations=20_000, batch_size=64, learning_rate=1e-3),
    data=DataOptions(binarize="dynamic"),
)
