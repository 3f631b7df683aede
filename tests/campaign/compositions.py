"""Twenty compositions of parts, with rows for them, to be computed twice."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from elbax import model as parts
from elbax.model.networks.columns import ColumnFeatures
from elbax.util.keys import stream

ELEMENTS, LATENTS = 5, 3
TABLE = (
    "normal",
    "poisson",
    "binary",
    "categorical-3",
    "ordinal-4",
    "log-normal",
    "student-t",
    "laplace",
    "negative-binomial",
    "continuous-bernoulli",
)


@dataclass(frozen=True)
class Composition:
    """What a model is made of.

    Attributes:
        network: From inputs and outputs and a key to a network.
        likelihood: The family.
        rows: From chance and a count to whole rows that the family is of.
        prior: From the shape of a datum and a key to p(z).
        posterior: From a key to a family of q(z|x).
    """

    network: Callable[[int, int, Any], Any]
    likelihood: Any
    rows: Callable[[np.random.Generator, int], np.ndarray]
    prior: Callable[[tuple[int, ...], Any], Any]
    posterior: Callable[[Any], Any]


def made(composition: Composition, seed: int, count: int) -> tuple[Any, np.ndarray]:
    """The model with its weights drawn, and rows of which a fifth of the cells is missing."""
    chance, keys = np.random.default_rng(seed), jax.random.split(jax.random.key(seed), 5)
    family = composition.likelihood
    x = composition.rows(chance, count).astype(np.float32)
    x[chance.random(x.shape) < 0.2] = np.nan
    x[0] = composition.rows(chance, 1)[0]
    posterior = composition.posterior(keys[0])
    if isinstance(family, parts.Mixed):
        seen = composition.rows(chance, 50)
        seen[0] = np.nan  # so that the features say which cells were observed
        features = ColumnFeatures(family.columns, seen)
        inner = composition.network(features.size, posterior.parameter_count, keys[1])
        network = parts.ColumnNetwork(features, inner)
    else:
        inner = composition.network(2 * x.shape[1], posterior.parameter_count, keys[1])
        network = parts.HoledNetwork((x.shape[1],), inner)
    model = parts.LatentVariableModel(
        prior=composition.prior((x.shape[1],), keys[2]),
        encoder=parts.Encoder(network, posterior),
        decoder=parts.Decoder(
            composition.network(posterior.latent_dim, family.parameter_count, keys[3]), family
        ),
    )
    return _stirred(model, keys[4]), x


def _stirred(model: Any, key: Any) -> Any:
    """With no parameter at its start, where many are 0 and hide what they would do."""
    leaves, structure = jax.tree.flatten(eqx.filter(model, eqx.is_inexact_array))
    keys = jax.random.split(key, len(leaves))
    moved = [a + 0.2 * jax.random.normal(k, a.shape) for a, k in zip(leaves, keys, strict=True)]
    static = eqx.filter(model, eqx.is_inexact_array, inverse=True)
    return eqx.combine(structure.unflatten(moved), static)


def noise(model: Any, key: Any, rows: int, samples: int, use: str) -> np.ndarray:
    """The standard noise that elbax draws of each row, (rows, samples, …).

    Args:
        model: The model.
        key: What the estimate was given.
        rows: How many.
        samples: Draws a row.
        use: "bound", "importance" or "imputation".
    """
    family = model.encoder.posterior
    standard: Any = dist.Normal(jnp.zeros(family.latent_dim), 1.0)
    if isinstance(family, parts.DiagonalStudentT):
        standard = dist.StudentT(family.degrees, jnp.zeros(family.latent_dim), 1.0)
    if isinstance(family, parts.GumbelSoftmax):
        standard = dist.Gumbel(
            jnp.zeros((family.latent_dim // family.categories, family.categories))
        )

    def of_row(number: Any) -> Any:
        own = jax.random.fold_in(key, number)
        if use == "imputation":
            drawn = jax.random.split(jax.random.split(stream(own, "imputation"), 3)[0], samples)
        else:
            start = stream(own, "importance") if use == "importance" else own
            drawn = jax.vmap(lambda s: jax.random.fold_in(start, s))(jnp.arange(samples))
        if use == "bound":
            drawn = jax.vmap(lambda k: jax.random.split(k)[1])(drawn)
        return jax.vmap(standard.sample)(drawn)

    return np.asarray(jax.vmap(of_row)(jnp.arange(rows)), np.float64)


# --- what they are made of -----------------------------------------------------------------------


def _mlp(activation: str) -> Callable[[int, int, Any], Any]:
    return lambda m, n, key: parts.MLP(m, (7, 6), n, activation, key=key)


def _normalized(m: int, n: int, key: Any) -> Any:
    return parts.NormalizedMLP(m, (7, 6), n, "gelu", key=key)


def _gated(*, layer_norm: bool) -> Callable[[int, int, Any], Any]:
    return lambda m, n, key: parts.GatedMLP(m, (7, 6), n, layer_norm=layer_norm, key=key)


def _residual(activation: str, *, layer_norm: bool) -> Callable[[int, int, Any], Any]:
    return lambda m, n, key: parts.ResidualMLP(
        m, (7, 7, 6), n, activation, layer_norm=layer_norm, key=key
    )


def _standard(_: Any, __: Any) -> Any:
    return parts.StandardNormal(LATENTS)


def _mixture(covariance: Any) -> Callable[[Any, Any], Any]:
    return lambda _, key: parts.MixtureOfNormals(LATENTS, 4, covariance, key=key)


def _vamp(bounds: tuple[float, float] | None = None) -> Callable[[Any, Any], Any]:
    return lambda shape, key: parts.VampPrior(LATENTS, shape, 6, bounds=bounds, key=key)


def _flow(kind: Any) -> Callable[[Any, Any], Any]:
    return lambda _, key: parts.FlowPrior(LATENTS, kind, 3, 8, key=key)


def _diagonal(_: Any) -> Any:
    return parts.DiagonalNormal(LATENTS)


def _full(_: Any) -> Any:
    return parts.FullNormal(LATENTS)


def _iaf(key: Any) -> Any:
    return parts.InverseAutoregressiveFlow(LATENTS, 3, 8, 4, key=key)


def _coupling(key: Any) -> Any:
    return parts.CouplingFlow(LATENTS, 3, 8, 4, key=key)


def _real(chance: np.random.Generator, n: int) -> np.ndarray:
    return chance.normal(size=(n, ELEMENTS))


def _positive(chance: np.random.Generator, n: int) -> np.ndarray:
    return np.exp(_real(chance, n))


def _unit(chance: np.random.Generator, n: int) -> np.ndarray:
    return chance.random((n, ELEMENTS))


def _whole(levels: int, spacing: float = 1.0) -> Callable[[np.random.Generator, int], np.ndarray]:
    return lambda chance, n: spacing * chance.integers(0, levels, (n, ELEMENTS))


def _counts(chance: np.random.Generator, n: int) -> np.ndarray:
    return chance.poisson(2.0, (n, ELEMENTS))


def _table(chance: np.random.Generator, n: int) -> np.ndarray:
    of_kind: dict[str, Callable[[], np.ndarray]] = {
        "poisson": lambda: chance.poisson(2.0, n),
        "negative-binomial": lambda: chance.negative_binomial(2, 0.4, n),
        "binary": lambda: chance.integers(0, 2, n),
        "categorical-3": lambda: chance.integers(0, 3, n),
        "ordinal-4": lambda: chance.integers(0, 4, n),
        "log-normal": lambda: np.exp(chance.normal(size=n)),
        "continuous-bernoulli": lambda: chance.random(n),
    }
    return np.stack(
        [of_kind.get(kind, lambda: chance.normal(size=n))() for kind in TABLE], axis=1
    ).astype(float)


_D = (ELEMENTS,)
COMPOSITIONS: dict[str, Composition] = {
    "mlp tanh, bernoulli, standard, diagonal": Composition(
        _mlp("tanh"), parts.Bernoulli(_D), _whole(2), _standard, _diagonal
    ),
    "mlp relu, normal of a fixed scale, standard, full": Composition(
        _mlp("relu"), parts.Normal(_D, 0.7), _real, _standard, _full
    ),
    "gated, normal of a shared scale, mixture, diagonal": Composition(
        _gated(layer_norm=False), parts.Normal(_D, "shared"), _real, _mixture("diagonal"), _diagonal
    ),
    "residual elu, student-t, standard, diagonal": Composition(
        _residual("elu", layer_norm=False),
        parts.StudentT(_D, "element"),
        _real,
        _standard,
        _diagonal,
    ),
    "residual silu normalised, laplace, mixture full, full": Composition(
        _residual("silu", layer_norm=True),
        parts.Laplace(_D, "predicted"),
        _real,
        _mixture("full"),
        _full,
    ),
    "normalised gelu, categorical, standard, diagonal": Composition(
        _normalized, parts.Categorical(_D, 4, 3.0), _whole(4), _standard, _diagonal
    ),
    "mlp softplus, poisson, standard, full": Composition(
        _mlp("softplus"), parts.Poisson(_D), _counts, _standard, _full
    ),
    "mlp sigmoid, negative binomial, vamp, diagonal": Composition(
        _mlp("sigmoid"), parts.NegativeBinomial(_D, "predicted"), _counts, _vamp(), _diagonal
    ),
    "gated normalised, log-normal, flow, full": Composition(
        _gated(layer_norm=True),
        parts.LogNormal(_D, "element"),
        _positive,
        _flow("masked-autoregressive"),
        _full,
    ),
    "mlp leaky relu, continuous bernoulli, standard, iaf": Composition(
        _mlp("leaky-relu"), parts.ContinuousBernoulli(_D), _unit, _standard, _iaf
    ),
    "mlp elu, ordinal, vamp bounded, iaf": Composition(
        _mlp("elu"), parts.Ordinal(_D, 5), _whole(5), _vamp((0.0, 4.0)), _iaf
    ),
    "residual tanh, discretised logistic, mixture, coupling": Composition(
        _residual("tanh", layer_norm=False),
        parts.DiscretizedLogistic(_D, 16),
        _whole(16, 1 / 15),
        _mixture("diagonal"),
        _coupling,
    ),
    "mlp gelu, discretised logistic mixture, coupling flow, coupling": Composition(
        _mlp("gelu"),
        parts.DiscretizedLogisticMixture(_D, 3, 16),
        _whole(16, 1 / 15),
        _flow("coupling"),
        _coupling,
    ),
    "mlp elu, table, standard, diagonal": Composition(
        _mlp("elu"), parts.Mixed((len(TABLE),), TABLE), _table, _standard, _diagonal
    ),
    "residual elu, table, vamp, full": Composition(
        _residual("elu", layer_norm=False),
        parts.Mixed((len(TABLE),), TABLE),
        _table,
        _vamp(),
        _full,
    ),
    "gated, linked normal columns, mixture full, diagonal": Composition(
        _gated(layer_norm=False),
        parts.Mixed(_D, ("normal",) * ELEMENTS, 2),
        _real,
        _mixture("full"),
        _diagonal,
    ),
    "mlp silu, low-rank normal, standard, student-t": Composition(
        _mlp("silu"),
        parts.LowRankNormal(_D, 2),
        _real,
        _standard,
        lambda _: parts.DiagonalStudentT(LATENTS),
    ),
    "mlp tanh, bernoulli, standard, planar": Composition(
        _mlp("tanh"),
        parts.Bernoulli(_D),
        _whole(2),
        _standard,
        lambda _: parts.PlanarFlow(LATENTS, 3),
    ),
    "mlp identity, normal, standard, sylvester": Composition(
        _mlp("identity"),
        parts.Normal(_D, "predicted"),
        _real,
        _standard,
        lambda _: parts.SylvesterFlow(LATENTS, 3, 4),
    ),
    "mlp tanh, bernoulli, categorical, categorical": Composition(
        _mlp("tanh"),
        parts.Bernoulli(_D),
        _whole(2),
        lambda *_: parts.UniformCategorical(6, 3),
        lambda _: parts.GumbelSoftmax(6, 3),
    ),
}
