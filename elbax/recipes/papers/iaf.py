"""A posterior of inverse-autoregressive maps."""

from __future__ import annotations

from elbax.recipes.choice import Choice
from elbax.recipes.options import DataOptions, ModelOptions, TrainingOptions
from elbax.recipes.recipe import Recipe

RECIPE = Recipe(
    name="iaf",
    summary=(
        "four inverse-autoregressive maps for a posterior: two gated layers of 300, 32 "
        "latents, warm-up"
    ),
    source=(
        "Kingma, Salimans, Jozefowicz, Chen, Sutskever and Welling (2016), Improving Variational "
        "Inference with Inverse Autoregressive Flow, arXiv:1606.04934, section 6.1"
    ),
    # Section 6.1: 32 latents of a single stochastic layer, 2 to 8 maps with hidden layers of up to
    # 1,920 units, Adamax 2e-3, free bits.
    # Roads not taken: their residual convolutions (`--network resnet`; `resnet` is a recipe) and
    # Adamax; free bits (λ of each latent) need a posterior that factorises, so the KL is warmed up.
    model=ModelOptions(
        latent_dim=32,
        hidden=(300, 300),
        network=Choice("gated-mlp"),
        posterior=Choice.named("iaf", layers=4, width=320),
    ),
    training=TrainingOptions(
        iterations=20_000,
        batch_size=100,
        learning_rate=1e-3,
        objective=Choice.named("elbo", warm_up=2_000),
    ),
    data=DataOptions(binarize="dynamic"),
)
