"""A posterior folded along planes, one after the other."""

from __future__ import annotations

from elbax.recipes.choice import Choice
from elbax.recipes.options import DataOptions, ModelOptions, TrainingOptions
from elbax.recipes.recipe import Recipe

RECIPE = Recipe(
    name="planar-flow",
    summary=(
        "ten planar maps for a posterior: two ReLU layers of 400, 40 latents, RMSprop, warm-up"
    ),
    source=(
        "Rezende and Mohamed (2015), Variational Inference with Normalizing Flows, "
        "arXiv:1505.05770, its experiments with MNIST"
    ),
    # As its experiments with MNIST: 40 latents, 400 hidden units, a flow of length 10, a weight
    # that rises over the first 10,000 steps. The second hidden layer, the optimiser, its rate, the
    # clipping and the length are ours.
    # Road not taken: their weight is on log p(x, z); here it is on the KL.
    model=ModelOptions(
        latent_dim=40, hidden=(400, 400), posterior=Choice.named("planar", layers=10)
    ),
    training=TrainingOptions(
        iterations=50_000,
        batch_size=100,
        optimizer="rmsprop",
        learning_rate=3e-4,
        gradient_clip=100.0,
        objective=Choice.named("elbo", warm_up=10_000),
    ),
    data=DataOptions(binarize="dynamic"),
)
