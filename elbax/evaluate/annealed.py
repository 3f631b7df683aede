"""Annealed importance sampling: log p(x) without a posterior to propose from.

Chains start at draws of the prior and are moved, temperature by temperature, to p(z|x) (Neal 2001;
for decoders, Wu et al. 2017). Nothing of the encoder is used, so the estimate judges models whose
encoder is poor, and importance sampling besides. It costs `chains` × `temperatures` ×
`leapfrog_steps` gradients of the decoder a row.

On data simulated from the model the chains can be run the other way too, which bounds log p(x) from
above (`sandwich`).
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, Float, PRNGKeyArray, Scalar
from numpyro.distributions import constraints

from elbax.evaluate.bounds import Mean, mean
from elbax.evaluate.likelihoods import LogLikelihoodEstimate
from elbax.evaluate.tiles import Rows, binary_datum, map_rows
from elbax.model.compatibility import latent_kind
from elbax.model.distributions.basic import base_of, sample
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.util.keys import stream

ACCEPTANCE = 0.65  # the most efficient in high dimension: 0.651 (Beskos et al. 2013)
SHARPNESS = 4.0  # δ of the sigmoid (Grosse et al. 2015, §5)
JITTER = 0.2  # of the step size, so that no trajectory is a whole period (Neal 2011, §3.2)
PILOT_CHAINS = 4
PILOT_RATE = 0.7  # a pilot's log step size moves by this × (acceptance − its target) each time

_PRODUCT = 500  # chains in one matrix product, over all rows of a tile
_REFUSED = {  # what the latents are, and why they cannot be moved along a gradient
    "sphere": "spherical",
    "categorical": "discrete",
    "codes": "discrete",
    "point": "deterministic: they have no density",
}


@dataclasses.dataclass(frozen=True)
class Sandwich:
    """Bounds of log p(x), in nats, of data simulated from the model.

    Attributes:
        lower: Annealed forward, from the prior: in expectation below log p(x).
        upper: Annealed backward, from the latent that the datum was made from: in expectation
            above.
    """

    lower: Float[np.ndarray, " count"]
    upper: Float[np.ndarray, " count"]

    def gap(self) -> Mean:
        """The mean of upper − lower: how far from log p(x) this schedule may be, on average."""
        return mean(self.upper - self.lower)


def annealed(
    model: LatentVariableModel,
    rows: Rows,
    *,
    key: PRNGKeyArray,
    chains: int = 16,
    temperatures: int = 100,
    leapfrog_steps: int = 10,
) -> LogLikelihoodEstimate:
    """Log p(x) of each row by annealed importance sampling with Hamiltonian moves.

    Neal 2001; Wu et al. 2017. The t-th of `temperatures` densities is p(z) p(x|z)^βₜ, with βₜ from
    0 to 1 along a sigmoid; each is left invariant by one move of Hamiltonian Monte Carlo. The mean
    weight is unbiased for p(x), so its logarithm is a *stochastic lower bound*: in expectation
    below log p(x), and above it by more than b nats with probability at most exp(−b).

    Step sizes are found for each row and temperature by a pilot run with chains of its own, and
    are then frozen: chains that adapted themselves would not leave their densities invariant, and
    the estimate would be biased. Grey pixels under a Bernoulli likelihood are weighed by the
    cross-entropy, as everywhere (`elbax.evaluate.quantity` says what is then estimated).

    Args:
        model: A model with latents in R^d and a prior with a density there (`check_annealable`).
        rows: Data as stored (the model's preprocessing is applied), rows along the leading axis. A
            model that binarises draws one binary datum a row: the same as `importance` at this key.
        key: The randomness: of row i and chain s, so that a row's result depends on no other row.
        chains: Independent chains a row, averaged. The jackknife needs two.
        temperatures: Steps from the prior to the posterior. More of them close the gap.
        leapfrog_steps: Gradients in each move.

    Returns:
        The estimates. `samples` is the number of chains; `monte_carlo_error` is a jackknife over
        them (NaN for one chain), `effective_sample_size` is of their weights; Pareto k is not
        fitted: chains are too few.

    Raises:
        ValueError: There are no rows, chains, temperatures or leapfrog steps, or `check_annealable`
            refuses the model.
    """
    if len(rows) < 1:
        raise ValueError("0 rows; an estimate needs at least one")
    schedule = _schedule(model, chains, temperatures, leapfrog_steps)
    tile = max(1, _PRODUCT // chains)
    found = map_rows(_forward(*schedule), model, rows, key, tile=tile)
    log_weights = np.asarray(found, np.float64)
    # A chain that left the range of floats weighs nothing, as a draw of `importance` does.
    log_weights = np.where(np.isnan(log_weights), -np.inf, log_weights)
    return LogLikelihoodEstimate(
        estimator="annealed",
        samples=chains,
        log_likelihood=_log_mean(log_weights),
        monte_carlo_error=_jackknife(log_weights),
        effective_sample_size=_effective(log_weights),
        pareto_k=None,
    )


def sandwich(
    model: LatentVariableModel,
    *,
    key: PRNGKeyArray,
    count: int = 100,
    chains: int = 16,
    temperatures: int = 100,
    leapfrog_steps: int = 10,
) -> Sandwich:
    """Log p(x) of data simulated from the model, from below and from above.

    Bidirectional Monte Carlo (Grosse, Ghahramani & Adams 2015; Grosse et al. 2016; Wu et al. 2017,
    §4): z ~ p(z) and x ~ p(x|z) are simulated, so z is an exact draw of p(z|x). Annealing from it
    down to the prior gives weights whose mean is unbiased for 1 / p(x): a stochastic upper bound.
    The gap certifies the *schedule*, for data that look like the model's own; real data may be
    harder.

    Args:
        model: As for `annealed`.
        key: The randomness: of datum i and chain s, so that a datum depends on no other.
        count: How many data are simulated.
        chains: Independent chains each way; those of one datum all start backward from the same
            latent.
        temperatures: As for `annealed`.
        leapfrog_steps: As for `annealed`.

    Raises:
        ValueError: As for `annealed`.
    """
    if count < 1:
        raise ValueError(f"count is {count}; simulate at least one datum")
    schedule = _schedule(model, chains, temperatures, leapfrog_steps)
    tile = max(1, _PRODUCT // chains)
    found = map_rows(_both_ways(*schedule), model, np.arange(count), key, tile=tile)
    forward, backward = (np.asarray(log_weights, np.float64) for log_weights in found)
    return Sandwich(lower=_log_mean(forward), upper=-_log_mean(backward))


def check_annealable(model: LatentVariableModel) -> None:
    """Whether chains can be moved through the latent space along gradients of the log-density.

    A posterior without a density is no hindrance: only the prior and the likelihood are used.

    Raises:
        ValueError: The latents are discrete, spherical, bounded or deterministic, or the prior has
            no density that can be evaluated.
    """
    kind = latent_kind(model)
    name = type(model.prior).__name__
    if kind in _REFUSED:
        raise _refusal(name, f"the latents are {_REFUSED[kind]}")
    p = model.prior_distribution()
    base = base_of(p)
    if isinstance(base, dist.Delta):
        raise _refusal(name, f"the latents are {_REFUSED['point']}")
    if not hasattr(p, "log_prob"):
        raise _refusal(name, "the prior has no log-density at a given point")
    support: Any = getattr(p, "support", constraints.real)
    while hasattr(support, "base_constraint"):  # of the elements of a vector
        support = support.base_constraint
    if support is not constraints.real:
        kind = "discrete" if support.is_discrete else "bounded"
        raise _refusal(name, f"the latents are {kind}: {support}")
    # A mixture of posteriors refuses here those that cannot be evaluated at any point.
    jax.eval_shape(lambda key: p.log_prob(sample(p, key)), jax.random.key(0))


def _refusal(prior: str, reason: str) -> ValueError:
    return ValueError(
        f"annealed importance sampling cannot use the prior {prior}: {reason}; it needs a density "
        "on all of R^d; use importance sampling (estimator 'importance')"
    )


def inverse_temperatures(count: int) -> Float[np.ndarray, " betas"]:
    """β from 0 to 1 in `count` steps, short at both ends: a sigmoid (Grosse et al. 2015, §5)."""
    beta = 1 / (1 + np.exp(-SHARPNESS * np.linspace(-1, 1, count + 1)))
    return (beta - beta[0]) / (beta[-1] - beta[0])


def _schedule(
    model: LatentVariableModel, chains: int, temperatures: int, leapfrog_steps: int
) -> tuple[int, int, int]:
    if min(chains, temperatures, leapfrog_steps) < 1:
        raise ValueError(
            f"{chains} chains, {temperatures} temperatures and {leapfrog_steps} leapfrog steps; "
            "give at least one of each"
        )
    check_annealable(model)
    return chains, temperatures, leapfrog_steps


def _log_mean(log_weights: Float[np.ndarray, "rows chains"]) -> Float[np.ndarray, " rows"]:
    return np.logaddexp.reduce(log_weights, axis=1) - np.log(log_weights.shape[1])


def _effective(log_weights: Float[np.ndarray, "rows chains"]) -> Float[np.ndarray, " rows"]:
    """(Σ w)² / Σ w²: between 1 and the number of chains; 0 where all w are 0."""
    highest = log_weights.max(axis=1, keepdims=True)
    w = np.exp(log_weights - np.where(np.isfinite(highest), highest, 0.0))
    squares = np.sum(w**2, axis=1)
    return np.divide(w.sum(axis=1) ** 2, squares, out=np.zeros(len(w)), where=squares > 0)


def _jackknife(log_weights: Float[np.ndarray, "rows chains"]) -> Float[np.ndarray, " rows"]:
    """The standard deviation of the estimates, with one chain left out at a time; or NaN."""
    rows, chains = log_weights.shape
    if chains < 2:
        return np.full(rows, np.nan)
    without = [_log_mean(np.delete(log_weights, chain, axis=1)) for chain in range(chains)]
    with np.errstate(invalid="ignore"):
        return np.sqrt(chains - 1) * np.std(without, axis=0)


# --- one row; the same function for the same numbers, so that it is compiled once --------------


@functools.cache
def _forward(chains: int, temperatures: int, leapfrog_steps: int) -> Callable[..., Array]:
    def of_row(model: LatentVariableModel, row: Array, key: PRNGKeyArray) -> Array:
        path = _Path(model, model.preprocessing(row, binary_datum(key)), leapfrog_steps)
        return _anneal_up(path, temperatures, chains, stream(key, "annealed"))[0]

    return of_row


@functools.cache
def _both_ways(
    chains: int, temperatures: int, leapfrog_steps: int
) -> Callable[..., tuple[Array, Array]]:
    def of_datum(
        model: LatentVariableModel, number: Array, key: PRNGKeyArray
    ) -> tuple[Array, Array]:
        del number  # it is in the key
        simulation, up, down = jax.random.split(stream(key, "sandwich"), 3)
        z, x = _simulate(model, simulation)
        path = _Path(model, x, leapfrog_steps)
        forward, step_sizes = _anneal_up(path, temperatures, chains, up)
        return forward, _anneal_down(path, step_sizes, z, chains, down)

    return of_datum


def _simulate(model: LatentVariableModel, key: PRNGKeyArray) -> tuple[Array, Array]:
    """A latent of the prior, and a datum of which it is an exact draw of p(z|x)."""
    latent, datum = jax.random.split(key)
    z = sample(model.prior_distribution(), latent)
    return z, model.decode(z).sample(datum)


class _Path(eqx.Module):
    """The densities p(z) p(x|z)^β of one datum, and the moves that leave them invariant."""

    model: LatentVariableModel
    x: Array
    leapfrog_steps: int = eqx.field(static=True)

    def log_likelihoods(self, z: Float[Array, "chains latent"]) -> Float[Array, " chains"]:
        return jax.vmap(lambda z: self.model.log_likelihood(self.x, z))(z)

    def move(
        self, z: Float[Array, "chains latent"], beta: Scalar, step_size: Scalar, keys: Array
    ) -> tuple[Float[Array, "chains latent"], Float[Array, " chains"]]:
        """Where the chains go from z, and with what probability each proposal was accepted."""
        from blackjax.mcmc import hmc

        p = self.model.prior_distribution()
        kernel = hmc.build_kernel()

        def log_density(z: Array) -> Scalar:
            return p.log_prob(z) + beta * self.model.log_likelihood(self.x, z)

        def one(z: Array, key: PRNGKeyArray) -> Any:
            state = hmc.init(z, log_density)
            metric = jnp.ones_like(z)
            return kernel(key, state, log_density, step_size, metric, self.leapfrog_steps)  # pyright: ignore[reportArgumentType]

        state, info = jax.vmap(one)(z, keys)
        return state.position, info.acceptance_rate


def _anneal_up(
    path: _Path, temperatures: int, chains: int, key: PRNGKeyArray
) -> tuple[Float[Array, " chains"], Float[Array, " temperatures"]]:
    """Chains from the prior to the posterior: log-weights of mean p(x), and the step sizes.

    (Neal 2001, with the pilot's chains alongside: they are the first, and have no weight. A step
    size depends on their moves at lower temperatures alone, so it is a constant to the others.)
    """
    start, moves = jax.random.split(key)
    total = PILOT_CHAINS + chains
    p = path.model.prior_distribution()
    z = jax.vmap(lambda key: sample(p, key))(_keys(start, jnp.arange(total)))

    def step(carry: tuple[Array, Array, Array], at: Any) -> Any:
        (z, log_weights, log_step), (number, beta, increment, jitter) = carry, at
        log_weights = log_weights + increment * path.log_likelihoods(z)
        step_size = jitter * jnp.exp(log_step)
        keys = _keys(moves, number + temperatures * jnp.arange(total))
        z, accepted = path.move(z, beta, step_size, keys)
        log_step = log_step + PILOT_RATE * (jnp.mean(accepted[:PILOT_CHAINS]) - ACCEPTANCE)
        return (z, log_weights, log_step), step_size

    carry = (z, jnp.zeros(total), jnp.zeros(()))
    (_, log_weights, _), step_sizes = jax.lax.scan(
        step, carry, (*_ladder(temperatures), jnp.asarray(_jitter(temperatures)))
    )
    return log_weights[PILOT_CHAINS:], step_sizes


def _anneal_down(
    path: _Path,
    step_sizes: Float[Array, " temperatures"],
    z: Float[Array, " latent"],
    chains: int,
    key: PRNGKeyArray,
) -> Float[Array, " chains"]:
    """The log-weights of chains from z ~ p(z|x) to the prior: of mean 1 / p(x).

    The reverse of `_anneal_up`, since each move is reversible: the first is at β = 1.
    """
    temperatures = len(step_sizes)

    def step(carry: tuple[Array, Array], at: Any) -> Any:
        (z, log_weights), (number, beta, increment, step_size) = carry, at
        keys = _keys(key, number + temperatures * jnp.arange(chains))
        z, _ = path.move(z, beta, step_size, keys)
        return (z, log_weights - increment * path.log_likelihoods(z)), None

    carry = (jnp.tile(z, (chains, 1)), jnp.zeros(chains))
    at = (*_ladder(temperatures), step_sizes)
    return jax.lax.scan(step, carry, at, reverse=True)[0][1]


def _ladder(temperatures: int) -> tuple[Array, Array, Array]:
    """The number of each step, β after it, and by how much β has grown."""
    betas = inverse_temperatures(temperatures)
    return jnp.arange(temperatures), jnp.asarray(betas[1:]), jnp.asarray(np.diff(betas))


def _jitter(temperatures: int) -> Float[np.ndarray, " temperatures"]:
    """What step sizes are multiplied by: an even spread, neighbours apart (the golden ratio's)."""
    return 1 + JITTER * (2 * (np.arange(temperatures) * 0.6180339887498949 % 1) - 1)


def _keys(key: PRNGKeyArray, numbers: Array) -> Array:
    return jax.vmap(lambda number: jax.random.fold_in(key, number))(numbers)
