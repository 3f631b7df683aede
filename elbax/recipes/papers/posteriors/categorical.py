"""Categorical latents, by a relaxation of their gradients."""

from __future__ import annotations

from elbax.recipes.choice import Choice
from elbax.recipes.options import DataOptions, ModelOptions, TrainingOptions
from elbax.recipes.recipe import Recipe

RECIPE = Recipe(
    name="categorical",
    summary="20 variables of 10 categories: ReLU layers of 512 and 256, Gumbel-softmax, Adam 1e-3",
    source=(
        "Jang, Gu and Poole (2017), Categorical Reparameterization with Gumbel-Softmax, "
        "arXiv:1611.01144, section 4.2"
    ),
    # Section 4.2: 20 variables of 10 categories, and straight-through draws as one of its two
    # estimators. Layers of 512 and 256 ReLU units, batches of 100 and Adam are those of the
    # notebooks in the first author's repository (ericjang/gumbel-softmax), which take relaxed
    # draws.
    # Roads not taken: a temperature that falls from 1 to 0.5 during training (it stays at 2/3,
    # Maddison et al.'s); a learned prior; gradient descent with momentum; images binarised once for
    # all (here they are drawn anew).
    model=ModelOptions(
        latent_dim=200,
        hidden=(512, 256),
        prior=Choice.named("categorical", categories=10),
        posterior=Choice.named("categorical", categories=10),
    ),
    training=TrainingOptions(iterations=20_000, batch_size=100, learning_rate=1e-3),
    data=DataOptions(binarize="dynamic"),
)
