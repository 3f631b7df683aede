"""Importance weighted autoencoders with one stochastic layer: the bound of k draws a datum."""

from __future__ import annotations

from elbax.recipes.choice import Choice
from elbax.recipes.options import DataOptions, ModelOptions, TrainingOptions
from elbax.recipes.recipe import Recipe

RECIPE = Recipe(
    name="iwae",
    summary="the importance-weighted bound: two tanh layers of 200 each way, 50 latents, Adam",
    source=(
        "Burda, Grosse and Salakhutdinov (2015), Importance Weighted Autoencoders, "
        "arXiv:1509.00519, its experiments and table 1"
    ),
    # One stochastic layer of 50 units between two deterministic layers of 200 tanh units each way;
    # Adam (0.9, 0.999, 1e-4), minibatches of 20, a learning rate of 0.001 · 10^(−i/7) for 3^i
    # passes over the data, i = 0 … 7; binary images drawn anew each time. Its k: 1, 5 and 50.
    # Roads not taken: the paper's length, 3,280 passes (`--epochs 3280`: hours), so the stages are
    # scaled to whatever length is asked for; a first decay of 0.99, which their code has for 0.9.
    model=ModelOptions(latent_dim=50, hidden=(200, 200), activation="tanh"),
    training=TrainingOptions(
        iterations=100_000,
        batch_size=20,
        optimizer="adam",
        adam_epsilon=1e-4,
        learning_rate=1e-3,
        learning_rate_schedule="staged",
        objective=Choice.named("importance-weighted", samples=5),
    ),
    data=DataOptions(binarize="dynamic"),
)
