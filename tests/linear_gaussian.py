"""The oracle: a model whose evidence and posterior are known exactly.

z ~ N(0, I) and x | z ~ N(W z + b, s² I), so x ~ N(b, W Wᵀ + s² I) and
z | x ~ N(M⁻¹ Wᵀ (x − b) / s², M⁻¹) with M = I + Wᵀ W / s². Everything here is numpy and scipy;
`model` alone makes elbax' own parts.
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from elbax.model import (
    MLP,
    AbstractLikelihood,
    AbstractPosterior,
    Decoder,
    DiagonalNormal,
    Encoder,
    FullNormal,
    LatentVariableModel,
    Normal,
    StandardNormal,
)


@dataclasses.dataclass(frozen=True)
class LinearGaussian:
    """p(z) p(x|z), and q(z|x) = N(A x + a, L Lᵀ).

    Attributes:
        weight: W, (data, latents).
        bias: b.
        scale: s.
        encoder_weight: A, (latents, data).
        encoder_bias: a.
        cholesky: L, lower triangular; the same for every x.
    """

    weight: np.ndarray
    bias: np.ndarray
    scale: float
    encoder_weight: np.ndarray
    encoder_bias: np.ndarray
    cholesky: np.ndarray

    def log_evidence(self, x: np.ndarray) -> np.ndarray:
        """log p(x), one number a row, in nats."""
        covariance = self.weight @ self.weight.T + self.scale**2 * np.eye(len(self.bias))
        return log_normal(x, self.bias, covariance)

    def posterior(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The mean of p(z|x), one row a row of x, and its covariance, the same for all."""
        latents = self.weight.shape[1]
        covariance = np.linalg.inv(np.eye(latents) + self.weight.T @ self.weight / self.scale**2)
        return (x - self.bias) @ (covariance @ self.weight.T / self.scale**2).T, covariance

    def kl_to_posterior(self, x: np.ndarray) -> np.ndarray:
        """KL(q(z|x) ‖ p(z|x)), one number a row."""
        mean, covariance = self.posterior(x)
        shift = x @ self.encoder_weight.T + self.encoder_bias - mean
        ratio = np.linalg.solve(covariance, self.cholesky @ self.cholesky.T)
        constant = np.trace(ratio) - len(covariance) - np.linalg.slogdet(ratio)[1]
        return 0.5 * (np.einsum("ni,ij,nj->n", shift, np.linalg.inv(covariance), shift) + constant)

    def exact(self) -> "LinearGaussian":
        """The same model with an encoder that gives the exact posterior."""
        origin, covariance = self.posterior(np.zeros((1, len(self.bias))))
        return dataclasses.replace(
            self,
            encoder_weight=covariance @ self.weight.T / self.scale**2,
            encoder_bias=origin[0],
            cholesky=np.linalg.cholesky(covariance),
        )

    def draw(self, rng: np.random.Generator, rows: int) -> np.ndarray:
        """Rows of data from the model."""
        z = rng.normal(size=(rows, self.weight.shape[1]))
        return z @ self.weight.T + self.bias + self.scale * rng.normal(size=(rows, len(self.bias)))

    def model(self, likelihood: str = "fixed") -> LatentVariableModel:
        """The same in elbax: linear networks whose weights are set by hand, a full posterior.

        Args:
            likelihood: Where the scale comes from: "fixed", "shared" or "predicted".
        """
        data, latents = self.weight.shape
        below = self.cholesky[np.tril_indices(latents, -1)]
        constants = np.concatenate([2 * np.log(np.diag(self.cholesky)), below])
        encoder = linear(
            np.vstack([self.encoder_weight, np.zeros((len(constants), data))]),
            np.concatenate([self.encoder_bias, constants]),
        )
        weight, bias = self.weight, self.bias
        family = Normal((data,), self.scale if likelihood == "fixed" else likelihood)  # pyright: ignore[reportArgumentType]
        log_scale = np.log(self.scale - family.minimum_scale)
        if likelihood == "shared":
            family = eqx.tree_at(lambda f: f.log_scale, family, jnp.asarray(log_scale))
        elif likelihood == "predicted":
            weight = np.vstack([weight, np.zeros_like(weight)])
            bias = np.append(bias, np.full(data, log_scale))
        return LatentVariableModel(
            prior=StandardNormal(latents),
            encoder=Encoder(encoder, FullNormal(latents)),
            decoder=Decoder(linear(weight, bias), family),
        )


def log_normal(x: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """log N(x; mean, covariance) by scipy, in nats."""
    # scipy's own annotation says that a covariance is an int.
    return scipy.stats.multivariate_normal.logpdf(x, mean, covariance)  # pyright: ignore[reportArgumentType]


def linear(weight: np.ndarray, bias: np.ndarray) -> MLP:
    """A network of one layer with these weights."""
    network = eqx.filter_eval_shape(
        lambda: MLP(weight.shape[1], (), weight.shape[0], key=jax.random.key(0))
    )
    return eqx.tree_at(
        lambda n: (n.layers[0].weight, n.layers[0].bias), network, jax.device_put((weight, bias))
    )


def example(seed: int = 0, data: int = 4, latents: int = 2) -> LinearGaussian:
    """A model with an encoder that is somewhat wrong in every parameter."""
    rng = np.random.default_rng(seed)
    cholesky = np.tril(0.5 * rng.normal(size=(latents, latents)), -1)
    return LinearGaussian(
        weight=rng.normal(size=(data, latents)),
        bias=rng.normal(size=data),
        scale=0.7,
        encoder_weight=0.5 * rng.normal(size=(latents, data)),
        encoder_bias=rng.normal(size=latents),
        cholesky=cholesky + np.diag(np.exp(0.5 * rng.normal(size=latents))),
    )


def aggregate(rows: int) -> tuple[LatentVariableModel, np.ndarray, np.ndarray, float]:
    """A model whose aggregate posterior is N(0, S), dependent in its two latents.

    q(z|x) = N(A x, s² I), and x is spread over N(0, I) more evenly than draws would be.

    Returns:
        The model, x, S = A Aᵀ + s² I, and s.
    """
    mixing, scale = np.array([[1.0, 0.3], [0.5, 0.8]]), 0.7
    spread = scipy.stats.qmc.MultivariateNormalQMC(np.zeros(2), rng=np.random.default_rng(1))
    encoder = linear(
        np.vstack([mixing, np.zeros((2, 2))]), np.array([0.0, 0.0, *[2 * np.log(scale)] * 2])
    )
    model = LatentVariableModel(
        StandardNormal(2),
        Encoder(encoder, DiagonalNormal(2)),
        Decoder(linear(np.eye(2), np.zeros(2)), Normal((2,), 1.0)),
    )
    return model, spread.random(rows), mixing @ mixing.T + scale**2 * np.eye(2), scale


def untrained(
    data: int, posterior: AbstractPosterior, likelihood: AbstractLikelihood, seed: int
) -> LatentVariableModel:
    """A linear model at its initialisation, to be trained."""
    keys = jax.random.split(jax.random.key(seed))
    latents = posterior.latent_dim
    encoder = MLP(data, (), posterior.parameter_count, key=keys[0])
    decoder = MLP(latents, (), likelihood.parameter_count, key=keys[1])
    return LatentVariableModel(
        StandardNormal(latents), Encoder(encoder, posterior), Decoder(decoder, likelihood)
    )


def pca_optimum(x: np.ndarray, latents: int) -> float:
    """The highest mean log-likelihood of any linear-Gaussian model, in nats per datum.

    Probabilistic principal components (Tipping & Bishop 1999, eq. 8): the variance of the noise is
    the mean of the eigenvalues of the covariance that the latents leave over.
    """
    covariance = np.cov(x.T, bias=True)
    eigenvalues = np.linalg.eigvalsh(covariance)[::-1]
    noise = eigenvalues[latents:].mean()
    kept = np.log(eigenvalues[:latents]).sum()
    d = x.shape[1]
    return float(-0.5 * (d * np.log(2 * np.pi) + kept + (d - latents) * np.log(noise) + d))
