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
    # Section 6.1: a single stochastic layer of 32 latents; its table 1 has 2 maps of 320 hidden
    # units and 2, 4 and 8 of 1,920. Four of 320 are between these, and the default of van den Berg
    # et al.'s code.
    # Roads not taken: their residual convolutions with ELU units (`--network resnet`; `resnet` is a
    # recipe); their code's Adamax 2e-3; free bits (appendix C.8), which elbax has for posteriors
    # that factorise, so the KL is warmed up. Other sizes are ours.
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
