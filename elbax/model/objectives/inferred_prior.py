"""A penalty that decorrelates the latents: DIP-VAE."""

from typing import ClassVar, Literal

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, Scalar

from elbax.model.interfaces import Batch, Metrics, PosteriorNeed
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


class DisentangledInferredPrior(AbstractStatelessObjective):
    """−ELBO + λ Σ_{i≠j} C_ij² + λ' Σ_i (C_ii − 1)², C of q(z) (Kumar et al. 2018, eq. 6 and 7).

    q(z), the average of q(z|x) over the data, is to have the covariance C of a standard normal. Of
    type I the covariance is that of the means of q(z|x) (eq. 6), of type II that of z itself, the
    means' and the average of q(z|x)'s own (eq. 7). Both are of the rows of the batch, divided by
    their number.

    Attributes:
        type: "i" or "ii".
        off_diagonal: λ, of the covariances. 10 is of the middle of Locatello et al. 2019's range.
        diagonal: λ', of the variances: 10 λ is theirs for type I, λ for type II.
    """

    name: ClassVar[str] = "dip"
    posterior: ClassVar[PosteriorNeed] = "independent"
    compares_rows: ClassVar[bool] = True

    type: Literal["i", "ii"] = eqx.field(static=True, default="i")
    off_diagonal: float = eqx.field(static=True, default=10.0)
    diagonal: float = eqx.field(static=True, default=100.0)

    def __check_init__(self) -> None:
        check_not_negative(off_diagonal=self.off_diagonal, diagonal=self.diagonal)
        if self.type not in ("i", "ii"):
            raise ValueError(f"type is {self.type!r}; it can be 'i' or 'ii'")

    def loss(
        self, model: LatentVariableModel, batch: Batch, *, step: Int[Array, ""], key: PRNGKeyArray
    ) -> tuple[Scalar, Metrics]:
        """Metrics as `NegativeELBO`'s, and `covariances`, Σ_{i≠j} C_ij², and `variances`."""
        del step

        def of_datum(
            x: Array, key: PRNGKeyArray, mask: Array | None, condition: Array | None
        ) -> tuple[Float[Array, " latent"], Float[Array, " latent"], ElboTerms]:
            q, _, terms = draw(model, x, key, mask, condition)
            return q.mean, q.variance, terms

        means, variances, terms = map_rows(of_datum, batch, key)
        centred = means - jnp.mean(means, axis=0)
        covariance = centred.T @ centred / len(means)
        if self.type == "ii":
            covariance = covariance + jnp.diag(jnp.mean(variances, axis=0))
        diagonal = jnp.diagonal(covariance)
        apart = jnp.sum(jnp.square(covariance)) - jnp.sum(jnp.square(diagonal))
        unit = jnp.sum(jnp.square(diagonal - 1.0))
        average = mean(terms)
        loss = self.off_diagonal * apart + self.diagonal * unit - average.bound
        return loss, {**metrics(average), "covariances": apart, "variances": unit}
