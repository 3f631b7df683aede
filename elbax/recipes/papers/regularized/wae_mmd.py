"""A deterministic autoencoder whose latents together look like the prior."""

from __future__ import annotations

from elbax.recipes.choice import Choice
from elbax.recipes.options import ModelOptions, TrainingOptions
from elbax.recipes.recipe import Recipe

RECIPE = Recipe(
    name="wae-mmd",
    summary=(
        "no noise, no bound: squared error and a discrepancy of q(z) from the prior, 8 "
        "latents, Adam 1e-3"
    ),
    source=(
        "Tolstikhin, Bousquet, Gelly and Schölkopf (2018), Wasserstein Auto-Encoders, "
        "arXiv:1711.01558, its WAE-MMD"
    ),
    # The authors' code for MNIST (tolstikhin/wae): 8 latents, batches of 100, Adam 1e-3, a standard
    # normal prior, an inverse multiquadratic kernel, and λ = 10 beside a cost of 0.05 ‖x − x̂‖²:
    # 100 beside ½‖x − x̂‖², which is what a normal likelihood of scale 1 gives.
    # Roads not taken: an encoder of four convolutions of 128 to 1,024 channels with batch
    # normalisation (two of 32 and 64 here, and none), first trained to the prior's moments; Adam's
    # first decay of 0.5; the rate, halved after 30 passes and cut to a tenth after 50.
    model=ModelOptions(
        latent_dim=8,
        network=Choice.named("conv", channels=(32, 64), dense=(256,)),
        posterior=Choice("deterministic"),
        likelihood=Choice.named("normal", scale=1.0),
    ),
    training=TrainingOptions(
        iterations=50_000,
        batch_size=100,
        learning_rate=1e-3,
        objective=Choice.named("wae-mmd", scale=100.0),
    ),
)
