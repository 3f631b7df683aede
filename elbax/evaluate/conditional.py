"""Data drawn given some of their elements, from the joint p(x, z): no other training is needed."""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, Float, PRNGKeyArray

from elbax.evaluate import weights
from elbax.evaluate.equations import Equations
from elbax.evaluate.tiles import map_rows
from elbax.model.distributions.basic import base_of
from elbax.model.distributions.basic import sample as draw_from
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.util.keys import stream

_ENOUGH, _FEW = 100.0, 10.0  # effective latents


@dataclasses.dataclass(frozen=True)
class ConditionalDraws:
    """Draws of x given some of its elements, and how far to trust them.

    Attributes:
        x: The draws; the given elements are as given.
        proposals: How many latents were proposed.
        effective_sample_size: (Σ w)² / Σ w² of their weights: so many different latents, about, the
            draws are made of.
        pareto_k: The shape of the tail of the weights; NaN where it cannot be fitted.
        log_given: Log p of the given elements in nats: how likely they are themselves.
    """

    x: Float[np.ndarray, "count ..."]
    proposals: int
    effective_sample_size: float
    pareto_k: float
    log_given: float

    def trust(self) -> Literal["yes", "doubtful", "no"]:
        """Whether the draws are to be trusted.

        "yes" from 100 effective latents on, "doubtful" from 10 on or where Pareto's k is above its
        threshold (a few weights carry it, and the next proposals might bring larger ones), else
        "no"; so where what is given is so unlikely that float32 cannot tell the weights apart.
        """
        if not self.effective_sample_size >= _FEW or weights.beyond_precision(self.log_given):
            return "no"
        heavy = self.pareto_k > weights.pareto_k_threshold(self.proposals)
        return "doubtful" if heavy or self.effective_sample_size < _ENOUGH else "yes"


def conditional_draws(
    model: LatentVariableModel,
    given: np.ndarray,
    *,
    count: int,
    key: PRNGKeyArray,
    proposals: int = 20_000,
    accepts: Callable[[np.ndarray], np.ndarray] | None = None,
    equations: Equations | None = None,
) -> ConditionalDraws:
    """Draws of the elements that are NaN, given the others, and that those drawn are accepted.

    Latents are proposed by p(z) and by q(z|x_given), half each, weighted by
    p(z) p(x_given|z) / (½ p(z) + ½ q(z|x_given)), and resampled; then x is drawn from p(x|z). The
    mixture (Veach & Guibas 1995, the balance heuristic) keeps each weight below twice that of the
    prior alone, however wrong the encoder is of rows with holes. Where q has no log-density at a
    given point (planar flows, say) all proposals are the prior's.

    Args:
        model: Any model whose encoder's network fills what is NaN (`elbax.model.ColumnNetwork`).
        given: One datum as stored, NaN where it is to be drawn.
        count: How many draws.
        key: The randomness.
        proposals: Latents proposed.
        accepts: Which of the rows (n, …) lie within what is given of the others: a range, say. One
            row is then drawn from each latent that is proposed, and those which do not count
            nothing.
        equations: What the elements keep to besides, of a flat datum; rows are drawn from each
            latent likewise.

    Raises:
        ValueError: A number is below 1, or what is given is impossible under the model.
    """
    if count < 1 or proposals < 1:
        raise ValueError(f"{count} draws from {proposals} proposals; give at least one of each")
    propose, choose, draw = jax.random.split(stream(key, "conditional"), 3)
    numbers = np.arange(proposals)
    z, log_w = map_rows(_propose, (model, jnp.asarray(given)), numbers, propose)
    log_w = np.asarray(log_w, np.float64)
    x = None
    if accepts is not None or equations is not None:
        found = map_rows(_draw, (model, jnp.asarray(given), equations), z, draw)
        x, solved = (np.asarray(part, np.float64) for part in found)
        log_w = log_w + solved
        if accepts is not None:
            log_w = np.where(accepts(x), log_w, -np.inf)
    log_w = np.where(np.isnan(log_w), -np.inf, log_w)  # a difference beyond floats, as elsewhere
    if not np.any(np.isfinite(log_w)):
        raise ValueError(
            f"what is given has no probability at any of {proposals:,} latents: the model never "
            "saw its like"
        )
    apart = log_w - log_w.max()  # in double precision: float32 would round them where log p is far
    relative = np.exp(apart)
    tail = np.sort(log_w)[::-1][: weights.tail_length(proposals) + 1]
    chosen = np.asarray(jax.random.categorical(choose, jnp.asarray(apart), shape=(count,)))
    if x is None:
        latents = jax.tree.map(lambda a: a[chosen], z)
        x, _ = map_rows(_draw, (model, jnp.asarray(given), None), latents, draw)
    else:
        x = x[chosen]
    return ConditionalDraws(
        x=x,
        proposals=proposals,
        effective_sample_size=float(relative.sum() ** 2 / np.sum(relative**2)),
        pareto_k=float(weights.pareto_k(tail[None])[0]),
        log_given=float(np.log(relative.mean()) + log_w.max()),
    )


def _propose(
    given: tuple[LatentVariableModel, Array], number: Array, key: PRNGKeyArray
) -> tuple[Any, Array]:
    """A latent and the logarithm of its weight: even ones by the prior, odd ones by q."""
    model, row = given
    x = model.preprocessing(row)
    p, q = model.prior_distribution(), model.encode(x)
    z = draw_from(p, key)
    if not _mixes(p, q):
        return z, model.log_likelihood(x, z)
    of_q = draw_from(q, key)
    z = jax.tree.map(lambda a, b: jnp.where(number % 2 == 0, a, b), z, of_q)
    log_p = p.log_prob(z)
    mixture = jnp.logaddexp(log_p, q.log_prob(z)) - jnp.log(2.0)
    return z, log_p + model.log_likelihood(x, z) - mixture


def _mixes(p: Any, q: Any) -> bool:
    """Whether both have densities at any point, of the same kind of latent."""
    return (
        not isinstance(base_of(q), dist.Delta) and hasattr(p, "log_prob") and hasattr(q, "log_prob")
    )


def _draw(
    given: tuple[LatentVariableModel, Array, Equations | None], z: Any, key: PRNGKeyArray
) -> tuple[Array, Array]:
    """A row at a latent, and the logarithm of what it weighs by the equations."""
    model, row, equations = given
    x = model.preprocessing(row)
    x = jnp.where(jnp.isnan(x), model.decode_missing(x, z).sample(key), x)
    if equations is None:
        return x, jnp.zeros(())
    x = equations.solved(x)
    return x, equations.log_weight(model, x, z)
