"""Samples against data: perfect, far apart and degenerate sets, and closed forms."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from elbax.evaluate import (
    frechet_distance,
    kernel_distance,
    memorisation,
    precision_recall_density_coverage,
)


def normal(rows: int, seed: int, d: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, d))


def moments(mean: np.ndarray, covariance: np.ndarray, rows: int, seed: int) -> np.ndarray:
    """Rows whose sample mean and covariance are exactly these."""
    x = normal(rows, seed, len(mean))
    x -= x.mean(axis=0)
    x = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T))).T
    return x @ np.linalg.cholesky(covariance).T + mean


# --- Fréchet -------------------------------------------------------------------------------


def test_frechet_distance_is_that_of_two_normals():
    rng = np.random.default_rng(1)
    (a, b), means = rng.normal(size=(2, 4, 4)), rng.normal(size=(2, 4))
    a, b = a @ a.T + np.eye(4), b @ b.T
    found = frechet_distance(moments(means[0], a, 60, 2), moments(means[1], b, 45, 3))
    root = np.real(scipy.linalg.sqrtm(a @ b))
    expected = np.sum((means[0] - means[1]) ** 2) + np.trace(a + b - 2 * root)
    assert found == pytest.approx(expected, rel=1e-9)
    # By hand, of independent normals: Σ (μ − μ')² + (σ − σ')².
    s, t = np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 0.5])
    x = moments(np.array([0.0, 1.0, 0.0]), np.diag(s**2), 30, 4)
    y = moments(np.zeros(3), np.diag(t**2), 30, 5)
    assert frechet_distance(x, y) == pytest.approx(1 + 1 + 2.5**2, rel=1e-9)


def test_frechet_distance_of_equal_far_and_collapsed_sets():
    x = normal(50, 6)
    assert frechet_distance(x, x) < 1e-12
    assert frechet_distance(x, x[::-1]) < 1e-12
    assert frechet_distance(x, x + 3) == pytest.approx(4 * 9, rel=1e-9)
    # One point for all samples: the whole variance is missing.
    collapsed = np.tile(x.mean(axis=0), (20, 1))
    assert frechet_distance(x, collapsed) == pytest.approx(np.trace(np.cov(x.T)), rel=1e-9)
    assert frechet_distance(collapsed, collapsed) == 0


def test_frechet_distance_with_fewer_rows_than_features_is_the_square_root_of_the_small_product():
    # The covariances are singular: scipy's root of their product is not to be had.
    a, b = normal(6, 7, 40), 2 * normal(9, 8, 40)
    ca, cb = ((x - x.mean(axis=0)) / math.sqrt(len(x) - 1) for x in (a, b))
    # tr (Σa Σb)^½ is the sum of the roots of the eigenvalues of (A Bᵀ)(A Bᵀ)ᵀ.
    product = ca @ cb.T
    overlap = np.sqrt(np.maximum(np.linalg.eigvalsh(product @ product.T), 0)).sum()
    shift = a.mean(axis=0) - b.mean(axis=0)
    expected = shift @ shift + (ca**2).sum() + (cb**2).sum() - 2 * overlap
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-12)


# --- kernel --------------------------------------------------------------------------------


def brute_force(x: np.ndarray, y: np.ndarray) -> float:
    """The unbiased squared discrepancy by a double loop."""

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    n = len(x)
    pairs = list(itertools.permutations(range(n), 2))
    within = sum(k(x[i], x[j]) + k(y[i], y[j]) for i, j in pairs) / len(pairs)
    return within - 2 * sum(k(a, b) for a in x for b in y) / n**2


def test_kernel_distance_is_the_average_of_a_double_loop():
    # 23 rows make eleven subsets of two, whose order the seed says.
    a, b = normal(23, 9), normal(25, 10) + 0.5
    rng = np.random.default_rng(11)
    first, second = (x[rng.permutation(len(x))[:22]].reshape(11, 2, 4) for x in (a, b))
    values = [brute_force(x, y) for x, y in zip(first, second, strict=True)]
    found = kernel_distance(a, b, seed=11)
    assert found.mean == pytest.approx(np.mean(values))
    assert found.standard_error == pytest.approx(scipy.stats.sem(values))
    assert found == kernel_distance(a, b, seed=11)
    assert found != kernel_distance(a, b, seed=12)


def population(shift: float, d: int) -> float:
    """The squared discrepancy of N(0, I) and N(shift, I), from the moments of the kernel.

    x·y / d + 1 to the third power is a sum over i of C(3, i) E[(x·y)ⁱ] / dⁱ, and E[(x·y)ⁱ] is the
    squared norm of a tensor of moments: of the first, second and third.
    """

    def inner(a: float, b: float) -> list[float]:
        m = d * a * b  # the product of the means
        second = d * (1 + a * a) * (1 + b * b) + d * (d - 1) * (a * b) ** 2
        e2 = lambda c: 1 + c * c  # noqa: E731
        e3 = lambda c: 3 * c + c**3  # noqa: E731
        third = d * e3(a) * e3(b)
        third += 3 * d * (d - 1) * e2(a) * e2(b) * a * b
        third += d * (d - 1) * (d - 2) * (a * b) ** 3
        return [m, second, third]

    def kernel(a: float, b: float) -> float:
        moments = [1.0, *inner(a, b)]
        return sum(math.comb(3, i) * moments[i] / d**i for i in range(4))

    return kernel(0, 0) + kernel(shift, shift) - 2 * kernel(0, shift)


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_kernel_distance_is_unbiased_and_its_error_is_one(shift):
    exact = population(shift, d=4)
    found = [
        kernel_distance(normal(400, seed), normal(400, 1000 + seed) + shift, seed=seed)
        for seed in range(100)
    ]
    values = np.array([m.mean for m in found])
    assert abs(values.mean() - exact) < 4 * scipy.stats.sem(values)
    assert values.mean() > 20 * scipy.stats.sem(values) or shift == 0
    # Ten subsets: the z-scores follow Student's t of 9 degrees, of variance 9/7, about.
    scores = (values - exact) / np.array([m.standard_error for m in found])
    assert scipy.stats.kstest(scores, scipy.stats.t(9).cdf).pvalue > 1e-4


def test_kernel_distance_of_a_collapsed_set_is_that_of_a_point():
    # All samples at 0, where k(0, ·) = 1: E k(x, x') − 1.
    x = normal(5000, 13)
    found = kernel_distance(x, np.zeros((5000, 4)), seed=0)
    # E (x·x'/d + 1)³ = 1 + 3 E(x·x')²/d² = 1 + 3/d.
    assert abs(found.mean - 3 / 4) < 4 * found.standard_error
    assert found.standard_error < 0.04


# --- precision, recall, density, coverage --------------------------------------------------


def values(real: np.ndarray, generated: np.ndarray, neighbours: int = 5) -> tuple[float, ...]:
    found = precision_recall_density_coverage(real, generated, neighbours)
    return tuple(getattr(found, field.name).mean for field in dataclasses.fields(found))


def test_precision_recall_density_and_coverage_by_hand():
    # On a line, k = 1. Balls of the data: [−1, 1], [0, 2], [1, 9]; of the samples: [−0.5, 1.5],
    # [0.5, 2.5], [1.5, 198.5].
    real, generated = np.array([[0.0], [1.0], [5.0]]), np.array([[0.5], [1.5], [100.0]])
    # 0.5 lies in the balls of 0 and 1, 1.5 in those of 1 and 5, 100 in none; 0 lies in the ball of
    # 0.5, 1 in those of 0.5 and 1.5, 5 in that of 100; and every ball of the data holds a sample.
    found = precision_recall_density_coverage(real, generated, neighbours=1)
    assert found.precision.mean == pytest.approx(2 / 3)
    assert found.recall.mean == 1
    assert found.density.mean == pytest.approx(4 / 3)
    assert found.coverage.mean == 1
    assert math.isnan(found.precision.standard_error)  # a half has no more rows than neighbours
    # With two neighbours: radii 5, 4, 5 of the data; density over two.
    assert values(real, generated, 2) == pytest.approx((2 / 3, 1, (3 + 3) / 3 / 2, 1))


def test_errors_of_the_four_are_those_of_new_data():
    """Not of other points between the same balls, which would be two thirds of them."""
    drawn = [
        precision_recall_density_coverage(normal(200, seed), 1.1 * normal(200, 500 + seed))
        for seed in range(40)
    ]
    for field in dataclasses.fields(drawn[0]):
        each = [getattr(one, field.name) for one in drawn]
        spread = np.std([one.mean for one in each], ddof=1)
        error = math.sqrt(np.mean([one.standard_error**2 for one in each]))
        # The spread over 40 is known to 11 %.
        assert 0.75 < error / spread < 1.6


def brute_force_prdc(real: np.ndarray, generated: np.ndarray, k: int) -> tuple[float, ...]:
    """The definitions, point by point."""

    def radius(x: np.ndarray, i: int) -> float:
        return sorted(math.dist(x[i], x[j]) for j in range(len(x)) if j != i)[k - 1]

    def inside(points: np.ndarray, balls: np.ndarray) -> np.ndarray:
        radii = [radius(balls, i) for i in range(len(balls))]
        return np.array(
            [[math.dist(p, c) <= r for c, r in zip(balls, radii, strict=True)] for p in points]
        )

    in_real, in_generated = inside(generated, real), inside(real, generated)
    return (
        float(in_real.any(axis=1).mean()),
        float(in_generated.any(axis=1).mean()),
        float(in_real.sum() / k / len(generated)),
        float(in_real.any(axis=0).mean()),
    )


def test_they_are_their_definitions(monkeypatch):
    monkeypatch.setattr("elbax.evaluate.samples.distances._MEGABYTES", 0.01)  # many chunks
    real, generated = normal(90, 14), 1.3 * normal(70, 15) + 0.3
    assert values(real, generated, 3) == pytest.approx(brute_force_prdc(real, generated, 3))
    # No order, no shift: far from the origin the products of rows lose digits.
    expected = pytest.approx(values(real, generated, 3), rel=1e-12)
    assert values(real[::-1], generated[::-1], 3) == expected
    assert values(real + 1e4, generated + 1e4, 3) == expected


def test_they_are_one_for_the_same_set_and_zero_far_away():
    x = normal(200, 16)
    # Every ball holds its centre and the k up to the rim.
    assert values(x, x) == (1, 1, pytest.approx(6 / 5), 1)
    assert values(x, x + 100) == (0, 0, 0, 0)


def test_they_are_what_theory_says_for_sets_of_one_distribution():
    found = np.array([values(normal(300, 2 * s), normal(300, 2 * s + 1)) for s in range(20)])
    density, coverage = found[:, 2], found[:, 3]
    # Naeem et al. 2020, §3.3: E density = 1, E coverage = 1 − Π (N − i) / (M + N − i).
    exact = 1 - math.prod((300 - i) / (600 - i) for i in range(1, 6))
    assert abs(density.mean() - 1) < 4 * scipy.stats.sem(density)
    assert abs(coverage.mean() - exact) < 4 * scipy.stats.sem(coverage)


def test_a_collapsed_generator_is_precise_and_covers_nothing():
    x = normal(400, 17)
    # One point of the data for all: inside the data, and no ball but a few holds it.
    collapsed = np.tile(x[np.argmin((x**2).sum(axis=1))], (400, 1))
    precision, recall, density, coverage = values(x, collapsed)
    assert precision == 1
    assert recall == 1 / 400  # the very row
    assert density > 1
    assert coverage < 0.1
    # And data of one point: what is there is matched, everything else is not.
    assert values(collapsed, collapsed) == (1, 1, 80, 1)
    assert values(collapsed, x)[0] == 1 / 400


def test_equal_rows_are_at_distance_zero():
    # Every row eight times: the fifth neighbour of each is its equal, and every ball a point.
    x = np.repeat(normal(30, 25, d=60), 8, axis=0)
    assert values(x, x) == (1, 1, pytest.approx(8 / 5), 1)
    assert values(x, x + 1e-3) == (0, 0, 0, 0)


# --- memorisation --------------------------------------------------------------------------

TRAIN, HELD_OUT = normal(1000, 18), normal(500, 19)


def test_copies_of_the_training_data_are_flagged():
    found = memorisation(TRAIN, HELD_OUT, TRAIN[100:400])
    assert np.array_equal(found.nearest, np.arange(100, 400))
    assert np.all(found.distance == 0)
    assert found.share.mean == 1
    # Agresti & Coull 1998: two hits and two misses more than the 300 hits.
    assert found.share.standard_error == pytest.approx(np.sqrt(302 / 304 * 2 / 304 / 304))
    assert found.held_out_share == 0.01
    # All samples below all held-out rows: U = 0; the samples tie among themselves.
    ties = 1 - (300**3 - 300) / (800**3 - 800)
    assert found.z_score == pytest.approx(-150 * 500 / math.sqrt(ties * 300 * 500 * 801 / 12))
    some = np.concatenate([TRAIN[:20], normal(280, 20)])
    found = memorisation(TRAIN, HELD_OUT, some)
    assert found.share.mean > found.held_out_share + 3 * found.share.standard_error


def test_fresh_draws_are_not():
    scores, shares = [], []
    for seed in range(30):
        draws = [normal(200, 3000 + 3 * seed + part) for part in range(3)]
        found = memorisation(*draws)
        scores.append(found.z_score)
        shares.append(found.share.mean)
    # Given the training rows both are draws of one distribution: the statistic is standard normal.
    assert scipy.stats.kstest(scores, scipy.stats.norm.cdf).pvalue > 1e-3
    # The 1 % quantile of 200 lies at 2.99 in their order, and 2.99 of the 201 gaps below it.
    assert abs(np.mean(shares) - 2.99 / 201) < 4 * scipy.stats.sem(shares)


def test_the_z_score_is_that_of_scipys_p_value():
    found = memorisation(TRAIN, HELD_OUT, 1.1 * normal(300, 21))
    p = scipy.stats.mannwhitneyu(
        found.distance, found.held_out_distance, use_continuity=False, method="asymptotic"
    ).pvalue
    assert found.z_score > 0
    assert 2 * scipy.stats.norm.sf(found.z_score) == pytest.approx(p, rel=1e-6)


def test_samples_far_away_have_a_large_score_and_no_share():
    found = memorisation(TRAIN, HELD_OUT, normal(300, 22) + 50)
    assert found.share.mean == 0
    assert found.z_score > 20
    assert found.threshold == np.quantile(found.held_out_distance, 0.01)


def test_distances_are_those_to_the_nearest_row():
    generated = normal(40, 23) + 1
    found = memorisation(TRAIN, HELD_OUT, generated)
    distances = np.array([[math.dist(g, t) for t in TRAIN] for g in generated])
    assert np.array_equal(found.nearest, distances.argmin(axis=1))
    assert np.allclose(found.distance, distances.min(axis=1), rtol=1e-12)
    # Every row by itself: their order and number change nothing.
    backwards = memorisation(TRAIN, HELD_OUT, generated[::-1])
    assert np.array_equal(backwards.distance[::-1], found.distance)
    assert np.array_equal(memorisation(TRAIN, HELD_OUT, generated[:1]).distance, found.distance[:1])


def test_data_of_one_point_say_nothing():
    point = np.ones((30, 2))
    found = memorisation(point, point, point)
    assert (found.z_score, found.share.mean, found.held_out_share) == (0, 1, 1)


# --- refusals ------------------------------------------------------------------------------

X = normal(30, 24)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: frechet_distance(X[:1], X), "first: 1 rows; this takes 2"),
        (lambda: frechet_distance(X, X[:, :2]), "different numbers of features"),
        (lambda: frechet_distance(X[None], X), r"\(1, 30, 4\), not \(rows, features\)"),
        (lambda: frechet_distance(X, X * np.nan), "second: a feature is not finite"),
        (lambda: kernel_distance(X, X[:19], seed=0), "second: 19 rows; this takes 20"),
        (lambda: precision_recall_density_coverage(X, X, 0), "0 neighbours"),
        (lambda: precision_recall_density_coverage(X, X[:5]), "generated: 5 rows; this takes 6"),
        (lambda: precision_recall_density_coverage(X[:5], X), "real: 5 rows"),
        (lambda: memorisation(X, X[:0], X), "held_out: 0 rows"),
        (lambda: memorisation(X, X, X[:, 1:]), "different numbers of features"),
    ],
)
def test_what_can_not_be_compared_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
