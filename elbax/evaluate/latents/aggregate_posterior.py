"""The aggregate posterior q(z) = 1/N Σ_n q(z|x_n) of N rows, and what is read from it."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float, PRNGKeyArray

from elbax.evaluate.bounds import Mean, mean
from elbax.evaluate.tiles import Conditioned, Rows, map_rows
from elbax.model.conditioning import at_condition
from elbax.model.distributions.basic import base_of, sample
from elbax.model.latent_variable_model import LatentVariableModel

SAMPLES = 10  # draws z ~ q(z|x) a row

# Rows whose posteriors share a draw. Measured with Gaussian factors of 2 to 40 dimensions: the bias
# of the total correlation is about 0.02 nats at 85 such rows, 0.04 to 0.25 at 25, half a nat at 5.
_FEW_ROWS = 50.0

_TILE = 50  # rows, each with several draws
_GROUP = 25  # rows whose posteriors are evaluated at a time, at …
_BLOCK = 2**21  # … so many pairs of a latent's number and a row: 16 MB


@dataclasses.dataclass(frozen=True)
class AggregatePosterior:
    """Draws z ~ q(z|x) of each row, and densities there in double precision, in nats.

    The mixture is that of *these* N rows, exactly. A row's own posterior is one of them, so that
    the mutual information I(n; z) between a row's number and its latent is at most log N.

    Attributes:
        reconstruction: log p(x|z).
        log_prior: log p(z); NaN where the prior has no density at a given point.
        log_posterior: log q(z|x).
        log_aggregate: log q(z).
        log_marginals: log ∏_j q(z_j), of a posterior of independent normals; else None.
    """

    reconstruction: Float[np.ndarray, "rows samples"]
    log_prior: Float[np.ndarray, "rows samples"]
    log_posterior: Float[np.ndarray, "rows samples"]
    log_aggregate: Float[np.ndarray, "rows samples"]
    log_marginals: Float[np.ndarray, "rows samples"] | None

    @property
    def count(self) -> int:
        """N."""
        return len(self.log_aggregate)

    @property
    def ceiling(self) -> float:
        """Log N, which the mutual information cannot exceed."""
        return math.log(self.count)

    @property
    def mutual_information(self) -> Mean:
        """I(n; z) = E[log q(z|x) − log q(z)] and its standard error over the rows."""
        return mean(np.mean(self.log_posterior - self.log_aggregate, axis=1))


@dataclasses.dataclass(frozen=True)
class ElboSplit:
    """The bound in three parts, averaged over the data: elbo = reconstruction − the two others.

    Attributes:
        reconstruction: E_q[log p(x|z)], in nats per datum.
        mutual_information: Between a datum's number and its latent, I(n; z), in nats.
        aggregate_kl: KL(q(z) ‖ p(z)) of the aggregate posterior, in nats.
        count: N, how many rows it was made from.
    """

    reconstruction: float
    mutual_information: float
    aggregate_kl: float
    count: int

    @property
    def ceiling(self) -> float:
        """Log N: no mutual information with one of N numbers is larger."""
        return math.log(self.count)

    @property
    def elbo(self) -> float:
        """The bound: reconstruction − mutual information − aggregate KL."""
        return self.reconstruction - self.mutual_information - self.aggregate_kl


@dataclasses.dataclass(frozen=True)
class TotalCorrelation:
    """KL(q(z) ‖ ∏_j q(z_j)) of the aggregate posterior, in nats.

    It is exact for the mixture of these N rows, but for the draws. As an estimate for the data that
    they come from it is biased *upwards*: TC = Σ_j I(x; z_j) − I(x; z), and with N rows I(x; z)
    can't be above log N while each I(x; z_j), being smaller, still may be right. Independent
    factors come out at (d − 1) log N when the posteriors are too narrow to overlap.

    Attributes:
        estimate: The total correlation and its standard error, over the rows and their draws.
        mutual_information: I(x; z) by the same draws.
        ceiling: log N, where `mutual_information` saturates.
        count: N.
    """

    estimate: Mean
    mutual_information: Mean
    ceiling: float
    count: int

    @property
    def saturated(self) -> bool:
        """Whether N exp(−I(x; z)), about how many rows' posteriors share a draw, is below 50.

        Then the bias is a tenth of a nat or more, and more rows are needed.
        """
        return self.ceiling - self.mutual_information.mean < math.log(_FEW_ROWS)


def elbo_split(
    model: LatentVariableModel, rows: Rows, *, key: PRNGKeyArray, samples: int = SAMPLES
) -> ElboSplit:
    """The bound as reconstruction − mutual information − KL(aggregate posterior ‖ prior).

    Hoffman & Johnson 2016, eq. 6. What the mutual information lacks because it saturates at log N
    appears in the other KL: a result near the ceiling says that the true ones are beyond this N,
    and results of different N do not compare.

    Args:
        model: A model whose posterior and prior can be evaluated at any z.
        rows: As for `aggregate_posterior`.
        key: As for `aggregate_posterior`; the draws are those of `elbo`.
        samples: Draws z ~ q(z|x) a row.

    Raises:
        ValueError: There are no rows or samples, or the posterior or the prior cannot be evaluated.
    """
    found = aggregate_posterior(model, rows, key=key, samples=samples)
    if np.isnan(found.log_prior).all():
        raise _without_density("prior", model.prior_distribution(), "the bound cannot be split")
    return ElboSplit(
        reconstruction=float(np.mean(found.reconstruction)),
        mutual_information=found.mutual_information.mean,
        aggregate_kl=float(np.mean(found.log_aggregate - found.log_prior)),
        count=found.count,
    )


def total_correlation(
    model: LatentVariableModel, rows: Rows, *, key: PRNGKeyArray, samples: int = SAMPLES
) -> TotalCorrelation:
    """The total correlation of the aggregate posterior (Chen et al. 2018, eq. 2, the middle term).

    Where they take a minibatch for the mixture (their eq. 4), all rows given are in it.

    Args:
        model: A model whose posterior is independent normals.
        rows: As for `aggregate_posterior`; at least two.
        key: As for `aggregate_posterior`.
        samples: Draws z ~ q(z|x) a row.

    Raises:
        ValueError: There are fewer than two rows, or no samples; the posterior does not factorise
            into normals, or is a point.
    """
    if len(rows) < 2 or samples < 1:
        raise ValueError(
            f"{len(rows)} rows and {samples} samples; total correlation needs at least two rows "
            "and one sample"
        )
    scales = map_rows(_scale, model, rows, key)
    if not np.all(scales > 0):
        raise ValueError(
            "the posterior of a row has a standard deviation of zero: of points the aggregate "
            "posterior has no density, and no total correlation"
        )
    found = aggregate_posterior(model, rows, key=key, samples=samples)
    assert found.log_marginals is not None
    return TotalCorrelation(
        estimate=mean(np.mean(found.log_aggregate - found.log_marginals, axis=1)),
        mutual_information=found.mutual_information,
        ceiling=found.ceiling,
        count=found.count,
    )


def aggregate_posterior(
    model: LatentVariableModel, rows: Rows, *, key: PRNGKeyArray, samples: int = SAMPLES
) -> AggregatePosterior:
    """The aggregate posterior of the rows at draws from each row's own posterior.

    It costs N² · `samples` evaluations of q(z|x), streamed, in double precision: 5,000 rows and 10
    samples are 250 million.

    Args:
        model: A model whose posterior can be evaluated at any z.
        rows: Data as stored (the model's preprocessing is applied), rows along the leading axis. A
            model that binarises draws one binary datum a row.
        key: The randomness: of row i and draw s. The draws are those of `elbo`.
        samples: Draws z ~ q(z|x) a row.

    Raises:
        ValueError: There are no rows or samples, or the posterior cannot be evaluated.
    """
    if len(rows) < 1 or samples < 1:
        raise ValueError(
            f"{len(rows)} rows and {samples} samples; the aggregate posterior needs at least one "
            "of each"
        )
    x, z, *terms = map_rows(_draws(samples), model, rows, key, tile=_TILE)
    reconstruction, log_prior = (np.asarray(a, np.float64) for a in terms)
    condition = rows.condition if isinstance(rows, Conditioned) else None
    with jax.enable_x64(True):
        own, joint, marginals = _densities(*_float64((model, x, condition, z)))
    return AggregatePosterior(reconstruction, log_prior, own, joint, marginals)


# --- draws -------------------------------------------------------------------------------------


def _of_draw(key: PRNGKeyArray, number: Array) -> Array:
    """The keys of a draw of the bound: of the binary datum and of the latent."""
    return jax.random.split(jax.random.fold_in(key, number))


@functools.cache  # the same function for the same number, so that it is compiled once
def _draws(samples: int) -> Callable[..., tuple[Any, ...]]:
    """Of a row: the datum, its draws z, and at each log p(x|z) and log p(z)."""

    def of_row(model: LatentVariableModel, row: Array, key: PRNGKeyArray) -> tuple[Any, ...]:
        x = model.preprocessing(row, _of_draw(key, jnp.asarray(0))[0])
        q, p = model.encode(x), model.prior_distribution()
        if not hasattr(q, "log_prob"):
            raise _without_density("posterior", q, "there is no aggregate posterior")

        def draw(number: Array) -> tuple[Any, ...]:
            z = sample(q, _of_draw(key, number)[1])
            log_p = p.log_prob(z) if hasattr(p, "log_prob") else jnp.asarray(jnp.nan)
            return z, model.log_likelihood(x, z), log_p

        return x, *jax.lax.map(draw, jnp.arange(samples))

    return of_row


def _scale(model: LatentVariableModel, row: Array, key: PRNGKeyArray) -> Array:
    """The standard deviations of a posterior of independent normals; others are refused."""
    binarize, _ = _of_draw(key, jnp.asarray(0))
    base = base_of(model.encode(model.preprocessing(row, binarize)))
    if type(base) is not dist.Normal:
        raise ValueError(
            f"the posterior is {type(base).__name__}; the total correlation is defined here "
            "for independent normals only"
        )
    return jnp.sqrt(base.variance)


def _without_density(name: str, distribution: Any, therefore: str) -> ValueError:
    return ValueError(
        f"the {name} ({type(distribution).__name__}) has no log-density at a given point, so "
        f"{therefore}; use one that has"
    )


# --- densities, in double precision --------------------------------------------------------------


def _float64(tree: Any) -> Any:
    """The same numbers in double precision."""

    def cast(leaf: Any) -> Any:
        inexact = isinstance(leaf, jax.Array | np.ndarray) and jnp.issubdtype(
            leaf.dtype, jnp.floating
        )
        return np.asarray(leaf, np.float64) if inexact else leaf

    return jax.tree.map(cast, tree)


def _densities(
    model: LatentVariableModel, x: np.ndarray, condition: np.ndarray | None, z: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The logarithms of q(z|x), q(z) and ∏_j q(z_j) (or None) at draws z, (rows, samples) each."""
    rows, samples = jax.tree.leaves(z)[0].shape[:2]
    points = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), z)
    own, joint, marginals = [], np.full(rows * samples, -np.inf), None
    for start in range(0, rows, _GROUP):
        # Past the end the last row stands again, and does not count.
        chosen = np.minimum(np.arange(start, start + _GROUP), rows - 1)
        own_x, given, own_z = jax.tree.map(lambda a, i=chosen: a[i], (x, condition, z))
        counts = np.arange(start, start + _GROUP) < rows
        of_own, of_joint, of_marginals = _of_group(model, own_x, given, own_z, counts, points)
        own.append(of_own)
        joint = np.logaddexp(joint, of_joint)
        if of_marginals is not None:
            before = -np.inf if marginals is None else marginals
            marginals = np.logaddexp(before, of_marginals)
    shape = (rows, samples)
    product = None
    if marginals is not None:
        product = np.sum(marginals - math.log(rows), axis=1).reshape(shape)
    return np.concatenate(own)[:rows], (joint - math.log(rows)).reshape(shape), product


@eqx.filter_jit
def _of_group(
    model: LatentVariableModel, x: Any, condition: Any, z: Any, counts: Any, points: Any
) -> tuple[Array, Array, Array | None]:
    """For a group of rows: log q(z|x) at their own draws, and Σ q(points|row), whole and by latent.

    Returns:
        (rows, samples), (points,) and (points, latents), or None where latents are not independent
        normals.
    """
    posteriors = eqx.filter_vmap(lambda x, c: _posterior(model, x, c))(x, condition)
    own = eqx.filter_vmap(lambda q, z: jax.vmap(q.log_prob)(z))(posteriors, z)
    factorises = type(base_of(posteriors)) is dist.Normal

    def at(point: Any) -> tuple[Array, Array | None]:
        log_q = eqx.filter_vmap(lambda q: q.log_prob(point))(posteriors)
        joint = logsumexp(jnp.where(counts, log_q, -jnp.inf))
        if not factorises:
            return joint, None
        by_latent = eqx.filter_vmap(lambda q: base_of(q).log_prob(point))(posteriors)
        return joint, logsumexp(jnp.where(counts[:, None], by_latent, -jnp.inf), axis=0)

    size = len(counts) * math.prod(jax.tree.leaves(points)[0].shape[1:])
    joint, marginals = jax.lax.map(at, points, batch_size=max(1, _BLOCK // size))
    return own, joint, marginals


def _posterior(model: LatentVariableModel, x: Array, condition: Array | None) -> Any:
    return (model if condition is None else at_condition(model, condition)).encode(x)
