"""Densities fitted to the latents of a trained encoder, to draw from in the place of the prior.

What an encoder makes of the data rarely looks like the prior, and for a deterministic one no prior
was ever asked of it (Ghosh et al. 2020, §4: ex-post density estimation). Each function here gives
a prior of `elbax.model`, so that whatever draws from a model draws from the new one:

    model = eqx.tree_at(lambda m: m.prior, model, gaussian_mixture(latents))
"""

import dataclasses
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, PRNGKeyArray

from elbax.evaluate.latents.usage import chosen_codes
from elbax.evaluate.tiles import Rows, map_rows
from elbax.model.codes.autoregressive import AutoregressiveCodes, SequenceOfCodes
from elbax.model.codes.families import codes_of
from elbax.model.distributions.basic import sample
from elbax.model.distributions.flows import FlowKind
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.model.priors import FlowPrior, MixtureOfNormals
from elbax.util.keys import of_seed

ROWS = 20_000  # that a density is fitted to: the first so many
FLOOR = 1e-6  # added to variances, as scikit-learn does: a latent may be constant

Kind = Literal["gaussian", "gaussian-mixture", "flow", "autoregressive"]
# Which latents (`elbax.model.interfaces.LatentKind`) each kind is fitted to.
FITTED: dict[str, tuple[str, ...]] = {
    "gaussian": ("real", "point"),
    "gaussian-mixture": ("real", "point"),
    "flow": ("real", "point"),
    "autoregressive": ("codes",),
}


def gaussian(latents: Float[np.ndarray, "rows latent"]) -> MixtureOfNormals:
    """The normal distribution of highest likelihood: the mean and the covariance of the latents.

    Args:
        latents: One row a datum: means of q(z|x), or draws from it.

    Raises:
        ValueError: There are fewer than two rows, or a number is not finite.
    """
    latents = _checked(latents, least=2)
    covariance = np.cov(latents.T, bias=True).reshape(latents.shape[1], -1)
    covariance = covariance + FLOOR * np.eye(latents.shape[1])
    return _mixture(np.ones(1), latents.mean(0)[None], covariance[None])


def gaussian_mixture(
    latents: Float[np.ndarray, "rows latent"], components: int = 10, *, seed: int = 0
) -> MixtureOfNormals:
    """A mixture of normals of any covariances, by expectation maximisation (scikit-learn).

    Args:
        latents: One row a datum: means of q(z|x), or draws from it.
        components: How many normals (Ghosh et al. take ten).
        seed: The randomness of the start.

    Raises:
        ValueError: There are fewer rows than components, or a number is not finite.
    """
    from sklearn.mixture import GaussianMixture

    if components < 1:
        raise ValueError(f"components is {components}; give at least one")
    latents = _checked(latents, least=max(2, components))
    fit: Any = GaussianMixture(components, reg_covar=FLOOR, random_state=seed).fit(latents)
    return _mixture(fit.weights_, fit.means_, fit.covariances_)


def flow(
    latents: Float[np.ndarray, "rows latent"],
    kind: FlowKind = "masked-autoregressive",
    layers: int = 4,
    width: int = 64,
    *,
    epochs: int = 100,
    key: PRNGKeyArray,
) -> FlowPrior:
    """A normalising flow of high likelihood, by flowjax' training loop (Adam, early stopping).

    It starts at the mean and the scale of each latent. A tenth of the rows judge when to stop.

    Args:
        latents: One row a datum: means of q(z|x), or draws from it; at least two latents.
        kind: Autoregressive layers draw slowly and fit more; coupling is fast both ways.
        layers: How many layers.
        width: The units of the hidden layer in each layer's network.
        epochs: At most how many passes over the rows.
        key: The randomness of the weights and of the order of the rows.

    Raises:
        ValueError: There are fewer than twenty rows or two latents, or a number is not finite.
    """
    from flowjax.train import fit_to_data

    latents = _checked(latents, least=20)
    weights, order = jax.random.split(key)
    start = FlowPrior(latents.shape[1], kind, layers, width, key=weights)
    scale = np.sqrt(latents.var(0) + FLOOR)
    start = eqx.tree_at(
        lambda p: (p.shift, p.log_scale), start, _arrays(latents.mean(0), np.log(scale))
    )

    def loss(moving: Any, static: Any, rows: jax.Array, key: PRNGKeyArray) -> jax.Array:
        del key
        density = eqx.combine(moving, static)()
        return -jnp.mean(jax.vmap(density.log_prob)(rows))

    fitted, _ = fit_to_data(
        order,
        start,
        _arrays(latents)[0],
        loss_fn=loss,
        learning_rate=1e-3,
        max_epochs=epochs,
        batch_size=min(100, len(latents) // 10),
        show_progress=False,
    )
    return fitted


def autoregressive(
    codes: Int[np.ndarray, "rows sites depth"],
    start: AutoregressiveCodes,
    *,
    epochs: int = 20,
    key: PRNGKeyArray,
) -> AutoregressiveCodes:
    """A transformer over codes of high likelihood (Adam, early stopping by a tenth of the rows).

    Args:
        codes: Which codes each row has.
        start: What it starts at.
        epochs: At most how many passes over the rows.
        key: The randomness of the order of the rows.

    Raises:
        ValueError: There are fewer than twenty rows.
    """
    from flowjax.train import fit_to_data

    if len(codes) < 20:
        raise ValueError(f"there are {len(codes)} rows of codes; give at least 20")

    def loss(moving: Any, static: Any, rows: jax.Array, key: PRNGKeyArray) -> jax.Array:
        del key
        p = SequenceOfCodes(eqx.combine(moving, static), None)
        return -jnp.mean(jax.vmap(p.log_prob_of)(rows))

    fitted, _ = fit_to_data(
        key,
        start,
        jnp.asarray(codes),
        loss_fn=loss,
        learning_rate=1e-3,
        max_epochs=epochs,
        max_patience=2,
        batch_size=min(64, len(codes) // 10),
        show_progress=False,
    )
    return fitted


def fitted(
    model: LatentVariableModel, rows: Rows, kind: Kind, components: int = 10, *, seed: int
) -> LatentVariableModel:
    """The model with a density fitted to one draw of q(z|x) for each row, for its prior.

    Args:
        model: A model whose latents are of the kind that is fitted (`FITTED`).
        rows: Data as stored.
        kind: What is fitted.
        components: Of the mixture.
        seed: Of the draws and of the fit.

    Raises:
        ValueError: There are too few rows, or a latent is not finite.
    """
    fit_key, key = jax.random.split(of_seed(seed, "fitted prior"))
    if kind == "autoregressive":
        family, (weights, order) = codes_of(model.encoder), jax.random.split(fit_key)
        sizes = (family.latent_dim, family.sites, family.depth, family.count)
        start = AutoregressiveCodes(*sizes, key=weights)
        prior = autoregressive(chosen_codes(model, rows, key=key), start, key=order)
        return dataclasses.replace(model, prior=prior)
    latents = map_rows(_latent_one, model, rows, key)
    if kind == "gaussian":
        prior = gaussian(latents)
    elif kind == "gaussian-mixture":
        prior = gaussian_mixture(latents, components, seed=seed)
    else:
        prior = flow(latents, key=fit_key)
    return dataclasses.replace(model, prior=prior)


def gain(
    model: LatentVariableModel, other: LatentVariableModel, rows: Rows, *, key: PRNGKeyArray
) -> Float[np.ndarray, " rows"]:
    """What the bound of each row would gain by the prior of another model, in nats.

    log r(z) − log p(z) at one draw z ~ q(z|x), r the other prior: on average KL(q(z) ‖ p(z)) less
    KL(q(z) ‖ r(z)), so that it is below the marginal KL of Hoffman & Johnson 2016, and the nearer
    the better r fits.

    Args:
        model: A model.
        other: The same with another prior, as `fitted` gives it.
        rows: Data as stored, that the other prior has not seen.
        key: Of the draws.
    """
    return map_rows(_gain_one, (model, other.prior), rows, key)


def _gain_one(given: tuple[LatentVariableModel, Any], row: Any, key: jax.Array) -> Any:
    model, prior = given
    z = _latent_one(model, row, key)
    return prior(model.encoder).log_prob(z) - model.prior_distribution().log_prob(z)


def _latent_one(model: LatentVariableModel, row: Any, key: jax.Array) -> Any:
    binarize, latent = jax.random.split(key)
    return sample(model.encode(model.preprocessing(row, binarize)), latent)


def _mixture(weights: np.ndarray, means: np.ndarray, covariances: np.ndarray) -> MixtureOfNormals:
    components, dim = means.shape
    cholesky = np.linalg.cholesky(covariances)
    rows, columns = np.tril_indices(dim, -1)
    log_variance = 2 * np.log(np.diagonal(cholesky, axis1=1, axis2=2))
    prior = MixtureOfNormals(dim, components, "full", key=jax.random.key(0))
    return eqx.tree_at(
        lambda p: (p.logits, p.mean, p.log_variance, p.below),
        prior,
        _arrays(np.log(weights), means, log_variance, cholesky[:, rows, columns]),
    )


def _arrays(*values: np.ndarray) -> tuple[jax.Array, ...]:
    dtype = jax.dtypes.canonicalize_dtype(float)
    return tuple(jnp.asarray(value, dtype) for value in values)


def _checked(latents: np.ndarray, least: int) -> np.ndarray:
    latents = np.asarray(latents, np.float64)
    if latents.ndim != 2 or len(latents) < least:
        raise ValueError(
            f"latents have shape {latents.shape}; give one row a datum, at least {least} rows"
        )
    if not np.isfinite(latents).all():
        raise ValueError("latents are not all finite: the encoder gave NaN or infinity")
    return latents
