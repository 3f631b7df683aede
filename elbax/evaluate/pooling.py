"""One analysis of several completed tables: Rubin's rules."""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float


@dataclasses.dataclass(frozen=True)
class Pooled:
    """Estimates from M completed tables as one, of each quantity.

    Attributes:
        estimate: The mean of the estimates.
        within: The mean of their variances: what the tables would leave open without holes.
        between: The variance of the estimates among the tables: what the holes add.
        total: within + (1 + 1/M) between.
        degrees_of_freedom: Of Student's t that (quantity − estimate) / √total follows.
    """

    estimate: Float[np.ndarray, "..."]
    within: Float[np.ndarray, "..."]
    between: Float[np.ndarray, "..."]
    total: Float[np.ndarray, "..."]
    degrees_of_freedom: Float[np.ndarray, "..."]

    @property
    def standard_error(self) -> Float[np.ndarray, "..."]:
        """√total."""
        return np.asarray(np.sqrt(self.total))

    @property
    def missing_information(self) -> Float[np.ndarray, "..."]:
        """The share of the information on each quantity that the holes cost (Rubin, eq. 3.1.10)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            r = (self.total - self.within) / self.within
            found = (r + 2 / (self.degrees_of_freedom + 3)) / (r + 1)
        return np.where(np.isinf(r), 1.0, found)

    def interval(self, level: float = 0.95) -> tuple[Float[np.ndarray, "..."], ...]:
        """The lower and the upper ends that hold each quantity at this level.

        Raises:
            ValueError: The level is not between 0 and 1.
        """
        from scipy.special import stdtrit

        if not 0 < level < 1:
            raise ValueError(f"level is {level}: give a number between 0 and 1")
        finite = np.where(np.isinf(self.degrees_of_freedom), 1e10, self.degrees_of_freedom)
        reach = stdtrit(finite, 0.5 + level / 2) * self.standard_error
        return np.asarray(self.estimate - reach), np.asarray(self.estimate + reach)


def pool(estimates: Any, variances: Any, complete: float = np.inf) -> Pooled:
    """The estimates of an analysis of each of M completed tables as one (Rubin 1987, §3.1).

    The degrees of freedom are those of Barnard and Rubin (1999), which are never more than those of
    the same analysis of a table without holes.

    Args:
        estimates: (M, …) of one or more quantities, from M tables that were drawn.
        variances: (M, …) the squares of their standard errors.
        complete: Degrees of freedom of the analysis of a table without holes, such as rows less
            coefficients of a regression.

    Raises:
        ValueError: There are fewer than two tables, shapes that differ, or a negative variance.
    """
    q, u = np.asarray(estimates, np.float64), np.asarray(variances, np.float64)
    if q.shape != u.shape or q.ndim == 0 or len(q) < 2:
        raise ValueError(
            f"estimates of shape {q.shape} and variances of shape {u.shape}: give both from the "
            "same two or more completed tables"
        )
    if not (np.all(np.isfinite(q)) and np.all(np.isfinite(u)) and np.all(u >= 0) and complete > 0):
        raise ValueError(
            "estimates and variances are to be finite, variances not negative, and complete above 0"
        )
    m = len(q)
    within, between = u.mean(axis=0), q.var(axis=0, ddof=1)
    added = (1 + 1 / m) * between
    total = within + added
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(total > 0, added / total, 0.0)
        of_tables = (m - 1) / share**2
        observed = np.where(
            np.isinf(complete), np.inf, (complete + 1) / (complete + 3) * complete * (1 - share)
        )
        freedom = 1 / (1 / of_tables + 1 / observed)
    parts = (q.mean(axis=0), within, between, total, freedom)
    return Pooled(*(np.asarray(part) for part in parts))
