"""A prior seen through learned invertible maps."""

from __future__ import annotations

from elbax.recipes.choice import Choice
from elbax.recipes.options import DataOptions, ModelOptions, TrainingOptions
from elbax.recipes.recipe import Recipe

RECIPE = Recipe(
    name="flow-prior",
    summary="an autoregressive flow for a prior: two gated layers of 300, 32 latents, Adam 1e-3",
    source=(
        "Chen, Kingma, Salimans, Duan, Dhariwal, Schulman, Sutskever and Abbeel (2017), "
        "Variational Lossy Autoencoder, arXiv:1611.02731, section 3.2"
    ),
    # Section 3.2: an autoregressive flow for the prior is an inverse-autoregressive one for the
    # posterior, at no more cost, and the decoder is the deeper for it. The KL is warmed up, so that
    # the latent is not given up at the start (they have free bits for that).
    # Road not taken: their autoregressive decoder; whatever it can say for itself it does not leave
    # to the latent. The sizes are ours.
    model=ModelOptions(
        latent_dim=32,
        hidden=(300, 300),
        network=Choice("gated-mlp"),
        prior=Choice.named("flow", layers=4, width=128),
    ),
    training=TrainingOptions(
        iterations=20_000,
        batch_size=100,
        learning_rate=1e-3,
        objective=Choice.named("elbo", warm_up=2_000),
    ),
    data=DataOptions(binarize="dynamic"),
)
