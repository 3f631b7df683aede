"""Is each known factor of the data in a latent of its own? Four published scores of that.

All take a representation (`codes`, one row a datum: posterior means, usually) and the factors that
the data were made from (`factors`, whole numbers, one column each). All are between 0 and 1, and
none is invariant to a rotation of the latents: that is what they measure. They disagree (Locatello
et al. 2019), so give more than one.
"""

import dataclasses
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from elbax.evaluate.bounds import Mean, share
from elbax.evaluate.latents.units import active

_GROUPS = 10  # of rows that the jackknife leaves out in turn

Codes = Float[np.ndarray, "rows latent"]
Factors = Int[np.ndarray, "rows factor"]


@dataclasses.dataclass(frozen=True)
class DCI:
    """The scores of Eastwood & Williams 2018.

    Attributes:
        disentanglement: Whether a latent is important for one factor only.
        completeness: Whether one latent is all that is important for a factor.
        informativeness: The share of test rows whose factors are predicted, averaged over the
            factors (a random forest's accuracy), with its standard error over the test rows.
        importance: How important each latent is for each factor: a column sums to one.
    """

    disentanglement: float
    completeness: float
    informativeness: Mean
    importance: Float[np.ndarray, "latent factor"]


def mutual_information_gap(codes: np.ndarray, factors: np.ndarray, *, bins: int = 20) -> Mean:
    """The mutual information gap (Chen et al. 2018, eq. 6), with its standard error.

    For each factor: how much more the latent that tells most of it tells than the next one, as a
    share of the factor's entropy; averaged over the factors. Latents are cut into bins of equal
    width, which is the usual estimate: with few rows each bin is noisy, and every mutual
    information, though hardly their difference, comes out too large.

    Args:
        codes: The representation, (rows, latents).
        factors: The factors, (rows, factors), whole numbers.
        bins: How many bins.

    Returns:
        The gap, and its standard error by a jackknife over ten groups of rows.

    Raises:
        ValueError: The shapes do not fit, or there are too few rows, or a factor never varies.
    """
    codes, factors = _checked(codes, factors)
    binned = np.stack([_binned(column, bins) for column in codes.T], axis=1)

    def gap(rows: np.ndarray) -> float:
        found = np.array([[_information(z, v) for v in factors[rows].T] for z in binned[rows].T])
        entropies = np.array([_information(v, v) for v in factors[rows].T])
        return float(np.mean(_top_gap(found) / entropies))

    return _jackknife(gap, len(codes))


def attribute_predictability(codes: np.ndarray, factors: np.ndarray) -> Mean:
    """The separated attribute predictability, SAP (Kumar et al. 2018, §3), with its standard error.

    For each factor: how much better the best latent alone predicts it than the second best, in
    balanced accuracy on rows that were not fitted; averaged over the factors. The predictor is as
    many thresholds on the latent as tell the factor's values apart (a decision tree of one leaf a
    value).

    Args:
        codes: The representation, (rows, latents).
        factors: The factors, (rows, factors), whole numbers.

    Returns:
        The score, and its standard error by a jackknife over ten groups of the scored rows (not
        over the fitted ones).

    Raises:
        ValueError: The shapes do not fit, or there are too few rows, or a factor never varies.
    """
    from sklearn.tree import DecisionTreeClassifier

    codes, factors = _checked(codes, factors)
    fitted, scored = slice(0, None, 2), slice(1, None, 2)
    truth = factors[scored]
    guesses = np.empty((codes.shape[1], *truth.shape), factors.dtype)
    for i, column in enumerate(codes.T):
        for k, factor in enumerate(factors.T):
            leaves = len(np.unique(factor[fitted]))
            tree = DecisionTreeClassifier(
                max_leaf_nodes=max(leaves, 2), class_weight="balanced", random_state=0
            )
            _fit(tree, column[fitted, None], factor[fitted])
            guesses[i, :, k] = tree.predict(column[scored, None])

    def score(rows: np.ndarray) -> float:
        right = guesses[:, rows] == truth[rows]
        found = np.array(
            [
                [_balanced(right[i, :, k], truth[rows, k]) for k in range(truth.shape[1])]
                for i in range(len(guesses))
            ]
        )
        return float(np.mean(_top_gap(found)))

    return _jackknife(score, len(truth))


def dci(codes: np.ndarray, factors: np.ndarray, *, trees: int = 20, seed: int = 0) -> DCI:
    """Disentanglement, completeness and informativeness (Eastwood & Williams 2018, §2).

    A random forest predicts each factor from all latents; how much each latent reduces the impurity
    is its importance. Every split sees every latent, so that one that tells nothing has none.

    Args:
        codes: The representation, (rows, latents).
        factors: The factors, (rows, factors), whole numbers.
        trees: Of a forest.
        seed: Of the forests.

    Raises:
        ValueError: The shapes do not fit, or there are too few rows, or a factor never varies.
    """
    from sklearn.ensemble import RandomForestClassifier

    codes, factors = _checked(codes, factors)
    fitted, scored = slice(0, None, 2), slice(1, None, 2)
    columns, right = [], []
    for factor in factors.T:
        forest = RandomForestClassifier(
            trees,
            max_features=None,  # pyright: ignore[reportArgumentType] - its own default says str
            random_state=seed,
        )
        _fit(forest, codes[fitted], factor[fitted])
        columns.append(forest.feature_importances_)
        right.append(forest.predict(codes[scored]) == factor[scored])
    importance = np.stack(columns, axis=1)
    by_row = np.mean(right, axis=0)
    error = float(by_row.std(ddof=1) / math.sqrt(len(by_row)))
    return DCI(
        _focus(importance), _focus(importance.T), Mean(float(by_row.mean()), error), importance
    )


def factor_vae_score(
    codes: np.ndarray, factors: np.ndarray, *, votes: int = 800, rows: int = 64, seed: int = 0
) -> Mean:
    """The score of Kim & Mnih 2018, §4: which latent varies least when one factor is held?

    A vote holds a random factor at a random value, draws rows that have it, and names the latent
    whose variance over them is least, as a share of its variance over the data. A latent stands for
    the factor that it got most votes from; the score is the share of as many new votes that agree.
    Guessing scores one over the number of factors. Latents that never vary (a variance of their
    means of a hundredth or less) are left out, as theirs are.

    Args:
        codes: The representation, (rows, latents).
        factors: The factors, (rows, factors), whole numbers. Rows that share a value of one should
            have all values of the others.
        votes: How many votes, and how many that are scored.
        rows: How many rows a vote draws, with replacement.
        seed: Of the draws.

    Returns:
        The share, and its standard error over the votes; 0 where no latent varies.

    Raises:
        ValueError: The shapes do not fit, or there are too few rows, or a factor never varies, or
            there are no votes, or fewer than two rows a vote.
    """
    codes, factors = _checked(codes, factors)
    if votes < 1 or rows < 2:
        raise ValueError(f"{votes} votes of {rows} rows; give at least one vote of two rows")
    used = codes[:, active(codes)]
    if used.shape[1] == 0:
        return Mean(0.0, 0.0)
    rng = np.random.default_rng(seed)
    spread = used.var(axis=0)
    found = np.zeros((2, used.shape[1], factors.shape[1]), int)
    for number in range(2 * votes):
        factor = rng.integers(factors.shape[1])
        value = factors[rng.integers(len(factors)), factor]
        alike = np.flatnonzero(factors[:, factor] == value)
        drawn = used[rng.choice(alike, rows)]
        found[number % 2, np.argmin(drawn.var(axis=0) / spread), factor] += 1
    stands_for = found[0].argmax(axis=1)
    right = int(found[1, np.arange(used.shape[1]), stands_for].sum())
    return share(np.arange(votes) < right)


def _fit(classifier: Any, codes: np.ndarray, factor: np.ndarray) -> None:
    with warnings.catch_warnings():
        # Of few rows, a factor of forty values looks like a number to scikit-learn.
        warnings.filterwarnings("ignore", "The number of unique classes is greater")
        classifier.fit(codes, factor)


def _checked(codes: np.ndarray, factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    codes, factors = np.asarray(codes, np.float64), np.asarray(factors)
    if codes.ndim != 2 or factors.ndim != 2 or len(codes) != len(factors):
        raise ValueError(
            f"codes of shape {codes.shape} and factors of shape {factors.shape}; give one row a "
            "datum in both: (rows, latents) and (rows, factors)"
        )
    if factors.dtype.kind not in "iu" or not np.isfinite(codes).all():
        raise ValueError("factors must be whole numbers, and codes finite")
    if len(codes) < 2 * _GROUPS:
        raise ValueError(f"{len(codes)} rows; give at least {2 * _GROUPS}, better thousands")
    constant = np.flatnonzero((factors == factors[0]).all(axis=0))
    if len(constant):
        raise ValueError(f"factor {constant[0]} has one value only; leave it out")
    return codes, factors


def _binned(column: np.ndarray, bins: int) -> np.ndarray:
    """Numbers of equal-width bins; a constant has one."""
    low, high = column.min(), column.max()
    if not high > low:
        return np.zeros(len(column), int)
    return np.minimum(((column - low) / (high - low) * bins).astype(int), bins - 1)


def _information(a: np.ndarray, b: np.ndarray) -> float:
    """The mutual information of two discrete variables in nats."""
    from sklearn.metrics import mutual_info_score

    return float(mutual_info_score(a, b))


def _top_gap(scores: Float[np.ndarray, "latent factor"]) -> Float[np.ndarray, " factor"]:
    """The best score less the second best, factor by factor; a single latent has no rival."""
    ordered = np.sort(scores, axis=0)
    return ordered[-1] - (ordered[-2] if len(ordered) > 1 else 0.0)


def _balanced(right: np.ndarray, truth: np.ndarray) -> float:
    """The accuracy of each value, averaged."""
    return float(np.mean([right[truth == value].mean() for value in np.unique(truth)]))


def _focus(importance: np.ndarray) -> float:
    """One less the entropy of each row's shares, to base the number of columns, weighed by rows."""
    total = importance.sum()
    if total == 0:
        return 0.0
    rows = importance[importance.sum(axis=1) > 0]
    shares = rows / rows.sum(axis=1, keepdims=True)
    if shares.shape[1] < 2:
        return 1.0
    entropy = -np.sum(shares * np.log(np.where(shares > 0, shares, 1.0)), axis=1)
    return float(np.sum(rows.sum(axis=1) / total * (1 - entropy / math.log(shares.shape[1]))))


def _jackknife(estimate: Callable[[np.ndarray], float], count: int) -> Mean:
    """An estimate from all rows, and its standard error by leaving out each tenth of them."""
    groups = np.arange(count) % _GROUPS
    without = np.array([estimate(np.flatnonzero(groups != group)) for group in range(_GROUPS)])
    spread = np.sum((without - without.mean()) ** 2)
    error = math.sqrt((_GROUPS - 1) / _GROUPS * spread)
    return Mean(estimate(np.arange(count)), error)
