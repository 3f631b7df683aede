"""elbax in the composition of the authors' demonstration, and as `elbax train` has it."""

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.missing.sets import Holed
from elbax import evaluate
from elbax.model import (
    MLP,
    AbstractMissingness,
    AtRandom,
    ColumnFeatures,
    ColumnNetwork,
    Decoder,
    DiagonalNormal,
    Encoder,
    ImportanceWeightedELBO,
    LatentVariableModel,
    Mixed,
    SelfMasking,
    StandardNormal,
)
from elbax.model.interfaces import Batch
from elbax.recipes.choice import Choice
from elbax.recipes.compose import optimizer
from elbax.recipes.options import TrainingOptions
from elbax.train import Trainer
from elbax.train.state import init_state

DRAWS = 200  # of an imputation, `elbax impute`'s default; theirs are 10,000
MANY = 1000  # rows
ASSUMED = {
    "at random": Choice("at-random"),
    "self-masking, high": Choice("self-masking", (("direction", "high"),)),
    "self-masking": Choice("self-masking"),
}


def train(rows: Holed, assumed: str, seed: int) -> LatentVariableModel:
    """The demonstration's model: two tanh layers of 128, d − 1 latents, and a linear decoder.

    k = 20 draws, batches of 16, Adam 1e-3, 30,000 steps; 10,000 where there are few rows. (Theirs
    has one scale for all columns, and in the place of a missing cell its mean, not a draw.)
    """
    x = rows.seen.astype(np.float32)
    steps = 30_000 if len(x) > MANY else 10_000
    d = x.shape[1]
    kinds = ("normal",) * d
    features, family = ColumnFeatures(kinds, x), Mixed((d,), kinds)
    key, encoder_key, decoder_key = jax.random.split(jax.random.key(seed), 3)
    network = MLP(features.size, (128, 128), 2 * (d - 1), "tanh", key=encoder_key)
    holes = tuple(np.isnan(x).mean(axis=0).tolist())
    missing: AbstractMissingness = AtRandom()
    if assumed != "at random":
        missing = SelfMasking(features, holes, **dict(ASSUMED[assumed].options))
    model = LatentVariableModel(
        StandardNormal(d - 1),
        Encoder(ColumnNetwork(features, network), DiagonalNormal(d - 1)),
        Decoder(MLP(d - 1, (), family.parameter_count, key=decoder_key), family),
        missing=missing,
    )
    goal = ImportanceWeightedELBO(20)
    mover = optimizer(TrainingOptions(learning_rate=1e-3), steps)
    trainer = Trainer(model, goal, mover, init_state(model, goal, mover, key, keep_best=False), {})
    batch = Batch(jnp.asarray(x), data_size=len(x))
    trainer, _ = trainer.fit(batch, batch_size=min(16, len(x)), steps=steps)
    return trainer.trained[0]


def impute(model: LatentVariableModel, rows: Holed, seed: int) -> np.ndarray:
    """The rows with their hidden cells filled."""
    x = rows.seen.astype(np.float32)
    return evaluate.impute(model, x, key=jax.random.key(seed), samples=DRAWS).value
