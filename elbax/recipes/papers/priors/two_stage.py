"""First where the data lie, then how they are spread there."""

from __future__ import annotations

from elbax.recipes.choice import Choice
from elbax.recipes.options import ModelOptions, TrainingOptions
from elbax.recipes.recipe import Recipe

RECIPE = Recipe(
    name="two-stage",
    summary=(
        "normal pixels of one learned scale; then a flow fitted to the latents for the prior: "
        "64 latents, Adam 1e-4"
    ),
    source=(
        "Dai and Wipf (2019), Diagnosing and Enhancing VAE Models, arXiv:1903.05789, its two stages"
    ),
    # A first model with a learned σ finds the manifold that the data lie on, with more latents than
    # that has dimensions; a second one learns the density of its latents. By the authors' code
    # (daib13/TwoStageVAE): 64 latents, batches of 64, Adam 1e-4. The network and the length are
    # ours.
    # Roads not taken: a second variational autoencoder (three layers of 1,024 units, as many
    # latents): a flow fitted to draws of q(z|x) has the same task and an exact density; the rate,
    # which they halve every 150 passes.
    model=ModelOptions(
        latent_dim=64,
        network=Choice.named("conv", channels=(32, 64), dense=(256,)),
        likelihood=Choice.named("normal", scale="shared"),
    ),
    training=TrainingOptions(
        iterations=50_000, batch_size=64, learning_rate=1e-4, fit_prior="flow"
    ),
)
