"""The original paper's experiment: one hidden layer of tanh units, Adagrad."""

from __future__ import annotations

from elbax.recipes.options import ModelOptions, TrainingOptions
from elbax.recipes.recipe import Recipe

RECIPE = Recipe(
    name="aevb",
    summary="the original paper's: one layer of 500 tanh units each way, 20 latents, Adagrad",
    source=(
        "Kingma and Welling (2013), Auto-Encoding Variational Bayes, arXiv:1312.6114, section 5 "
        "and appendix C"
    ),
    # Section 5, for MNIST: 500 hidden units, minibatches of 100 with one draw a datum, and a global
    # Adagrad rate of 0.01, 0.02 or 0.1, whichever did best on the training set at the start; 0.02
    # is the one in the middle: try the others. Appendix C: one hidden layer of tanh units each way.
    # 20 latents are one of the sizes of its figure 2, which goes up to 200.
    # Roads not taken: the initialisation, N(0, 0.01), for elbax initialises every network
    # Glorot-uniform; a small weight decay (a prior on the parameters).
    model=ModelOptions(latent_dim=20, hidden=(500,), activation="tanh"),
    training=TrainingOptions(
        iterations=10_000, batch_size=100, optimizer="adagrad", learning_rate=0.02
    ),
)
