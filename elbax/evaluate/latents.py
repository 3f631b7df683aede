"""What the latents hold: which are used, what they cost, and what can be read from them."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from elbax.evaluate.bounds import Mean, mean
from elbax.evaluate.tiles import Rows, map_rows
from elbax.model.distributions.basic import OneHotCategorical, sample
from elbax.model.distributions.divergences import kl_per_dimension
from elbax.model.latent_variable_model import LatentVariableModel

ACTIVE = 0.01  # the threshold of Burda et al. 2015, §5.2

_PAID = 0.1  # nats: a latent that says nothing and costs this much is not at the prior
# Rows whose posteriors share a draw. Measured with Gaussian factors of 2 to 40 dimensions: the bias
# of the total correlation is about 0.02 nats at 85 such rows, 0.04 to 0.25 at 25, half a nat at 5.
_FEW_ROWS = 50.0
_BLOCK = 2**20  # log-densities computed at a time: 8 MB


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
    if discrete or isinstance(q, OneHotCategorical):
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
        names = " and ".join(type(_base(d)).__name__ for d in (q, p))
        raise ValueError(
            f"the posterior and the prior are {names}; the KL of each latent needs independent "
            "normals: use the KL of the whole latent"
        )
    return kl


def _seen(model: LatentVariableModel, row: Array, key: PRNGKeyArray) -> Array:
    # The same binary draw as the estimates of log p(x) make of the row.
    binarize, _ = jax.random.split(key)
    return model.preprocessing(row, binarize)


def _base(distribution: Any) -> Any:
    return distribution.base_dist if isinstance(distribution, dist.Independent) else distribution


def _check_rows(rows: Rows) -> None:
    if len(rows) < 1:
        raise ValueError("there are no rows; give at least one")


# --- total correlation -------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class TotalCorrelation:
    """KL(q(z) ‖ ∏_j q(z_j)) of the aggregate posterior q(z) = 1/N Σ_n q(z|x_n), in nats.

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


def total_correlation(
    model: LatentVariableModel, rows: Rows, *, key: PRNGKeyArray, samples: int = 1
) -> TotalCorrelation:
    """The total correlation of the aggregate posterior (Chen et al. 2018, eq. 2, the middle term).

    Where they take a minibatch for the mixture (their eq. 4), all rows given are in it: N² samples
    pairs, in double precision, streamed.

    Defined for a posterior of independent normals.

    Args:
        model: The model.
        rows: Data as stored (the model's preprocessing is applied), rows along the leading axis; at
            least two. Ten thousand rows of ten latents are 10⁹ log-densities.
        key: The randomness: of row i and draw k, and of row i's one binary draw, where the model
            binarises.
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
    q = map_rows(_factors(samples), model, rows, key)
    location, scale, z = (q[name].astype(np.float64) for name in ("mean", "scale", "z"))
    if not np.all(scale > 0):
        raise ValueError(
            "the posterior of a row has a standard deviation of zero: of points the aggregate "
            "posterior has no density, and no total correlation"
        )
    with jax.enable_x64(True):
        location, scale, z = (jnp.asarray(a) for a in (location, scale, z))
        # Rows last: that is the axis that the sums run over.
        found = _aggregate(location.T, scale.T, z.reshape(-1, z.shape[-1]))
        joint, marginals = (np.asarray(a).reshape(z.shape[:2]) for a in found)
        own = np.asarray(jnp.sum(_log_normal(z, location[:, None], scale[:, None]), axis=-1))
    return TotalCorrelation(
        estimate=mean(np.mean(joint - marginals, axis=1)),
        mutual_information=mean(np.mean(own - joint, axis=1)),
        ceiling=math.log(len(rows)),
        count=len(rows),
    )


@functools.cache  # the same function for the same number, so that it is compiled once
def _factors(samples: int) -> Callable[..., dict[str, Array]]:
    def of_row(model: LatentVariableModel, row: Array, key: PRNGKeyArray) -> dict[str, Array]:
        q = model.encode(_seen(model, row, key))
        base = _base(q)
        if type(base) is not dist.Normal:
            raise ValueError(
                f"the posterior is {type(base).__name__}; the total correlation is defined here "
                "for independent normals only"
            )
        _, latent = jax.random.split(key)
        keys = jax.vmap(lambda k: jax.random.fold_in(latent, k))(jnp.arange(samples))
        z = jax.vmap(lambda k: sample(q, k))(keys)
        return {"mean": base.mean, "scale": jnp.sqrt(base.variance), "z": z}

    return of_row


@eqx.filter_jit
def _aggregate(
    location: Float[Array, "latent rows"],
    scale: Float[Array, "latent rows"],
    z: Float[Array, "draws latent"],
) -> tuple[Float[Array, " draws"], Float[Array, " draws"]]:
    """The logarithms of q(z) and of ∏_j q(z_j) at each z."""
    log_rows = math.log(location.shape[1])

    def of_draw(z: Array) -> tuple[Array, Array]:
        terms = _log_normal(z[:, None], location, scale)
        marginals = jax.nn.logsumexp(terms, axis=1) - log_rows
        return jax.nn.logsumexp(jnp.sum(terms, axis=0)) - log_rows, jnp.sum(marginals)

    return jax.lax.map(of_draw, z, batch_size=max(1, _BLOCK // location.size))


def _log_normal(z: Array, location: Array, scale: Array) -> Array:
    standard = (z - location) / scale
    return -0.5 * jnp.square(standard) - jnp.log(scale) - 0.5 * math.log(2 * math.pi)


# --- posterior collapse ------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Collapse:
    """Whether latents were given up, and what to do about it.

    Attributes:
        verdict: "none": every latent is active; "full": no latent is; "partial": some are not.
        latents: The numbers of the inactive ones.
        remedy: One sentence; empty where there is nothing to mend.
    """

    verdict: Literal["none", "partial", "full"]
    latents: tuple[int, ...]
    remedy: str


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
        remedy = (
            f"train longer: {constant} latents are the same for every row, yet not at the prior"
        )
    elif beta > 1:
        remedy = f"lower beta (it was {beta:g}): {used}"
    elif len(latents) > len(kl) / 2 and warm_up < 1:
        remedy = f"KL warm-up: {used}, and the KL had its whole weight from the first step"
    elif len(latents) > len(kl) / 2:
        remedy = f"free bits: {used}, in spite of a warm-up of {warm_up} steps"
    else:
        remedy = f"a smaller latent_dim: {used}, and the others cost nothing"
    return Collapse(verdict, latents, remedy)


# --- labels ------------------------------------------------------------------------------------


def neighbour_accuracy(
    means_train: Float[np.ndarray, "train latent"],
    labels_train: np.ndarray | None,
    means_test: Float[np.ndarray, "test latent"],
    labels_test: np.ndarray | None,
    neighbours: int = 5,
) -> Mean:
    """The share of test rows whose label most of their nearest neighbours in latent space have.

    Euclidean distance between posterior means as they are (not standardised, so that a collapsed
    latent counts for nothing). Defined for latents that are one vector of numbers a row, with a
    class for each row.

    Args:
        means_train: Posterior means of the rows that neighbours are sought among.
        labels_train: Their classes, integers or words.
        means_test: Posterior means of other rows.
        labels_test: Their classes.
        neighbours: How many vote.

    Returns:
        The share, and its standard error over the test rows (not over the training rows).

    Raises:
        ValueError: Labels are missing, are not classes, or are of one class only; there are fewer
            training rows than neighbours; a mean is not finite; or the sizes differ.
    """
    from sklearn.neighbors import KNeighborsClassifier

    _check_probe(means_train, labels_train, means_test, labels_test)
    if not 1 <= neighbours <= len(means_train):
        raise ValueError(
            f"{neighbours} neighbours among {len(means_train)} training rows; give at least one "
            "neighbour, and as many rows as neighbours"
        )
    classifier = KNeighborsClassifier(neighbours)
    return _accuracy(classifier, means_train, labels_train, means_test, labels_test)


def linear_probe_accuracy(
    means_train: Float[np.ndarray, "train latent"],
    labels_train: np.ndarray | None,
    means_test: Float[np.ndarray, "test latent"],
    labels_test: np.ndarray | None,
) -> Mean:
    """The share of test rows that a logistic regression on the latents classifies rightly.

    Posterior means, standardised by the training rows; an L2 penalty of weight 1. Defined for
    latents that are one vector of numbers a row, with a class for each row.

    Args:
        means_train: Posterior means of the rows that the regression is fitted to.
        labels_train: Their classes, integers or words.
        means_test: Posterior means of other rows.
        labels_test: Their classes.

    Returns:
        The share, and its standard error over the test rows (not over the training rows).

    Raises:
        ValueError: Labels are missing, are not classes, or are of one class only; a mean is not
            finite; or the sizes differ.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    _check_probe(means_train, labels_train, means_test, labels_test)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    return _accuracy(classifier, means_train, labels_train, means_test, labels_test)


def check_classes(labels: np.ndarray | None, count: int, what: str) -> np.ndarray:
    """The labels, if they are one class a row.

    Args:
        labels: The labels, or None where there are none.
        count: How many rows there are.
        what: What the rows are called, for the message.

    Raises:
        ValueError: They are missing, not one a row, or not classes.
    """
    if labels is None:
        raise ValueError(f"the {what} have no labels; give one class a row")
    labels = np.asarray(labels)
    if labels.shape != (count,):
        raise ValueError(f"labels of shape {labels.shape} for {count} {what}; give one class a row")
    # NaN is unequal to itself.
    fraction = labels.dtype.kind == "f" and not np.all(labels == np.floor(labels))
    if fraction or any(label is None or label != label for label in labels.tolist()):  # noqa: PLR0124
        raise ValueError(
            f"labels of the {what} are missing or not whole numbers; leave out the rows without "
            "one, and cut a measured quantity into classes"
        )
    return labels


def _check_probe(
    means_train: np.ndarray,
    labels_train: np.ndarray | None,
    means_test: np.ndarray,
    labels_test: np.ndarray | None,
) -> None:
    labels = check_classes(labels_train, len(means_train), "training rows")
    check_classes(labels_test, len(means_test), "test rows")
    if len(means_test) < 1 or len(np.unique(labels)) < 2:
        raise ValueError(
            f"{len(np.unique(labels))} classes among the training rows and {len(means_test)} test "
            "rows; an accuracy needs two classes and a test row"
        )
    for what, means in (("training", means_train), ("test", means_test)):
        if not np.isfinite(means).all():
            raise ValueError(f"a latent of a {what} row is not finite; leave that row out")


def _accuracy(
    classifier: Any,
    means_train: np.ndarray,
    labels_train: np.ndarray | None,
    means_test: np.ndarray,
    labels_test: np.ndarray | None,
) -> Mean:
    classifier.fit(np.asarray(means_train, np.float64), labels_train)
    predicted = classifier.predict(np.asarray(means_test, np.float64))
    return mean(np.asarray(predicted == labels_test, np.float64))
