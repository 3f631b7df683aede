"""Which latents are used, what they cost, and the verdict on those that are not."""

import dataclasses
from typing import Literal

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from elbax.evaluate.bounds import Mean, mean
from elbax.evaluate.tiles import Rows, binary_datum, map_rows
from elbax.model.codes.point import ChosenCodes
from elbax.model.distributions.basic import OneHotCategorical, base_of
from elbax.model.distributions.divergences import kl_per_dimension
from elbax.model.latent_variable_model import LatentVariableModel

ACTIVE = 0.01  # the threshold of Burda et al. 2015, §5.2

_PAID = 0.1  # nats: a latent that says nothing and costs this much is not at the prior


def active(means: Float[np.ndarray, "rows latent"]) -> Bool[np.ndarray, " latent"]:
    """Which latents are active: Var_x E_q[z] > 0.01 over the data (Burda et al. 2015, §5.2)."""
    return np.var(np.asarray(means, np.float64), axis=0) > ACTIVE


def active_units(model: LatentVariableModel, rows: Rows) -> Bool[np.ndarray, " latent"]:
    """Which latents of a model are active: `active` of its posterior means.

    Defined for continuous latents whose posterior has a mean. (A latent that speaks through its
    variance alone counts as inactive: that is the definition.)

    Args:
        model: The model.
        rows: Data as stored, as for `posterior_moments`; at least two rows.

    Raises:
        ValueError: There are fewer than two rows; the posterior is discrete, or has no mean.
    """
    if len(rows) < 2:
        raise ValueError(
            f"{len(rows)} rows; active units are about how the means vary: give at least two"
        )
    return active(map_rows(_continuous_mean, model, rows, jax.random.key(0)))


def _continuous_mean(model: LatentVariableModel, row: Array, _: PRNGKeyArray) -> Array:
    q = model.encode(model.preprocessing(row))
    if not hasattr(q, "mean"):
        raise ValueError(
            f"the posterior ({type(q).__name__}) has no mean, so active units are not defined for "
            "it; use a posterior that has one"
        )
    discrete = getattr(getattr(q, "support", None), "is_discrete", False)
    if discrete or isinstance(q, OneHotCategorical | ChosenCodes):
        raise ValueError(
            f"the latents are discrete ({type(q).__name__}), so the variance of their means does "
            "not say whether they are active; use the KL divergence of each"
        )
    return q.mean


def kl_by_latent(model: LatentVariableModel, rows: Rows, *, key: PRNGKeyArray) -> tuple[Mean, ...]:
    """KL(q(z_j|x) ‖ p(z_j)) of each latent dimension in nats, averaged over the rows.

    Defined for a posterior and a prior of independent normals: then these sum to the KL.

    Args:
        model: The model.
        rows: Data as stored (the model's preprocessing is applied), rows along the leading axis.
        key: Of row i comes the one binary draw of it, where the model binarises.

    Returns:
        One average a latent, with its standard error over the rows.

    Raises:
        ValueError: There are no rows; or the posterior or the prior is another.
    """
    _check_rows(rows)
    per_row = map_rows(_kl_of_row, model, rows, key)
    return tuple(mean(values) for values in per_row.T)


def _kl_of_row(model: LatentVariableModel, row: Array, key: PRNGKeyArray) -> Array:
    q, p = model.encode(_seen(model, row, key)), model.prior_distribution()
    kl = kl_per_dimension(q, p)
    if kl is None:
        names = " and ".join(type(base_of(d)).__name__ for d in (q, p))
        raise ValueError(
            f"the posterior and the prior are {names}; the KL of each latent needs independent "
            "normals: use the KL of the whole latent"
        )
    return kl


def _seen(model: LatentVariableModel, row: Array, key: PRNGKeyArray) -> Array:
    # The same binary draw as the estimates of log p(x) make of the row.
    return model.preprocessing(row, binary_datum(key))


def _check_rows(rows: Rows) -> None:
    if len(rows) < 1:
        raise ValueError("there are no rows; give at least one")


# --- posterior collapse ------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Collapse:
    """Whether latents were given up, and what to do about it.

    Attributes:
        verdict: "none": every latent is active; "full": no latent is; "partial": some are not.
        latents: The numbers of the inactive ones.
        remedy: One sentence; empty where there is nothing to mend.
        mend: The remedy's name; empty where there is none.
    """

    verdict: Literal["none", "partial", "full"]
    latents: tuple[int, ...]
    remedy: str
    mend: Literal["", "train longer", "lower beta", "warm-up", "free bits", "fewer latents"] = ""


def collapse(
    kl: Float[np.ndarray, " latent"],
    active: Bool[np.ndarray, " marks"],
    *,
    beta: float = 1.0,
    warm_up: int = 0,
) -> Collapse:
    """The verdict on posterior collapse, with a named remedy.

    A latent has collapsed when it is inactive: its posterior is (nearly) the same for every row.
    The remedy, by the first of these rules that holds:

    1. An inactive latent costs 0.1 nats or more. It says nothing and is not at the prior either, so
       the KL is not what silenced it: *train longer*.
    2. beta is above 1: *lower beta* (the pressure was asked for; Higgins et al. 2017).
    3. More than half of the latents are inactive, and the KL was not warmed up: *KL warm-up*
       (Sønderby et al. 2016).
    4. More than half are, in spite of a warm-up: *free bits* (Kingma et al. 2016, §C.8).
    5. Half of them or fewer: *a smaller latent_dim*. The data do not need them, and they cost
       nothing.

    Defined for latents that both arguments are defined for: continuous, with a prior and a
    posterior of independent normals.

    Args:
        kl: The KL of each latent in nats, averaged over rows (`kl_by_latent`).
        active: Which latents are active (`active`), over the same rows.
        beta: The weight of the KL in training, at its end.
        warm_up: Over how many steps the weight grew.

    Raises:
        ValueError: There are no latents, the two arguments differ in length, or a KL is NaN.
    """
    kl = np.asarray(kl, np.float64)
    if len(kl) < 1 or len(kl) != len(active) or np.isnan(kl).any():
        raise ValueError(
            f"KLs of {len(kl)} latents ({np.isnan(kl).sum()} of them NaN) and {len(active)} marks "
            "of activity; give one finite KL and one mark for each latent"
        )
    latents = tuple(int(j) for j in np.flatnonzero(~active))
    if not latents:
        return Collapse("none", latents, "")
    verdict = "full" if len(latents) == len(kl) else "partial"
    used = f"{len(kl) - len(latents)} of {len(kl)} latents are used"
    if np.any(kl[~active] >= _PAID):
        constant = int(np.sum(kl[~active] >= _PAID))
        remedy, mend = (
            f"train longer: {constant} latents are the same for every row, yet not at the prior",
            "train longer",
        )
    elif beta > 1:
        mend, remedy = "lower beta", f"lower beta (it was {beta:g}): {used}"
    elif len(latents) > len(kl) / 2 and warm_up < 1:
        remedy = f"KL warm-up: {used}, and the KL had its whole weight from the first step"
        mend = "warm-up"
    elif len(latents) > len(kl) / 2:
        remedy = f"free bits: {used}, in spite of a warm-up of {warm_up} steps"
        mend = "free bits"
    else:
        mend, remedy = "fewer latents", f"a smaller latent_dim: {used}, and the others cost nothing"
    return Collapse(verdict, latents, remedy, mend)
