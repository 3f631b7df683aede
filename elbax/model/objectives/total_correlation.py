"""The KL divergence taken apart, and a weight on total correlation alone."""

from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, Scalar

from elbax.model.interfaces import Batch, Latent, Metrics, PosteriorNeed
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.model.objectives.stateless import AbstractStatelessObjective
from elbax.model.objectives.terms import (
    ElboTerms,
    check_not_negative,
    draw,
    map_rows,
    mean,
    metrics,
)

Weighting = Literal["stratified", "weighted"]


class BetaTC(AbstractStatelessObjective):
    """The KL in three parts, each with its own weight (Chen et al. 2018, eq. 2 and 4).

    In place of KL(q(z|x) ‖ p(z)), averaged over the data, stand α times the mutual information
    I(x; z), β times the total correlation KL(q(z) ‖ ∏ⱼ q(zⱼ)) and γ times the dimension-wise
    Σⱼ KL(q(zⱼ) ‖ p(zⱼ)), where q(z) = 1/N Σₙ q(z|xₙ). q(z) and its marginals are estimated from the
    posteriors of the batch's rows, under `minibatch_weights`. At α = β = γ = 1 the estimates
    cancel, and the loss is the negative evidence lower bound with log q(z|x) − log p(z) for the KL.

    Attributes:
        alpha: The weight of the mutual information; 1 is theirs.
        beta: The weight of the total correlation.
        gamma: The weight of the dimension-wise KL; 1 is theirs.
        weighting: "stratified" or "weighted"; see `minibatch_weights`.
    """

    name: ClassVar[str] = "beta-tc"
    posterior: ClassVar[PosteriorNeed] = "independent"
    needs_data_size: ClassVar[bool] = True
    compares_rows: ClassVar[bool] = True

    alpha: float = 1.0
    beta: float = 6.0
    gamma: float = 1.0
    weighting: Weighting = eqx.field(static=True, default="stratified")

    def __check_init__(self) -> None:
        check_not_negative(alpha=self.alpha, beta=self.beta, gamma=self.gamma)
        if self.weighting not in ("stratified", "weighted"):
            raise ValueError(
                f"weighting is {self.weighting!r}; it can be 'stratified' or 'weighted'"
            )

    def loss(
        self, model: LatentVariableModel, batch: Batch, *, step: Int[Array, ""], key: PRNGKeyArray
    ) -> tuple[Scalar, Metrics]:
        """The loss.

        Metrics as `NegativeELBO`'s, and `mutual_information`, `total_correlation` and
        `dimension_wise_kl`: estimates in nats, which carry the bias of so small a sample of q(z)
        (`elbax.evaluate` has better ones).

        Raises:
            ValueError: `Batch.data_size` is not the size of the data.
        """
        del step

        def of_datum(
            x: Array, key: PRNGKeyArray, mask: Array | None, condition: Array | None
        ) -> tuple[Any, Latent, Scalar, ElboTerms]:
            q, z, terms = draw(model, x, key, mask, condition)
            # A distribution leaves this vmap as a pytree of arrays only; the next two take it up.
            return q.base_dist, z, model.prior_distribution(condition).log_prob(z), terms

        rows = batch.x.shape[0]
        q, z, log_p, terms = map_rows(of_datum, batch, key)
        # log q(zᵢ|xⱼ), latent by latent.
        log_q = jax.vmap(lambda z: jax.vmap(lambda q: q.log_prob(z))(q))(z)
        weights = jnp.log(minibatch_weights(rows, batch.data_size, self.weighting))
        own = jnp.sum(jnp.diagonal(log_q), axis=0)
        joint = jax.nn.logsumexp(weights + jnp.sum(log_q, axis=-1), axis=1)
        marginals = jax.nn.logsumexp(weights[:, :, None] + log_q, axis=1).sum(axis=-1)

        parts = {
            "mutual_information": jnp.mean(own - joint),
            "total_correlation": jnp.mean(joint - marginals),
            "dimension_wise_kl": jnp.mean(marginals - log_p),
        }
        factors = (self.alpha, self.beta, self.gamma)
        average = mean(terms)
        penalty = sum(f * part for f, part in zip(factors, parts.values(), strict=True))
        loss = penalty - jnp.asarray(average.fit)
        return loss, {**metrics(average), **parts}


def minibatch_weights(
    rows: int, data_size: int, weighting: Weighting = "stratified"
) -> Float[Array, "rows rows"]:
    """What row j's posterior counts for in q(z) at row i's draw: 1/N Σₙ q(z|xₙ) from a batch.

    "stratified" (Chen et al. 2018, appendix C.2): the row itself counts 1/N, for it is known to be
    in the data; one other (N − M) / (N M); and each of the rest 1/M, for a batch of M + 1. A row of
    these sums to one, and averaged over the batches that hold row i it is 1/N for every row of the
    data: the estimate of q(z) has no bias. (The authors' code fills a column where this has the
    diagonal. Sharing (N − 1) / N evenly among the others would have less noise; the published
    weights are kept.) In a batch of a single row that row counts 1.

    "weighted" (eq. 5): 1 / (N · batch) for all. q(z) is then too small by a factor, about N, which
    shifts estimates by log N and (d − 1) log N, and no gradient.

    Args:
        rows: Rows of the batch, M + 1.
        data_size: N.
        weighting: Which of the two.

    Raises:
        ValueError: N is unknown or smaller than the batch.
    """
    if data_size < rows:
        raise ValueError(
            f"the data are said to have {data_size} rows, and the batch has {rows}; give the size "
            "of the whole data set: Batch(…, data_size=N)"
        )
    if weighting == "weighted":
        return jnp.full((rows, rows), 1.0 / (data_size * rows))
    if rows == 1:
        return jnp.ones((1, 1))
    others = rows - 1
    found = np.full((rows, rows), 1.0 / others)
    np.fill_diagonal(found, 1.0 / data_size)
    here = np.arange(rows)
    found[here, (here + 1) % rows] = (data_size - others) / (data_size * others)
    return jnp.asarray(found)
