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
        "arXiv:1505.05770, section 6.2"
    ),
    # Its experiments: 400 hidden units, 40 latents, flows of length 10 (to 80), batches of 100,
    # RMSprop, the joint's weight warmed up over 10,000 steps, 500,000 steps in all.
    # Roads not taken: maxout units (ReLU here) and their rate of 1e-5 with a momentum of 0.9, which
    # would take their length; the KL is warmed up, rather than the joint.
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
