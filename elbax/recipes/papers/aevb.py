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
    # Section 5: "500 hidden units" for MNIST, minibatches of M = 100, and latent spaces of
    # 3, 5, 10, 20 and 200 in its figure 2, of which 20 is the second largest; 200 gains nothing
    # there.
    # Step sizes were Adagrad's with a global one "chosen from {0.01, 0.02, 0.1} based on
    # performance
    # on the training set in the first few iterations". Of the three, 0.02 is the middle; try the
    # others.
    # Road not taken: the paper's initialisation N(0, 0.01) and its small weight decay (a prior on
    # the
    # parameters); elbax initialises every network Glorot-uniform.
    model=ModelOptions(latent_dim=20, hidden=(500,), activation="tanh"),
    training=TrainingOptions(
        iterations=10_000, batch_size=100, optimizer="adagrad", learning_rate=0.02
    ),
)
