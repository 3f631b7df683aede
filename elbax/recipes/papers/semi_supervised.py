"""A classifier from few labels and many data."""

from __future__ import annotations

from elbax.recipes.choice import Choice
from elbax.recipes.options import DataOptions, ModelOptions, TrainingOptions
from elbax.recipes.recipe import Recipe

RECIPE = Recipe(
    name="semi-supervised",
    summary=(
        "labels of 100 rows, the others' summed out: two softplus layers of 500, 50 latents, "
        "Adam 3e-4"
    ),
    source=(
        "Kingma, Rezende, Mohamed and Welling (2014), Semi-supervised Learning with Deep "
        "Generative Models, arXiv:1406.5298, section 2 (M2) and 4"
    ),
    # Section 4: 50 latents, hidden layers of 500 softplus units, 100 labels, the same number of
    # each class; the classifier's weight α is a tenth of all rows over the labelled ones, here for
    # the 4,000 training rows of mnist-5k: give --objective.alpha for others (55 for the 55,000 of
    # mnist).
    # Roads not taken: RMSprop with momentum (Adam here); M1, the features of a first model, on
    # which their M2 stands for its best figures.
    model=ModelOptions(latent_dim=50, hidden=(500, 500), activation="softplus"),
    training=TrainingOptions(
        iterations=10_000,
        batch_size=100,
        learning_rate=3e-4,
        objective=Choice.named("semi-supervised", alpha=4.0),
    ),
    data=DataOptions(binarize="dynamic", labelled=100),
    meant_for="mnist-5k",
)
