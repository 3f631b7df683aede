"""How near samples are to data, in a feature space.

All functions take features, `(rows, features)`; `elbax.evaluate.samples.features` makes them. None
of these numbers means anything without the name of that space, the numbers of rows, and the same
numbers between two sets of data: the held-out data against the training data is the yardstick.
"""

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from elbax.evaluate.bounds import Mean, mean, share

_MEGABYTES = 64  # of distances in memory at a time
_SUBSET = 1000  # rows (Bińkowski et al. 2018, §4)
_SUBSETS = 10  # at least: so many independent estimates give a standard error
_HALVINGS = 12  # each costs half of what the shares themselves do
_SAME = 1e-6  # of the rows' length: below it a distance is rounding, and the rows are equal
_CLOSE = 0.01  # the quantile of the held-out distances below which a sample is called close


# --- distances between two sets ----------------------------------------------------------------


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """The squared Fréchet distance of two normals with the moments of the sets.

    ‖μ_a − μ_b‖² + tr(Σ_a + Σ_b − 2 (Σ_a Σ_b)^½) (Heusel et al. 2017, eq. 6; Dowson & Landau 1982).
    Biased upwards, by an amount that depends on the sets' sizes and on the generator (Chong &
    Forsyth 2020): compare only numbers of equal counts, and many more rows than dimensions.

    With Σ = Rᵀ R by the triangular factor of the centred rows, tr (Σ_a Σ_b)^½ is the sum of the
    singular values of R_a R_bᵀ: no square root of a singular matrix is taken.

    Args:
        a: One set's features, `(rows, features)`.
        b: The other's.

    Raises:
        ValueError: A set has fewer than two rows, the sets differ in their features, or a feature
            is not finite.
    """
    _check(2, first=a, second=b)
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    shift = a.mean(axis=0) - b.mean(axis=0)
    factor_a, factor_b = _covariance_factor(a), _covariance_factor(b)
    overlap = np.linalg.svd(factor_a @ factor_b.T, compute_uv=False).sum()
    distance = shift @ shift + np.sum(factor_a**2) + np.sum(factor_b**2) - 2 * overlap
    return max(float(distance), 0.0)


def _covariance_factor(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "r d"]:
    """R with Rᵀ R the unbiased covariance of the rows."""
    factor = np.linalg.qr((x - x.mean(axis=0)) / math.sqrt(len(x) - 1), mode="r")
    return np.asarray(factor)


def kernel_distance(a: np.ndarray, b: np.ndarray, *, seed: int) -> Mean:
    """The squared maximum mean discrepancy by the kernel (x·y / d + 1)³.

    The kernel inception distance of Bińkowski et al. 2018, §4, in any feature space. Unbiased: zero
    on average for sets of one distribution, so it may be negative. The average over subsets of at
    most 1,000 rows of each set. The paper draws subsets that may overlap; these don't, so they are
    independent, and the standard error is one.

    Args:
        a: One set's features, `(rows, features)`.
        b: The other's.
        seed: Of the rows' order, by which the subsets are cut.

    Returns:
        The average over subsets and its standard error, over the rows of both sets.

    Raises:
        ValueError: A set has fewer than 20 rows (ten subsets of two), the sets differ in their
            features, or a feature is not finite.
    """
    _check(2 * _SUBSETS, first=a, second=b)
    fewer = min(len(a), len(b))
    size = min(_SUBSET, fewer // _SUBSETS)
    count = fewer // size
    rng = np.random.default_rng(seed)
    parts = [
        np.asarray(x, np.float64)[rng.permutation(len(x))[: count * size]].reshape(count, size, -1)
        for x in (a, b)
    ]
    return mean(np.array([_squared_discrepancy(x, y) for x, y in zip(*parts, strict=True)]))


def _squared_discrepancy(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "n d"]) -> float:
    """The unbiased estimate (Gretton et al. 2012, lemma 6): no row is paired with itself."""
    from sklearn.metrics.pairwise import polynomial_kernel

    n = len(x)
    within = sum(k.sum() - k.trace() for k in (polynomial_kernel(x), polynomial_kernel(y)))
    return float(within / (n * (n - 1)) - 2 * polynomial_kernel(x, y).mean())


# --- fidelity and diversity --------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class PrecisionRecall:
    """Shares of balls and points; each row of a set has the ball up to its k-th nearest neighbour.

    Standard errors are over the rows of both sets: a row moves the balls round it too, so that an
    average over points with the balls as they are would vary by half of what these do. A set is cut
    in halves at random, several times; halves are independent, so that the square of their
    difference is four times the variance of the whole, whose variance falls as one over its rows.

    Attributes:
        precision: The share of generated rows that lie in a ball of a real one.
        recall: The share of real rows that lie in a ball of a generated one.
        density: How many balls of real rows a generated row lies in, over k: 1 on average for sets
            of one distribution; above 1 where the samples crowd in the middle of the data.
        coverage: The share of balls of real rows that hold a generated one: near 1 − 2⁻ᵏ for equal
            counts of one distribution.
    """

    precision: Mean
    recall: Mean
    density: Mean
    coverage: Mean


def precision_recall_density_coverage(
    real: np.ndarray, generated: np.ndarray, neighbours: int = 5
) -> PrecisionRecall:
    """Improved precision and recall, density and coverage of samples.

    Kynkäänniemi et al. 2019, eq. 1 and 2; Naeem et al. 2020, eq. 3 and 4. Euclidean distances; a
    row is no neighbour of itself; a ball holds its rim. All four depend on the counts: give as many
    samples as there are data.

    Args:
        real: The data's features, `(rows, features)`.
        generated: The samples'.
        neighbours: k, of a ball's radius.

    Raises:
        ValueError: There is no neighbour to count, a set does not have more rows than neighbours,
            the sets differ in their features, or a feature is not finite.
    """
    if neighbours < 1:
        raise ValueError(f"{neighbours} neighbours; a ball needs one at least")
    _check(neighbours + 1, real=real, generated=generated)
    whole = _shares(real, generated, neighbours)
    errors = _halved(real, generated, neighbours)
    return PrecisionRecall(*(Mean(*each) for each in zip(whole, errors, strict=True)))


def _halved(
    real: Float[np.ndarray, "n d"], generated: Float[np.ndarray, "m d"], neighbours: int
) -> list[float]:
    """The standard errors of `_shares`; NaN where a half has no more rows than neighbours."""
    if min(len(real), len(generated)) // 2 <= neighbours:
        return [math.nan] * 4
    rng = np.random.default_rng(0)
    squares = np.zeros(4)
    for _ in range(_HALVINGS):
        a, b = (np.array_split(x[rng.permutation(len(x))], 2) for x in (real, generated))
        first, second = (np.array(_shares(a[half], b[half], neighbours)) for half in (0, 1))
        squares += (first - second) ** 2
    return np.sqrt(squares / (4 * _HALVINGS)).tolist()


def _shares(
    real: Float[np.ndarray, "n d"], generated: Float[np.ndarray, "m d"], neighbours: int
) -> tuple[float, float, float, float]:
    """Precision, recall, density and coverage."""
    real_radii = _radii(real, neighbours)
    generated_radii = _radii(generated, neighbours)
    recalled, covered = np.zeros(len(real), bool), np.zeros(len(real), bool)
    balls = []
    for start, distances in _distances(generated, real):
        inside = distances <= real_radii
        balls.append(inside.sum(axis=1))
        covered |= inside.any(axis=0)
        radii = generated_radii[start : start + len(distances), None]
        recalled |= (distances <= radii).any(axis=0)
    balls = np.concatenate(balls)
    found = balls > 0, recalled, balls / neighbours, covered
    precision, recall, density, coverage = (float(np.mean(each)) for each in found)
    return precision, recall, density, coverage


def _radii(x: Float[np.ndarray, "n d"], neighbours: int) -> Float[np.ndarray, " n"]:
    """The distance of each row to its k-th nearest other, and a rounding error more."""
    parts = [
        # A row is its own nearest, so the k-th other is at place k, counted from 0.
        np.partition(distances, neighbours, axis=1)[:, neighbours]
        for _, distances in _distances(x, x)
    ]
    return np.concatenate(parts) * (1 + 1e-9)


def _distances(
    a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"]
) -> Iterator[tuple[int, Float[np.ndarray, "rows m"]]]:
    """The distances of some rows of a to all of b, with the number of the first of these rows.

    They come from products of rows (fast), which leaves equal rows a little apart: that is mended.
    """
    from sklearn.metrics import pairwise_distances_chunked

    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    center = b.mean(axis=0)  # the shorter the rows, the less is rounded
    a, b = a - center, b - center
    lengths_a, lengths_b = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    start = 0
    for distances in pairwise_distances_chunked(a, b, working_memory=_MEGABYTES):
        longest = np.maximum(lengths_a[start : start + len(distances), None], lengths_b)
        distances[distances < _SAME * longest] = 0.0
        yield start, distances
        start += len(distances)


# --- memorisation ------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Memorisation:
    """Whether samples are copies of training data.

    How to read it: held-out data is as near to the training data as the distribution makes it. A
    generator that has learnt the distribution makes samples that are as near: `share` is about
    `held_out_share`, and `z_score` within ±3. A z-score of −3 or less says that samples are
    systematically *nearer* than held-out data: training rows are copied. A `share` far above
    `held_out_share` says that some are. A z-score above 3 says that samples are farther from the
    data than data is: they fit badly, and copies among them don't show in the z-score; look at the
    share, and at the pictures.

    Attributes:
        nearest: The number of the training row that is nearest to each sample.
        distance: Its distance.
        held_out_distance: That of each held-out row to its nearest training row.
        threshold: The 1 % quantile of `held_out_distance`.
        share: The share of samples as near as the threshold or nearer, with its standard error.
        held_out_share: The share of held-out rows of which that is true: 0.01, more where distances
            are equal or rows are few.
        z_score: Of the Mann–Whitney statistic of the samples' distances against the held-out rows'
            (Z_U of Meehan et al. 2020, over all of the space; their C_T averages it over the cells
            of a partition).
    """

    nearest: Int[np.ndarray, " generated"]
    distance: Float[np.ndarray, " generated"]
    held_out_distance: Float[np.ndarray, " held_out"]
    threshold: float
    share: Mean
    held_out_share: float
    z_score: float


def memorisation(train: np.ndarray, held_out: np.ndarray, generated: np.ndarray) -> Memorisation:
    """The nearest training neighbours of samples against those of held-out data.

    Args:
        train: Features of the rows that the model was trained on, `(rows, features)`.
        held_out: Features of other rows of the same distribution, which it never saw.
        generated: Features of its samples.

    Raises:
        ValueError: A set is empty, the sets differ in their features, or a feature is not finite.
    """
    _check(1, train=train, held_out=held_out, generated=generated)
    nearest, distance = _nearest(train, generated)
    _, held_out_distance = _nearest(train, held_out)
    threshold = float(np.quantile(held_out_distance, _CLOSE))
    return Memorisation(
        nearest=nearest,
        distance=distance,
        held_out_distance=held_out_distance,
        threshold=threshold,
        share=share(distance <= threshold),
        held_out_share=float(np.mean(held_out_distance <= threshold)),
        z_score=_mann_whitney(distance, held_out_distance),
    )


def _nearest(
    train: Float[np.ndarray, "n d"], rows: Float[np.ndarray, "m d"]
) -> tuple[Int[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    from sklearn.metrics import pairwise_distances_argmin

    train, rows = np.asarray(train, np.float64), np.asarray(rows, np.float64)
    center = train.mean(axis=0)  # the shorter the rows, the less is rounded
    nearest = pairwise_distances_argmin(rows - center, train - center)
    # Once more by differences: a copy is at distance zero.
    return nearest, np.linalg.norm(rows - train[nearest], axis=1)


def _mann_whitney(x: Float[np.ndarray, " m"], y: Float[np.ndarray, " n"]) -> float:
    """(U − its mean) / its standard deviation under equal distributions, ties counted as half."""
    import scipy.stats

    statistic = scipy.stats.mannwhitneyu(x, y, method="asymptotic").statistic
    m, n = len(x), len(y)
    # 1 without ties, 0 where all are equal.
    ties = scipy.stats.tiecorrect(scipy.stats.rankdata(np.concatenate([x, y])))
    deviation = math.sqrt(ties * m * n * (m + n + 1) / 12)
    return (float(statistic) - m * n / 2) / deviation if deviation > 0 else 0.0


def _check(fewest: int, **sets: np.ndarray) -> None:
    """Refuses sets that are too small, differ in their features, or are not finite."""
    for name, x in sets.items():
        if x.ndim != 2:
            raise ValueError(
                f"{name} has the shape {x.shape}, not (rows, features); see "
                "elbax.evaluate.samples.features"
            )
        if len(x) < fewest:
            raise ValueError(f"{name}: {len(x)} rows; this takes {fewest} at least")
        if not np.isfinite(x).all():
            raise ValueError(f"{name}: a feature is not finite; leave its row out")
    widths = {name: x.shape[1] for name, x in sets.items()}
    if len(set(widths.values())) > 1:
        raise ValueError(
            f"the sets have different numbers of features {widths}; make all by the same space"
        )
