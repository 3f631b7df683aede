"""A deterministic autoencoder with a penalty on the decoder, and a density fitted afterwards."""

from __future__ import annotations

from elbax.recipes.choice import Choice
from elbax.recipes.options import ModelOptions, TrainingOptions
from elbax.recipes.recipe import Recipe

RECIPE = Recipe(
    name="rae-l2",
    summary=(
        "no noise, no bound: squared error and penalties; then a mixture of 10 normals for "
        "the prior, 16 latents"
    ),
    source=(
        "Ghosh, Sajjadi, Vergari, Black and Schölkopf (2020), From Variational to Deterministic "
        "Autoencoders, arXiv:1903.12436, its RAE-L2"
    ),
    # The authors' code for MNIST: 16 latents, batches of 100, weights of 1e-4 (latents) and 1e-7
    # (decoder) of means over elements: those of the objective's defaults. Then a mixture of ten
    # normals of any covariances is fitted to the latents. Adam's 1e-3 is ours.
    # Roads not taken: that code's rate, 5e-4, halved when validation stalls; its convolutions of
    # 128 to 1,024 channels with batch normalisation (fewer here, and none); its penalty on the
    # kernels of the decoder's convolutions alone (on all of the decoder here).
    model=ModelOptions(
        latent_dim=16,
        network=Choice.named("conv", channels=(32, 64), dense=(256,)),
        posterior=Choice("deterministic"),
        likelihood=Choice.named("normal", scale=1.0),
    ),
    training=TrainingOptions(
        iterations=50_000,
        batch_size=100,
        learning_rate=1e-3,
        objective=Choice("rae-l2"),
        fit_prior="gaussian-mixture",
    ),
)
