"""Is each known factor of the data in a latent of its own? Seven published scores of that.

All take a representation (`codes`, one row a datum: posterior means, usually) and the factors that
the data were made from (`factors`, whole numbers, one column each). All are between 0 and 1. Most
fall when the latents are rotated: that is what they measure; explicitness and β-VAE's score hardly
do, for a linear classifier of all latents is in them. They disagree (Locatello et al. 2019), so
give more than one.
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
_BOOTSTRAPS = 200  # Efron & Tibshirani 1993, §6.4: enough for a standard error

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
        The share, and its standard error over the votes: of those that are scored, and of those
        that decide what a latent stands for, drawn again (the bootstrap); 0 where no latent varies.

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
    decided, scored = found

    def right(votes_for: np.ndarray) -> int:
        return int(scored[np.arange(len(scored)), votes_for.argmax(axis=1)].sum())

    # A latent whose votes are nearly even stands for another factor as they fall: the scored votes
    # alone do not show that.
    again = rng.multinomial(votes, decided.ravel() / votes, _BOOTSTRAPS).reshape(-1, *decided.shape)
    of_scored = share(np.arange(votes) < right(decided))
    of_decided = np.std([right(one) / votes for one in again], ddof=1)
    return Mean(of_scored.mean, float(np.hypot(of_scored.standard_error, of_decided)))


def modularity(codes: np.ndarray, factors: np.ndarray, *, bins: int = 20) -> Mean:
    """Whether a latent tells of one factor only (Ridgeway & Mozer 2018, eq. 2).

    For each latent: one less the squares of what it tells of all factors but its best, as a share
    of the best's square times their number; averaged over the latents. Latents that never vary (as
    in `factor_vae_score`) are left out; counted as 0, as in disentanglement_lib, they would lower
    it. A latent of noise is not near 0: what seems told, of few rows, differs among the factors.

    Args:
        codes: The representation, (rows, latents).
        factors: The factors, (rows, factors), whole numbers.
        bins: Of equal width, that a latent is cut into.

    Returns:
        The score, and its standard error by a jackknife over ten groups of rows, which of few rows
        is rather too large (Efron & Stein 1981); 0 where no latent varies.

    Raises:
        ValueError: The shapes do not fit, or there are too few rows, or a factor never varies.
    """
    codes, factors = _checked(codes, factors)
    used = codes[:, active(codes)]
    if used.shape[1] == 0:
        return Mean(0.0, 0.0)
    binned = np.stack([_binned(column, bins) for column in used.T], axis=1)
    others = max(factors.shape[1] - 1, 1)

    def score(rows: np.ndarray) -> float:
        found = [[_information(z, v) for v in factors[rows].T] for z in binned[rows].T]
        squares = np.square(found)
        best = squares.max(axis=1)
        rest = squares.sum(axis=1) - best
        told = np.where(best > 0, best, 1.0)
        return float(np.mean(np.where(best > 0, 1 - rest / (told * others), 0.0)))

    return _jackknife(score, len(codes))


def explicitness(codes: np.ndarray, factors: np.ndarray) -> Mean:
    """Whether a linear classifier reads the factors (Ridgeway & Mozer 2018, §2).

    A logistic regression on all latents, standardised, predicts each factor; the score is the area
    under the ROC curve of each value against the others on rows that were not fitted, averaged over
    the values, then over the factors. Guessing scores a half.

    Args:
        codes: The representation, (rows, latents).
        factors: The factors, (rows, factors), whole numbers.

    Returns:
        The score, and its standard error by a jackknife over ten groups of the scored rows (not
        over the fitted ones).

    Raises:
        ValueError: The shapes do not fit, or there are too few rows, or a factor never varies, or
            hardly.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    codes, factors = _checked(codes, factors)
    fitted, scored = slice(0, None, 2), slice(1, None, 2)
    codes = _standardised(codes)
    truth = factors[scored]
    tried: list[list[tuple[np.ndarray, np.ndarray]]] = []  # for each value: is it it, how likely
    for k, factor in enumerate(factors.T):
        values = [v for v in np.unique(factor[fitted]) if _in_two_groups(truth[:, k] == v)]
        if not values or len(np.unique(factor[fitted])) < 2:
            raise ValueError(f"factor {k} has too few rows of each value; give more rows")
        classifier = LogisticRegression(max_iter=1000)
        _fit(classifier, codes[fitted], factor[fitted])
        likely = dict(
            zip(classifier.classes_, classifier.predict_proba(codes[scored]).T, strict=True)
        )
        tried.append([(truth[:, k] == v, likely[v]) for v in values])

    def score(rows: np.ndarray) -> float:
        return float(
            np.mean(
                [np.mean([roc_auc_score(is_it[rows], p[rows]) for is_it, p in of]) for of in tried]
            )
        )

    return _jackknife(score, len(truth))


def beta_vae_score(
    codes: np.ndarray, factors: np.ndarray, *, votes: int = 800, rows: int = 64, seed: int = 0
) -> Mean:
    """The score of Higgins et al. 2017, §3: can a linear classifier tell which factor is shared?

    A vote draws pairs of rows that share the value of a random factor, and averages how far the
    latents of a pair lie apart, |z − z'|. A logistic regression is fitted to as many votes, and
    the score is the share of new votes whose factor it names. Guessing scores one over the number
    of factors; rotated latents may still score 1. Latents are standardised first, and those that
    never vary left out, as in `factor_vae_score`.

    Args:
        codes: The representation, (rows, latents).
        factors: The factors, (rows, factors), whole numbers. Rows that share a value of one should
            have all values of the others.
        votes: How many votes, and how many that are scored.
        rows: How many pairs a vote draws, with replacement.
        seed: Of the draws.

    Returns:
        The share, and its standard error over the votes; 0 where no latent varies.

    Raises:
        ValueError: The shapes do not fit, or there are too few rows, or a factor never varies, or
            there is but one factor, or there are too few votes, or no pairs.
    """
    from sklearn.linear_model import LogisticRegression

    codes, factors = _checked(codes, factors)
    if factors.shape[1] < 2:
        raise ValueError("there is one factor only; β-VAE's score tells factors apart: give two")
    if votes < 10 * factors.shape[1] or rows < 1:
        raise ValueError(
            f"{votes} votes of {rows} pairs; give at least ten votes a factor, and a pair"
        )
    used = _standardised(codes[:, active(codes)])
    if used.shape[1] == 0:
        return Mean(0.0, 0.0)
    rng = np.random.default_rng(seed)
    # Every factor in turn, so that each is fitted and scored.
    shared = rng.permuted(np.tile(np.arange(votes) % factors.shape[1], (2, 1)), axis=1)
    apart = np.empty((2, votes, used.shape[1]))
    for k, factor in enumerate(factors.T):
        _, value, count = np.unique(factor, return_inverse=True, return_counts=True)
        alike, start = np.argsort(value, kind="stable"), np.cumsum(count) - count
        for at in np.argwhere(shared == k):
            first = rng.integers(len(used), size=rows)
            second = alike[start[value[first]] + rng.integers(count[value[first]])]
            apart[tuple(at)] = np.abs(used[first] - used[second]).mean(axis=0)
    classifier = LogisticRegression(C=1e4, max_iter=10_000)
    classifier.fit(apart[0], shared[0])
    return share(classifier.predict(apart[1]) == shared[1])


def _standardised(codes: np.ndarray) -> np.ndarray:
    """Of mean 0 and variance 1; a constant is 0."""
    spread = codes.std(axis=0)
    return (codes - codes.mean(axis=0)) / np.where(spread > 0, spread, 1.0)


def _in_two_groups(is_it: np.ndarray) -> bool:
    """Whether both answers stay when the jackknife leaves a group out."""
    groups = np.arange(len(is_it)) % _GROUPS
    return all(len(np.unique(groups[is_it == answer])) > 1 for answer in (True, False))


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
