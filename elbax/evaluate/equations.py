"""Linear equations between the missing elements of a datum, of which the sum was observed."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Scalar

from elbax.model.distributions.basic import log_prob_observed
from elbax.model.latent_variable_model import LatentVariableModel


class Equations(eqx.Module):
    """Σ coefficient · x = total, each solved for one missing element, its pivot.

    x given such an equation has the density p(x|z) at the solution, up to a constant: so draws of
    the other elements, the pivot solved for, are weighted by p of the pivot there.

    Attributes:
        coefficients: Of the elements of a flat datum; that of the pivot is not 0.
        totals: The sums; NaN where there is no equation.
        pivots: Which elements are solved for, each another one.
    """

    coefficients: Float[Array, "... equations elements"]
    totals: Float[Array, "... equations"]
    pivots: Int[Array, "... equations"]

    @property
    def tied(self) -> Bool[Array, " elements"]:
        """Which elements of one datum stand in an equation."""
        there = ~jnp.isnan(self.totals)[:, None]
        return jnp.any(there & (self.coefficients != 0), axis=0)

    def solved(self, x: Float[Array, " elements"]) -> Float[Array, " elements"]:
        """One datum with the pivots solved for, one equation after the other."""
        for factors, total, pivot in zip(self.coefficients, self.totals, self.pivots, strict=True):
            rest = jnp.sum(factors * x) - factors[pivot] * x[pivot]
            found = (total - rest) / factors[pivot]
            x = x.at[pivot].set(jnp.where(jnp.isnan(total), x[pivot], found))
        return x

    def log_weight(
        self, model: LatentVariableModel, x: Float[Array, " elements"], z: Array
    ) -> Scalar:
        """Log p(pivots | z, others) in nats of a datum with all elements; −∞ out of the support."""
        chosen = jnp.zeros(len(x), bool).at[self.pivots].max(~jnp.isnan(self.totals))
        p = model.decode(z)
        others = log_prob_observed(p, x, ~chosen)
        each = log_prob_observed(p, x, jnp.ones_like(chosen)) - others
        return jnp.sum(jnp.where(jnp.isnan(each), jnp.where(chosen, -jnp.inf, 0.0), each))

    def packed(self, rows: np.ndarray) -> np.ndarray:
        """Rows (n, d) with the equations of each beside them, as one array for `map_rows`."""
        n = len(rows)
        parts = [rows, np.reshape(self.coefficients, (n, -1)), self.totals, self.pivots]
        return np.concatenate([np.asarray(part, np.float32) for part in parts], axis=1)

    @staticmethod
    def unpacked(row: Array, count: int) -> "tuple[Array, Equations | None]":
        """One row of `packed` and its equations, of which there are so many."""
        if count == 0:
            return row, None
        d = (len(row) - 2 * count) // (count + 1)
        x, factors, totals, pivots = jnp.split(row, np.cumsum([d, count * d, count]), axis=0)
        return x, Equations(factors.reshape(count, d), totals, pivots.astype(jnp.int32))
