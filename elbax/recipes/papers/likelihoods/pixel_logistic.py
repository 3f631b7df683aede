"""Grey levels by a discretised logistic distribution."""

from __future__ import annotations

from elbax.recipes.choice import Choice
from elbax.recipes.options import ModelOptions, TrainingOptions
from elbax.recipes.recipe import Recipe

RECIPE = Recipe(
    name="pixel-logistic",
    summary=(
        "probabilities of grey levels by a discretised logistic: convolutions, 32 latents, "
        "Adam 1e-3"
    ),
    source=(
        "Kingma, Salimans, Jozefowicz, Chen, Sutskever and Welling (2016), Improving Variational "
        "Inference with Inverse Autoregressive Flow, arXiv:1606.04934, appendix C.5"
    ),
    # Appendix C.5: each level's probability is what a logistic distribution puts on its interval,
    # so that log P is in bits of the image itself. One scale for all pixels, as theirs (of each
    # channel).
    # Road not taken: a mixture of them (Salimans et al. 2017, arXiv:1701.05517): --likelihood
    # discretized-logistic-mixture. The sizes are ours.
    model=ModelOptions(
        latent_dim=32,
        network=Choice.named("conv", channels=(32, 64), dense=(256,)),
        likelihood=Choice("discretized-logistic"),
    ),
    training=TrainingOptions(iterations=20_000, batch_size=100, learning_rate=1e-3),
)
