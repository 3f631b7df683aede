"""Models whose posteriors are simple, or of a kind that a metric refuses."""

import dataclasses
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, PRNGKeyArray

from elbax.model import (
    AbstractEncoder,
    Decoder,
    DiagonalNormal,
    Encoder,
    LatentVariableModel,
    Normal,
    StandardNormal,
)
from elbax.model.distributions.basic import OneHotCategorical
from tests.linear_gaussian import linear


def identity(scales: np.ndarray) -> LatentVariableModel:
    """A model of which q(z|x) = N(x, diag scales²): the rows are the posterior means."""
    d = len(scales)
    weight = np.vstack([np.eye(d), np.zeros((d, d))])
    bias = np.append(np.zeros(d), 2 * np.log(scales))
    return LatentVariableModel(
        StandardNormal(d),
        Encoder(linear(weight, bias), DiagonalNormal(d)),
        Decoder(linear(np.eye(d), np.zeros(d)), Normal((d,), 1.0)),
    )


class DrawsOnly(eqx.Module):
    """What a flow without an inverse offers: no mean, no variance."""

    x: Array

    def sample_and_log_prob(self, key: PRNGKeyArray) -> tuple[Array, Array]:
        return self.x, jnp.sum(self.x)


class Other(AbstractEncoder):
    """An encoder that gives a posterior of another kind."""

    kind: str = eqx.field(static=True)

    def __call__(self, x: Array, condition: Array | None = None) -> Any:
        if self.kind == "draws only":
            return DrawsOnly(x)
        if self.kind == "one-hot":
            return OneHotCategorical(x[None])
        if self.kind == "discrete":
            return dist.BernoulliLogits(x).to_event(1)
        return dist.Laplace(x, jnp.ones_like(x)).to_event(1)


def with_posterior(kind: str) -> LatentVariableModel:
    return dataclasses.replace(identity(np.ones(2)), encoder=Other(kind))


ROWS = np.random.default_rng(0).normal(size=(30, 2))
