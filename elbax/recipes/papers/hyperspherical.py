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
        "Auto-Encoders, arXiv:1804.00891, section 5 (with the power spherical of De Cao and Aziz, "
        "arXiv:2006.04437)"
    ),
    # Its experiments: an encoder of 256 and 128 ReLU units, the decoder in reverse, spheres of 2 to
    # 40 dimensions, Adam 1e-3, batches of 64, dynamically binary images.
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
