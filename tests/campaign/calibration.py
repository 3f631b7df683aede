"""Simulation-based calibration of posteriors (Talts et al. 2018), with exact ones as oracles.

Of z and x simulated from the model, the rank of z among draws of p(z|x) is uniform; so is that of a
cell which was simulated and hidden, among its draws given the other cells.
"""

import dataclasses
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from elbax.evaluate import impute
from elbax.evaluate.tiles import map_rows
from elbax.model import Decoder, Encoder, HoledNetwork, MixtureOfNormals
from tests.campaign.forward import log_sum_exp
from tests.campaign.trials import FAILED, NAMED, SAME, Trial
from tests.linear_gaussian import LinearGaussian, example, linear, log_normal

ROWS, DRAWS, BINS = 1000, 99, 20  # ranks from 0 to 99, five in a bin
SMALL = 1e-4
HIDDEN = 1  # the cell that is hidden and drawn again
MEANS, LOG_WEIGHTS = np.array([[-2.0, 0.0], [2.0, 1.0], [0.5, -2.0]]), np.log([0.5, 0.3, 0.2])


def trials(chance: random.Random, folder: Path) -> Iterator[Trial]:
    """Of each sampler: ranks are uniform, and those of a wrong one are not."""
    del folder
    for number in range(3):
        seed = chance.randrange(2**31)
        oracle = example(seed % 1000).exact()
        for latent in range(2):
            yield _trial("the exact posterior", of_posterior(oracle, seed)[:, latent], seed)
        for name, factor in (("too narrow", 0.7), ("too wide", 1.4)):
            wrong = dataclasses.replace(oracle, cholesky=factor * oracle.cholesky)
            ranks = of_posterior(wrong, seed)[:, 0]
            yield _trial(f"a posterior {name} by four tenths", ranks, seed, told=True)
        wide = dataclasses.replace(oracle, cholesky=1.5 * oracle.cholesky)
        yield _trial("cells drawn, a normal prior", of_cells(wide, seed)[0], seed)
        ranks, off = of_cells(wide, seed, mixture=True)
        yield _trial("cells drawn, a mixture for prior", ranks, seed)
        share = scipy.stats.binomtest(int(np.sum(off < 1.96)), len(off), 0.95)
        detail = f"seed {seed}, {number}: {np.mean(off < 1.96):.1%} within two errors"
        verdict = SAME if share.statistic > 0.9 else FAILED
        yield Trial("means of cells by the exact mixture", "imputation", verdict, detail)


def _trial(name: str, ranks: np.ndarray, seed: int, *, told: bool = False) -> Trial:
    """Uniform ranks; of a posterior that is wrong on purpose (`told`) they are not."""
    counts = np.bincount(ranks * BINS // (DRAWS + 1), minlength=BINS)
    p = float(scipy.stats.chisquare(counts).pvalue)
    right = (p < SMALL) == told
    kind = "ranks of a wrong posterior" if told else "ranks are uniform"
    verdict = (NAMED if told else SAME) if right else FAILED
    return Trial(kind, name, verdict, f"seed {seed}: p = {p:.2g}")


def of_posterior(oracle: LinearGaussian, seed: int) -> np.ndarray:
    """The ranks (rows, latents) of z among draws of the encoder's q(z|x)."""
    rng, (data, latents) = np.random.default_rng(seed), oracle.weight.shape
    z = rng.normal(size=(ROWS, latents))
    noise = oracle.scale * rng.normal(size=(ROWS, data))
    x = z @ oracle.weight.T + oracle.bias + noise
    drawn = map_rows(_posterior_draws, oracle.model(), x, jax.random.key(seed))
    return np.sum(drawn < z[:, None], axis=1)


def _posterior_draws(model: Any, row: Any, key: Any) -> Any:
    q = model.encode(model.preprocessing(row))
    return jax.vmap(q.sample)(jax.random.split(key, DRAWS))


def of_cells(
    oracle: LinearGaussian, seed: int, *, mixture: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """The ranks of hidden cells among those drawn, and their means' distance in errors.

    The encoder knows the posterior of whole rows under the normal prior, a little too wide: the
    weights have to make up for the hidden cell and for another prior.
    """
    rng, (data, latents) = np.random.default_rng(seed + 1), oracle.weight.shape
    z = rng.normal(size=(ROWS, latents))
    if mixture:
        z = z + MEANS[rng.choice(len(MEANS), ROWS, p=np.exp(LOG_WEIGHTS))]
    noise = oracle.scale * rng.normal(size=(ROWS, data))
    x = z @ oracle.weight.T + oracle.bias + noise
    holed = x.astype(np.float32)
    holed[:, HIDDEN] = np.nan
    model = _holed(oracle, mixture=mixture)
    found = impute(model, holed, key=jax.random.key(seed), samples=2000, multiple=DRAWS)
    ranks = np.sum(found.draws[:, :, HIDDEN] < x[:, HIDDEN, None], axis=1)
    mean, spread = conditional(oracle, x, mixture=mixture)
    # The spread of z's mean given the row is less than that of the cell: an error from above.
    error = spread / np.sqrt(np.maximum(found.effective_sample_size, 1.0))
    return ranks, np.abs(found.value[:, HIDDEN] - mean) / error


def _holed(oracle: LinearGaussian, *, mixture: bool) -> Any:
    """The model with an encoder of rows with a hole: the posterior given the other cells."""
    model: Any = oracle.model()
    seen = np.arange(len(oracle.bias)) != HIDDEN
    own = dataclasses.replace(oracle, weight=oracle.weight[seen], bias=oracle.bias[seen])
    origin, covariance = own.posterior(np.zeros((1, int(seen.sum()))))
    slope = np.zeros((len(covariance), 2 * len(seen)))
    slope[:, : len(seen)][:, seen] = covariance @ own.weight.T / own.scale**2
    # Under a mixture the posterior lies somewhere between its parts: three times as wide.
    root = np.linalg.cholesky(covariance) * (3.0 if mixture else 1.5)
    below = root[np.tril_indices(len(root), -1)]
    constants = np.concatenate([2 * np.log(np.diag(root)), below])
    weight = np.vstack([slope, np.zeros((len(constants), slope.shape[1]))])
    network = linear(weight, np.concatenate([origin[0], constants]))
    assert isinstance(model.encoder, Encoder)
    assert isinstance(model.decoder, Decoder)
    encoder = Encoder(HoledNetwork((len(seen),), network), model.encoder.posterior)
    model = dataclasses.replace(model, encoder=encoder)
    if not mixture:
        return model
    prior = MixtureOfNormals(len(root), len(MEANS), key=jax.random.key(0))
    arrays = {
        "logits": jnp.asarray(LOG_WEIGHTS, jnp.float32),
        "mean": jnp.asarray(MEANS, jnp.float32),
    }
    for name, array in arrays.items():
        object.__setattr__(prior, name, array)
    return dataclasses.replace(model, prior=prior)


def conditional(
    oracle: LinearGaussian, x: np.ndarray, *, mixture: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The mean of the hidden cell given the others, and the deviation of the mixture about it."""
    gone = np.arange(len(oracle.bias)) == HIDDEN
    s = oracle.weight @ oracle.weight.T + oracle.scale**2 * np.eye(len(gone))
    gain = s[np.ix_(gone, ~gone)] @ np.linalg.inv(s[np.ix_(~gone, ~gone)])
    variance = float((s[np.ix_(gone, gone)] - gain @ s[np.ix_(~gone, gone)])[0, 0])
    centres = oracle.bias + (MEANS if mixture else MEANS[:1] * 0) @ oracle.weight.T
    log_p = np.stack([log_normal(x[:, ~gone], c[~gone], s[np.ix_(~gone, ~gone)]) for c in centres])
    if mixture:
        log_p = log_p + LOG_WEIGHTS[:, None]
    weight = np.exp(log_p - log_sum_exp(log_p, axis=0))
    means = np.stack([c[gone] + (x[:, ~gone] - c[~gone]) @ gain[0] for c in centres])
    mean = np.sum(weight * means, axis=0)
    return mean, np.sqrt(variance + np.sum(weight * (means - mean) ** 2, axis=0))
