"""A grid of codes, each the nearest vector of a learned codebook."""

from __future__ import annotations

from elbax.recipes.choice import Choice
from elbax.recipes.options import ModelOptions, TrainingOptions
from elbax.recipes.recipe import Recipe

RECIPE = Recipe(
    name="vq-vae",
    summary=(
        "7 × 7 places, each one of 512 learned codes of 64 numbers, by convolutions; commitment "
        "0.25, moving averages 0.99"
    ),
    source=(
        "van den Oord, Vinyals and Kavukcuoglu (2017), Neural Discrete Representation Learning, "
        "arXiv:1711.00937"
    ),
    # 512 codes of 64 numbers, a commitment of 0.25, moving averages of 0.99, Adam of 3e-4 and
    # batches of 32 are those of the authors' notebook (sonnet's vqvae_example.ipynb, of
    # CIFAR-10); networks are section 4.1's, with fewer channels. On MNIST two halvings make
    # 7 × 7 places. The learned prior is --fit-prior autoregressive.
    # Roads not taken: the codebook's own loss in the place of moving averages; Laplace smoothing of
    # their counts (codes that are not used start anew, or stay where they are); residual blocks
    # that narrow to 32 channels.
    model=ModelOptions(
        latent_dim=7 * 7 * 64,
        network=Choice.named("conv-grid", channels=(32, 64), blocks=2),
        posterior=Choice.named("vq", count=512, width=64),
        prior=Choice("codes"),
    ),
    training=TrainingOptions(
        iterations=15_000, batch_size=32, learning_rate=3e-4, objective=Choice("vq")
    ),
)
