"""A posterior folded along many directions at once."""

from __future__ import annotations

from elbax.recipes.choice import Choice
from elbax.recipes.options import DataOptions, ModelOptions, TrainingOptions
from elbax.recipes.recipe import Recipe

RECIPE = Recipe(
    name="sylvester",
    summary=(
        "four Sylvester maps for a posterior: two gated layers of 300, 64 latents, Adam 5e-4, "
        "warm-up"
    ),
    source=(
        "van den Berg, Hasenclever, Tomczak and Welling (2018), Sylvester Normalizing Flows for "
        "Variational Inference, arXiv:1803.05649, its Householder Sylvester flows"
    ),
    # By the authors' code (riannevdberg/sylvester-flows): 64 latents, batches of 100, a rate of
    # 5e-4, 4 maps, 8 Householder reflections, the KL warmed up over 100 passes (a fifth of the
    # default length here), stopped after 100 passes without a better validation.
    # Roads not taken: Adamax; their gated convolutions (gated perceptrons of Tomczak & Welling
    # here); MNIST binarised once for all (drawn anew here).
    model=ModelOptions(
        latent_dim=64,
        hidden=(300, 300),
        network=Choice("gated-mlp"),
        posterior=Choice.named("sylvester", layers=4, reflections=8),
    ),
    training=TrainingOptions(
        iterations=50_000,
        batch_size=100,
        learning_rate=5e-4,
        gradient_clip=100.0,
        objective=Choice.named("elbo", warm_up=10_000),
    ),
    data=DataOptions(binarize="dynamic"),
)
