"""What the latents hold, against mixtures known exactly and representations known by hand."""

import dataclasses
import itertools
import math

import jax
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats

from elbax.evaluate import (
    Collapse,
    active_units,
    collapse,
    kl_by_latent,
    linear_probe_accuracy,
    neighbour_accuracy,
)
from elbax.model import (
    Preprocessing,
)
from tests.evaluate.latents.posteriors import ROWS, identity, with_posterior
from tests.laws import Composition
from tests.linear_gaussian import example

# --- active units and KL -------------------------------------------------------------------


def test_active_units_of_a_perfect_a_null_and_a_collapsed_encoder():
    rows = np.random.default_rng(1).normal(size=(600, 3)) * np.array([1.0, 0.0, 0.05]) + 7
    found = active_units(identity(np.ones(3)), rows)
    assert found.tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("kind", "rows", "message"),
    [
        ("discrete", 30, "latents are discrete"),
        ("one-hot", 30, "latents are discrete"),
        ("draws only", 30, "no mean"),
        ("laplace", 1, "1 rows"),
    ],
)
def test_active_units_are_refused_where_they_are_not_defined(kind, rows, message):
    with pytest.raises(ValueError, match=message):
        active_units(with_posterior(kind), ROWS[:rows])
    assert active_units(with_posterior("laplace"), ROWS).tolist() == [True, True]


def test_kl_by_latent_is_the_integral_of_the_densities():
    rows = np.array([[0.5, 0.0, -1.0], [1.5, 0.0, 2.0]])
    scales = np.array([0.3, 1.0, 0.8])
    found = kl_by_latent(identity(scales), rows, key=jax.random.key(0))

    def kl(location: float, scale: float) -> float:
        def integrand(z: float) -> float:
            log_q = scipy.stats.norm.logpdf(z, location, scale)
            return float(np.exp(log_q) * (log_q - scipy.stats.norm.logpdf(z)))

        return scipy.integrate.quad(integrand, location - 9 * scale, location + 9 * scale)[0]

    for j, scale in enumerate(scales):
        expected = np.array([kl(x, scale) for x in rows[:, j]])
        assert found[j].mean == pytest.approx(expected.mean(), rel=1e-5, abs=1e-6)
        error = scipy.stats.sem(expected)
        assert found[j].standard_error == pytest.approx(error, rel=1e-5, abs=1e-6)
    assert found[1].mean == pytest.approx(0, abs=1e-6)  # collapsed: at the prior, for every row


def test_kl_by_latent_is_that_of_the_binary_draw():
    # q(z|b) of the drawn images b, one a row: the average is over both.
    model = Composition(likelihood="bernoulli, binary").model(10)
    grey = np.full((400, 2, 2, 1), 128, np.uint8)
    dynamic = dataclasses.replace(model, preprocessing=Preprocessing(1 / 255, "dynamic"))
    found = kl_by_latent(dynamic, grey, key=jax.random.key(12))
    again = kl_by_latent(dynamic, grey, key=jax.random.key(12))
    assert found == again

    images = np.asarray(list(itertools.product([0.0, 1.0], repeat=4))).reshape(-1, 2, 2, 1)
    level = 128 / 255
    chances = np.prod(np.where(images.reshape(16, 4) == 1, level, 1 - level), axis=1)
    still = dataclasses.replace(model, preprocessing=Preprocessing())
    each = [kl_by_latent(still, image[None], key=jax.random.key(0)) for image in images]
    exact = chances @ np.array([[m.mean for m in of_image] for of_image in each])
    total = sum(m.mean for m in found) - exact.sum()
    assert abs(total) < 4 * sum(m.standard_error for m in found)


@pytest.mark.parametrize("kind", ["discrete", "one-hot", "laplace"])
def test_kl_by_latent_needs_factorised_normals(kind):
    with pytest.raises(ValueError, match=r"Bernoulli|OneHotCategorical|Laplace"):
        kl_by_latent(with_posterior(kind), ROWS, key=jax.random.key(0))
    with pytest.raises(ValueError, match="MultivariateNormal"):
        kl_by_latent(example().model(), np.zeros((3, 4)), key=jax.random.key(0))
    with pytest.raises(ValueError, match="no rows"):
        kl_by_latent(identity(np.ones(2)), ROWS[:0], key=jax.random.key(0))


# --- collapse ------------------------------------------------------------------------------

ON, OFF = True, False


@pytest.mark.parametrize(
    ("kl", "active", "options", "verdict", "remedy"),
    [
        ([2.0, 1.0], [ON, ON], {}, "none", ""),
        ([2.0, 0.0, 1.0], [ON, OFF, ON], {}, "partial", "a smaller latent_dim"),
        ([2.0, 0.0], [ON, OFF], {}, "partial", "a smaller latent_dim"),
        ([2.0, 0.0, 0.0], [ON, OFF, OFF], {}, "partial", "KL warm-up"),
        ([2.0, 0.0, 0.0], [ON, OFF, OFF], {"warm_up": 100}, "partial", "free bits"),
        ([0.0, 0.0], [OFF, OFF], {}, "full", "KL warm-up"),
        ([0.0, 0.0], [OFF, OFF], {"warm_up": 5}, "full", "free bits"),
        ([0.0, 0.0], [OFF, OFF], {"beta": 4.0, "warm_up": 5}, "full", "lower beta"),
        ([3.0, 0.0], [OFF, OFF], {"beta": 4.0}, "full", "train longer"),
    ],
)
def test_collapse_has_a_verdict_and_a_remedy(kl, active, options, verdict, remedy):
    found = collapse(np.array(kl), np.array(active), **options)
    assert isinstance(found, Collapse)
    assert found.verdict == verdict
    assert found.latents == tuple(j for j, on in enumerate(active) if not on)
    assert found.remedy.startswith(remedy)
    assert bool(found.remedy) == (verdict != "none")


@pytest.mark.parametrize(
    ("kl", "active"), [([], []), ([1.0], [ON, ON]), ([math.nan, 1.0], [ON, ON])]
)
def test_collapse_needs_one_kl_and_one_mark_a_latent(kl, active):
    with pytest.raises(ValueError, match="one mark for each latent"):
        collapse(np.array(kl, float), np.array(active, bool))


# --- labels --------------------------------------------------------------------------------

ACCURACIES = pytest.mark.parametrize("accuracy", [neighbour_accuracy, linear_probe_accuracy])


def blobs(rows: int, seed: int, distance: float = 10) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, rows)
    return distance * np.eye(3)[labels] + rng.normal(size=(rows, 3)), labels


@ACCURACIES
def test_a_perfect_representation_is_read_without_error(accuracy):
    found = accuracy(*blobs(150, 1), *blobs(60, 2))
    assert found.mean == 1.0
    # Sixty of sixty are not all that there are: 62 of 64, by Agresti and Coull.
    assert found.standard_error == pytest.approx(math.sqrt(62 / 64 * 2 / 64 / 64))
    # Classes may be words.
    (x, y), names = blobs(150, 1), np.array(["one", "two", "three"])
    assert accuracy(x, names[y], x, names[y]).mean == 1.0


@ACCURACIES
@pytest.mark.parametrize("spread", [1.0, 0.0], ids=["null", "collapsed"])
def test_a_representation_without_information_is_read_by_chance(accuracy, spread):
    rng = np.random.default_rng(3)
    train, test = blobs(300, 4)[1], blobs(900, 5)[1]
    found = accuracy(
        spread * rng.normal(size=(300, 3)), train, spread * rng.normal(size=(900, 3)), test
    )
    # A classifier that knows nothing, whatever it says, is right in the share of what it says.
    assert found.standard_error == pytest.approx(
        math.sqrt(found.mean * (1 - found.mean) / 899), rel=0.01
    )
    shares = np.bincount(test) / 900
    error = 4 * math.sqrt(2 / 9 / 900)
    assert shares.min() - error < found.mean < shares.max() + error


def test_the_standard_error_is_over_the_test_rows():
    # Two blobs at distance 2: the best accuracy is Φ(1), and the linear probe is near it.
    rng = np.random.default_rng(6)
    labels = rng.integers(0, 2, 35_000)
    x = (2.0 * labels + rng.normal(size=35_000))[:, None]
    found = [
        linear_probe_accuracy(x[:10_000], labels[:10_000], x[i : i + 250], labels[i : i + 250])
        for i in range(10_000, 35_000, 250)
    ]
    scores = [(m.mean - scipy.stats.norm.cdf(1)) / m.standard_error for m in found]
    chi_square = float(np.sum(np.square(scores)))
    assert abs(chi_square - len(scores)) < 4.5 * math.sqrt(2 * len(scores))


def test_nearest_neighbours_see_what_a_linear_probe_does_not():
    rng = np.random.default_rng(7)
    x = rng.uniform(-1, 1, size=(3000, 2))
    labels = (x[:, 0] * x[:, 1] > 0).astype(int)  # exclusive or
    split = x[:2000], labels[:2000], x[2000:], labels[2000:]
    assert neighbour_accuracy(*split).mean > 0.95
    # The best line cuts off a corner: it is right in 1/2 + 1/8 of the square.
    probe = linear_probe_accuracy(*split)
    assert probe.mean < 0.625 + 4 * probe.standard_error


@ACCURACIES
def test_an_accuracy_depends_on_no_order(accuracy):
    x, y = blobs(120, 8, distance=1.5)
    test, labels = blobs(80, 9, distance=1.5)
    expected = accuracy(x, y, test, labels)
    order = np.random.default_rng(10).permutation(120)
    found = accuracy(x[order], y[order], test[::-1], labels[::-1])
    assert dataclasses.astuple(found) == pytest.approx(dataclasses.astuple(expected))
    assert expected.mean < 1


X, Y = blobs(30, 11)


@ACCURACIES
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X, None, X, Y), "training rows have no labels"),
        ((X, Y, X, None), "test rows have no labels"),
        ((X, Y[:5], X, Y), "shape"),
        ((X, Y + 0.5, X, Y), "whole numbers"),
        ((X, np.where(Y > 0, Y, np.nan), X, Y), "missing"),
        ((X, np.array([None, *Y[1:]], dtype=object), X, Y), "missing"),
        ((X, 0 * Y, X, Y), "two classes"),
        ((X, Y, X[:0], Y[:0]), "a test row"),
        ((np.where(X > 9, np.nan, X), Y, X, Y), "training row is not finite"),
        ((X, Y, np.where(X > 9, np.inf, X), Y), "test row is not finite"),
    ],
)
def test_accuracies_are_refused_where_they_are_not_defined(accuracy, arguments, message):
    with pytest.raises(ValueError, match=message):
        accuracy(*arguments)


@pytest.mark.parametrize("neighbours", [0, 31])
def test_there_must_be_as_many_rows_as_neighbours(neighbours):
    with pytest.raises(ValueError, match=f"{neighbours} neighbours among 30"):
        neighbour_accuracy(X, Y, X, Y, neighbours)
