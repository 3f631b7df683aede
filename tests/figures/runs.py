"""Small models, data and runs that the figures are drawn of."""

from typing import Literal

import jax
import numpy as np

from elbax.data import Dataset, Split
from elbax.model import (
    MLP,
    Bernoulli,
    Decoder,
    DiagonalNormal,
    Encoder,
    LatentVariableModel,
    Normal,
    Preprocessing,
    StandardNormal,
)
from elbax.run.run import Run


def make_model(
    shape,
    latents,
    likelihood="bernoulli",
    scale=1.0,
    binarize: Literal["none", "dynamic"] = "none",
):
    """An untrained model."""
    encoder_key, decoder_key = jax.random.split(jax.random.key(3))
    posterior = DiagonalNormal(latents)
    family = Bernoulli(shape) if likelihood == "bernoulli" else Normal(shape)
    size = int(np.prod(shape))
    return LatentVariableModel(
        prior=StandardNormal(latents),
        encoder=Encoder(MLP(size, (8,), 2 * latents, key=encoder_key), posterior),
        decoder=Decoder(MLP(latents, (8,), family.parameter_count, key=decoder_key), family),
        preprocessing=Preprocessing(scale=scale, binarize=binarize),
    )


def make_data(
    shape, *, labels=3, kind="images", counts=(60, 10, 30), dtype: type = np.uint8, names=()
):
    """Random rows; `labels` distinct labels, or none."""
    rng = np.random.default_rng(0)
    splits = []
    for count in counts:
        if dtype == np.uint8:
            x = rng.integers(0, 256, (count, *shape), dtype=np.uint8)
        else:
            x = rng.normal(size=(count, *shape)).astype(np.float32)
        label = rng.integers(0, labels, count) if labels else None
        splits.append(Split(x, label))
    levels = 255 if dtype == np.uint8 else 1
    train, validation, test = splits
    return Dataset(
        "noise",
        kind,
        "nowhere",
        train,
        validation,
        test,
        "at random",
        "0" * 64,
        levels,
        names,
    )


def make_history(steps=200):
    """A log with the spike, the fall and the rise of a real one."""
    step = np.arange(1, steps + 1)
    kl = 50 * np.exp(-((np.log(step / 6)) ** 2) / 0.2) + 2 + 4 * np.log1p(step / 60)
    reconstruction = -100 - 400 / step
    elbo = reconstruction - kl
    validation = {
        "step": np.array([100, 200]),
        "elbo": elbo[[99, 199]],
        "reconstruction": reconstruction[[99, 199]],
        "kl": kl[[99, 199]],
    }
    logged = {"step": step, "loss": -elbo, "elbo": elbo, "reconstruction": reconstruction}
    return {**logged, "kl": kl, "validation": validation}


def make_run(model, data, history=None, name="a run"):
    """A run in memory, as if trained: what figures are drawn of."""
    return Run(name, model=model, dataset=data, history=history or {}, seed=0)
