"""Grey pixels by a density on [0, 1] that is normalised."""

from __future__ import annotations

from elbax.recipes.choice import Choice
from elbax.recipes.options import ModelOptions, TrainingOptions
from elbax.recipes.recipe import Recipe

RECIPE = Recipe(
    name="continuous-bernoulli",
    summary="continuous Bernoulli pixels: two ReLU layers of 500, 20 latents, Adam 1e-3",
    source=(
        "Loaiza-Ganem and Cunningham (2019), The continuous Bernoulli: fixing a pervasive error "
        "in variational autoencoders, arXiv:1907.06845, its experiments with MNIST"
    ),
    # The authors' notebook for MNIST (cunningham-lab/cb_and_cc): two layers of 500 ReLU units each
    # way, 20 latents, Adam 1e-3. The length is ours.
    # Roads not taken: their batches of 50; dropout of a tenth of the units; uniform noise that
    # fills the gaps between grey levels; gradients clipped at ±1.
    model=ModelOptions(latent_dim=20, hidden=(500, 500), likelihood=Choice("continuous-bernoulli")),
    training=TrainingOptions(iterations=50_000, batch_size=100, learning_rate=1e-3),
)
